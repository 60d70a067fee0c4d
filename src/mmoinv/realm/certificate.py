"""The certificate that a realm shows, and how it is renewed while the realm runs.

Knows files and no links.
"""

import logging
import os
import ssl

from mmoinv.certificates import load_certificate, realm_context
from mmoinv.errors import ConfigurationError

log = logging.getLogger("mmoinv.realm")


class RealmCertificate:
    """``context`` is what the realm speaks TLS with; `look` takes a renewed certificate over.

    The authorities of ``client_ca`` are those of the start: to trust others, or to stop trusting
    one, the realm is started again.
    """

    def __init__(self, certificate: str, key: str, client_ca: str = "") -> None:
        self._certificate, self._key = certificate, key
        self.context = realm_context(certificate, key, client_ca)
        self._seen = self._times()

    def look(self) -> None:
        """If the files have changed, show what is in them from the next connection on; what cannot
        be used is logged, and the one before goes on being shown."""
        times = self._times()
        if times == self._seen:
            return
        self._seen = times
        try:
            # First into one of its own: half of a renewed pair must not be shown.
            load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self._certificate, self._key)
            load_certificate(self.context, self._certificate, self._key)
        except ConfigurationError as error:
            log.error("the certificate is not renewed, the one before is shown: %s", error)
        else:
            log.info("the certificate is renewed: %s", self._certificate)

    def _times(self) -> list[tuple[int, int] | None]:
        return [_time(self._certificate), _time(self._key)]


def _time(path: str) -> tuple[int, int] | None:
    """What changes with a file; None: it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
