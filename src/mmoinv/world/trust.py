"""How a world makes sure of its realm: TLS or not, and whose certificates it trusts.

Knows no links.
"""

import ssl
from dataclasses import dataclass
from typing import Self

from mmoinv.certificates import is_loopback, world_context
from mmoinv.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Trust:
    """``given`` is what `context` returns; without it, what the files hold at that moment."""

    ca: str = ""
    certificate: str = ""
    key: str = ""
    given: ssl.SSLContext | None = None

    @classmethod
    def of(
        cls,
        host: str,
        tls: bool | ssl.SSLContext,
        ca: str,
        certificate: str,
        key: str,
        allow_plaintext: bool,
    ) -> Self | None:
        """What the arguments of a connector mean; None: plain text. `ConfigurationError` if a
        file cannot be used."""
        if isinstance(tls, ssl.SSLContext):
            if ca or certificate or key:
                raise ConfigurationError(
                    "tls is a context and tls_ca, tls_certificate or tls_key is set: load the "
                    "files into the context, or leave it away"
                )
            return cls(given=tls)
        if not (tls or ca or certificate or key or not (is_loopback(host) or allow_plaintext)):
            return None
        trust = cls(ca, certificate, key)
        context = trust.context()
        # The system's authorities take their time; a file of one's own may be renewed.
        return trust if ca or certificate else cls(given=context)

    def context(self) -> ssl.SSLContext:
        """For the next connection: files that were renewed are read anew."""
        return self.given or world_context(self.ca, self.certificate, self.key)
