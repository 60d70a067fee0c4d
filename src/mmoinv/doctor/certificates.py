"""Certificates: whether a realm could show its own, whether a world would trust a realm's, and
for how long. Logs on to nothing."""

import os
import socket
import ssl
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from mmoinv.certificates import expiry_of, realm_context, valid_until, world_context
from mmoinv.doctor.check import Check, failed, passed, refused, warned
from mmoinv.errors import ConfigurationError
from mmoinv.tls import said

SOON_DAYS = 14
RENEW = "Renew it: put the new file in its place, and a running realm shows it by itself."


def own(certificate: str, key: str, client_ca: str) -> Iterator[Check]:
    """The files of a realm's settings."""
    try:
        realm_context(certificate, key, client_ca)
        until = valid_until(certificate)
    except ConfigurationError as error:
        yield refused("TLS", error, "Check the files that the settings name.")
        return
    yield lasting("TLS", f"the certificate {certificate}", until)
    if sys.platform != "win32" and os.stat(key).st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield warned(
            "TLS", f"others than its owner may read the key {key}", f"Take it away: chmod 600 {key}"
        )


def lasting(name: str, what: str, until: datetime) -> Check:
    """For how long a certificate is good."""
    days = (until - datetime.now(UTC)).total_seconds() / 86400
    figures = {"certificate_days": round(days, 1)}
    if days < 0:
        return failed(name, f"{what} expired on {until:%Y-%m-%d}", RENEW, **figures)
    text = f"{what} is good until {until:%Y-%m-%d}, {int(days)} days"
    if days < SOON_DAYS:
        return warned(name, text, RENEW, **figures)
    return passed(name, text, **figures)


def shown_by(host: str, port: int, ca: str, within_s: float) -> Check:
    """Whether a world that trusts ``ca`` (empty: the system's authorities) trusts the realm.
    `OSError` if it cannot be reached."""
    address = f"{host}:{port}"
    try:
        context = world_context(ca)
    except ConfigurationError as error:
        return refused("realm", error, "Check the file.")
    with socket.create_connection((host, port), within_s) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as link:
                der = link.getpeercert(binary_form=True) or b""
        except (ssl.SSLEOFError, ConnectionError, TimeoutError):
            return warned(
                "realm",
                f"{address} accepts connections, but speaks no TLS",
                "Set its tls_certificate and tls_key, unless nobody can listen in between.",
            )
        except ssl.SSLError as error:
            return failed("realm", f"{address}: {said(error, host)}", "See docs/security.md.")
    return lasting("realm", f"{address} speaks TLS; its certificate", expiry_of(der))
