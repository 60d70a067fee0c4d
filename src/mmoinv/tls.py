"""TLS on one connection: between the socket and a link that need not know of it.

A failed handshake is said in words, with the remedy, and told the link as a `TlsError`. Knows no
packets, and no files (`mmoinv.certificates`).
"""

import asyncio
import contextlib
import ssl
from typing import Any, cast

from mmoinv.errors import TlsError

READ_SIZE = 1 << 16
LINGER_S = 2.0
"""How long a world may take to read why it was refused, before the realm's end closes."""
HANDSHAKE, ALERT = 0x16, 0x15
"""The first byte of what a TLS client, and of what a refusing TLS server sends."""
REFUSAL = bytes([ALERT, 3, 3, 0, 2, 2, 70])
"""A fatal alert, protocol_version: to one that speaks no TLS it is a byte that says so."""

EXPIRED, NOT_YET_VALID = 10, 9
UNTRUSTED = (18, 19, 20, 21)
OTHER_HOST = (62, 64)
"""Verify codes of OpenSSL."""


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """A protocol to the socket, a transport to the link.

    ``host`` is whom the realm's certificate must name; None: this is the realm's end. The link is
    told of the connection at once; what it writes waits for the end of the handshake. How long
    that may take is for the link to say.
    """

    def __init__(
        self, link: asyncio.Protocol, context: ssl.SSLContext, host: str | None = None
    ) -> None:
        super().__init__()
        self._link = link
        self._host = host
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=host is None, server_hostname=host
        )
        self._transport: Any = None
        self._waiting = bytearray()
        """What was written before the handshake ended."""
        self._has_heard = False
        self._is_open = False
        self._error: TlsError | None = None

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if self._host is not None:
            self._shake_hands()
        self._link.connection_made(self)

    def data_received(self, data: bytes) -> None:
        if self._error is not None:
            return
        if self._host is None and not self._has_heard and data[0] != HANDSHAKE:
            self._fail("it speaks no TLS; the world must set tls_ca, or tls=True")
            return
        self._has_heard = True
        self._incoming.write(data)
        if not self._is_open and not self._shake_hands():
            return
        plain, failure, is_over = self._read()
        self._send()
        if plain:
            self._link.data_received(plain)
        if failure is not None:
            self._fail(said(failure, self._host))
        elif is_over:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        # At the realm, one that came and went without a word is no failure.
        if self._error is None and not self._is_open and (self._host or self._has_heard):
            remedy = (
                ""
                if self._host is None
                else ". Perhaps the realm speaks no TLS: set its tls_certificate and tls_key, or "
                "allow_plaintext=True here if nobody can listen in between"
            )
            self._error = TlsError(f"the other end closed during the TLS handshake{remedy}")
        self._link.connection_lost(self._error or error)

    def _shake_hands(self) -> bool:
        """Go on with the handshake; whether it has ended well."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
            return False
        except ssl.SSLError as error:
            self._fail(said(error, self._host))
            return False
        self._is_open = True
        waiting, self._waiting = bytes(self._waiting), bytearray()
        self.write(waiting)
        return True

    def _read(self) -> tuple[bytes, ssl.SSLError | None, bool]:
        """What has come whole, what is wrong behind it, and whether the other end has ended."""
        pieces: list[bytes] = []
        while True:
            try:
                piece = self._tls.read(READ_SIZE)
            except ssl.SSLWantReadError:
                return b"".join(pieces), None, False
            except ssl.SSLZeroReturnError:
                piece = b""
            except ssl.SSLError as error:
                return b"".join(pieces), error, False
            if not piece:
                return b"".join(pieces), None, True
            pieces.append(piece)

    def _send(self) -> None:
        data = self._outgoing.read()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def _fail(self, reason: str) -> None:
        self._error = TlsError(reason)
        if self._host is None and not self._has_heard:
            self._outgoing.write(REFUSAL)
        self._send()
        if self._host is not None or not self._transport.can_write_eof():
            self._transport.close()
        elif not self._transport.is_closing():
            # A close with bytes unread would take the alert away from the other end.
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER_S, self._transport.abort)

    # What the link calls

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if self._error is not None or not len(data):
            return
        if not self._is_open:
            self._waiting += data
            return
        self._tls.write(cast(bytes, data))
        self._send()

    def close(self) -> None:
        """Send what is left and that it is all, and close."""
        if self._is_open and self._error is None:
            # It is said then; the other end's farewell is not waited for.
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._send()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._error is not None or bool(self._transport.is_closing())

    def get_write_buffer_size(self) -> int:
        """Bytes that the other end has not taken yet."""
        return len(self._waiting) + int(self._transport.get_write_buffer_size())

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the socket's transport says."""
        return self._transport.get_extra_info(name, default)


def said(error: ssl.SSLError, host: str | None) -> str:
    """What has failed and what to do, at the world that connects to ``host``; None: at the
    realm."""
    whose, mine, trust = "the realm's", "this world's", "tls_ca"
    if host is None:
        whose, mine, trust = "the world's", "this realm's", "tls_client_ca"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _distrusted(error, whose, trust, host)
    reason = error.reason or ""
    if "ALERT_UNKNOWN_CA" in reason:
        other = "tls_client_ca" if host is not None else "tls_ca"
        return (
            f"{mine} certificate is not trusted there: {other} of the other end must have signed it"
        )
    if "ALERT_CERTIFICATE_REQUIRED" in reason:
        return "the realm wants a certificate of this world: set tls_certificate and tls_key"
    if "ALERT_CERTIFICATE_EXPIRED" in reason:
        return f"{mine} certificate has expired: renew it"
    if "ALERT_BAD_CERTIFICATE" in reason:
        return f"{mine} certificate is refused there, perhaps because it names another host"
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "the world shows no certificate: it must set tls_certificate and tls_key"
    if reason in ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "WRONG_VERSION_NUMBER"):
        return (
            "the other end speaks no TLS 1.3. If it is a realm that listens without TLS, set its "
            "tls_certificate and tls_key"
        )
    return f"TLS has failed: {reason or error}"


def _distrusted(
    error: ssl.SSLCertVerificationError, whose: str, trust: str, host: str | None
) -> str:
    code, words = error.verify_code, error.verify_message
    if code == EXPIRED:
        return f"{whose} certificate has expired: renew it there"
    if code == NOT_YET_VALID:
        return f"{whose} certificate is not valid yet: compare the clocks"
    if code in OTHER_HOST:
        return (
            f"{whose} certificate does not name {host!r}: connect by a name that stands in it, or "
            "make one with that name (subjectAltName)"
        )
    if code in UNTRUSTED:
        return (
            f"{whose} certificate is of no authority that is trusted here ({words}): {trust} must "
            "be the certificate of the authority that signed it"
        )
    return f"{whose} certificate is refused: {words}"
