"""Certificates, keys and authorities in files, as what TLS 1.3 is spoken with.

Every file that cannot be used is said by name, with the remedy. Knows ssl and files; no sockets
and no links.
"""

import ipaddress
import ssl
from datetime import UTC, datetime
from pathlib import Path

from mmoinv.errors import ConfigurationError

CERTIFICATE_BEGIN = "-----BEGIN CERTIFICATE-----"
CERTIFICATE_END = "-----END CERTIFICATE-----"
KEY_BEGIN = "PRIVATE KEY-----"

_UTC_TIME, _SEQUENCE, _VERSION = 0x17, 0x30, 0xA0
"""Tags of DER."""


def is_loopback(host: str) -> bool:
    """Whether what is sent to ``host`` stays on this machine. A name is not asked for, but
    localhost."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def realm_context(certificate: str, key: str, client_ca: str = "") -> ssl.SSLContext:
    """What a realm speaks TLS with. With ``client_ca`` a world must show a certificate that one
    of its authorities has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Links last for hours: nobody has anything to resume.
    context.num_tickets = 0
    load_certificate(context, certificate, key)
    if client_ca:
        _load_authorities(context, client_ca, "tls_client_ca")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def world_context(ca: str = "", certificate: str = "", key: str = "") -> ssl.SSLContext:
    """What a world speaks TLS with: it trusts the authorities in the file ``ca``, or those of the
    system, and checks that the certificate names the host. ``certificate`` is the world's own, for
    a realm that wants one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if ca:
        _load_authorities(context, ca, "tls_ca")
    else:
        context.load_default_certs()
    if certificate or key:
        load_certificate(context, certificate, key)
    return context


def load_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Show this certificate from the next connection on. `ConfigurationError` names the file
    that cannot be used."""
    if not certificate or not key:
        given, missing = ("tls_key", "tls_certificate") if key else ("tls_certificate", "tls_key")
        raise ConfigurationError(
            f"{given} is set without {missing}: a certificate and its private key come together"
        )
    _read(certificate, "tls_certificate", CERTIFICATE_BEGIN, "a certificate")
    _read(key, "tls_key", KEY_BEGIN, "a private key")

    def no_password() -> str:
        raise ConfigurationError(
            f"tls_key: {key} is locked with a passphrase, and nobody is there to type it. Unlock "
            f"it into a file that only the realm's user can read: openssl pkey -in {key} -out FILE"
        )

    try:
        context.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            text = f"tls_key: {key} is not the key of the certificate in {certificate}"
            remedy = "Give the two files that were made together; the certificate goes first in its"
            raise ConfigurationError(
                f"{text}. {remedy} file, before those of authorities."
            ) from None
        raise ConfigurationError(
            f"tls_certificate, tls_key: {certificate} and {key} cannot be read: "
            f"{error.reason or error}. Both must be whole, in PEM."
        ) from None


def _load_authorities(context: ssl.SSLContext, ca: str, setting: str) -> None:
    _read(ca, setting, CERTIFICATE_BEGIN, "an authority's certificate")
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{setting}: {ca} holds a certificate that cannot be read: {error.reason or error}. It "
            "must be whole, in PEM."
        ) from None


def _read(path: str, setting: str, wanted: str, noun: str) -> str:
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigurationError(
            f"{setting}: {path} cannot be read: {error.strerror}. Check the path and who may read "
            "it."
        ) from None
    if wanted not in text:
        raise ConfigurationError(
            f"{setting}: {path} holds no {noun.partition(' ')[2]} in PEM. Give the file that "
            f"has {noun}."
        )
    return text


def valid_until(certificate: str) -> datetime:
    """When the first certificate of a file in PEM expires."""
    text = _read(certificate, "tls_certificate", CERTIFICATE_BEGIN, "a certificate")
    begin = text.index(CERTIFICATE_BEGIN)
    end = text.find(CERTIFICATE_END, begin)
    try:
        return expiry_of(ssl.PEM_cert_to_DER_cert(text[begin:end] + CERTIFICATE_END))
    except ValueError:
        raise ConfigurationError(
            f"tls_certificate: {certificate} holds a certificate that cannot be read. It must be "
            "whole, in PEM."
        ) from None


def expiry_of(der: bytes) -> datetime:
    """When a certificate in DER expires; `ValueError` if it is none.

    The library tells it only of certificates that it trusts, and not of those that have expired.
    """
    _, body, _ = _der(der, _SEQUENCE)
    _, fields, _ = _der(body, _SEQUENCE)
    tag, _, rest = _der(fields)
    if tag == _VERSION:
        _, _, rest = _der(rest)  # The serial number.
    for _ in ("signature algorithm", "issuer"):
        _, _, rest = _der(rest)
    _, validity, _ = _der(rest, _SEQUENCE)
    _, _, behind = _der(validity)
    tag, not_after, _ = _der(behind)
    text = not_after.decode("ascii")
    if tag == _UTC_TIME:
        # Two digits of the year: below 50 it is this century's (RFC 5280).
        text = ("20" if int(text[:2]) < 50 else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _der(data: bytes, wanted: int | None = None) -> tuple[int, bytes, bytes]:
    """The first element: its tag, its content, and what comes behind it."""
    if len(data) < 2 or (wanted is not None and data[0] != wanted):
        raise ValueError("no such element")
    length, begin = data[1], 2
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(data[2:begin], "big")
    if len(data) < begin + length:
        raise ValueError("the element is cut off")
    return data[0], data[begin : begin + length], data[begin + length :]
