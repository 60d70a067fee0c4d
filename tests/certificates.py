"""Certificates for the tests, made by the `openssl` command as docs/security.md says."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from servers.fixtures import tell_what_is_missing


class Authority:
    """An authority of its own in a folder; `issue` makes certificates that it has signed."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        if shutil.which("openssl") is None:
            missing = "TLS NOT TESTED: there is no openssl. Remedy: apt-get install openssl"
            tell_what_is_missing(missing)
        self.folder = folder
        self.key = str(folder / f"{name}.key")
        self.certificate = str(folder / f"{name}.pem")
        self._openssl("req", "-x509", *self._new(self.key, f"the {name}"), "-out", self.certificate)

    def issue(
        self, name: str, *, for_host: str = "DNS:localhost,IP:127.0.0.1", days: int = 30
    ) -> tuple[str, str]:
        """A certificate and its key; with ``days`` below 0 it has expired."""
        key, certificate = str(self.folder / f"{name}.key"), str(self.folder / f"{name}.pem")
        request = f"{certificate}.request"
        self._openssl("req", "-new", *self._new(key, name), "-out", request)
        extensions = self.folder / f"{name}.extensions"
        extensions.write_text(f"subjectAltName={for_host}\n")
        arguments = ["-CA", self.certificate, "-CAkey", self.key, "-days", str(days)]
        self._openssl(
            *("x509", "-req", "-in", request, *arguments),
            *("-extfile", str(extensions), "-out", certificate),
        )
        return certificate, key

    def _new(self, key: str, name: str) -> list[str]:
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        return [*curve, "-nodes", "-keyout", key, "-subj", f"/CN={name}"]

    def _openssl(self, *arguments: str) -> None:
        # The machine's own settings are not the test's.
        environment = os.environ | {"OPENSSL_CONF": str(_settings(self.folder))}
        done = subprocess.run(
            ["openssl", *arguments], capture_output=True, text=True, env=environment
        )
        if done.returncode:
            pytest.fail(f"openssl {' '.join(arguments)}: {done.stderr}")


def _settings(folder: Path) -> Path:
    path = folder / "openssl.cnf"
    if not path.exists():
        path.write_text(
            "[req]\ndistinguished_name = name\nx509_extensions = authority\n[name]\n"
            "[authority]\nbasicConstraints = critical, CA:TRUE\n"
            "keyUsage = critical, keyCertSign, cRLSign\n"
            "subjectKeyIdentifier = hash\n"
        )
    return path
