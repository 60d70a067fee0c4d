"""``mmoinv doctor`` on certificates: those of a realm's settings, and those that a realm shows."""

import asyncio
import os
from pathlib import Path

import pytest
from certificates import Authority

from mmoinv import RealmServer
from mmoinv.cli import main
from mmoinv.doctor import reachable
from mmoinv.doctor.check import Verdict


@pytest.mark.parametrize(
    ("days", "code", "said", "remedy"),
    [
        (40, 0, "is good until", ""),
        (5, 0, "is good until", "Renew it"),
        (-1, 1, "expired on", "Renew it"),
    ],
)
def test_the_certificate_of_a_realms_settings(
    tmp_path: Path,
    authority: Authority,
    capsys: pytest.CaptureFixture[str],
    days: int,
    code: int,
    said: str,
    remedy: str,
):
    certificate, key = authority.issue(f"doctor{days}", days=days)
    file = tmp_path / "realm.toml"
    file.write_text(
        f"[realm]\ntls_certificate = '{certificate}'\ntls_key = '{key}'\n"
        f"[database]\nurl = 'sqlite:///{tmp_path / 'realm.db'}'\n"
    )
    os.chmod(key, 0o600)
    assert main(["doctor", "--config", str(file)]) == code
    output = capsys.readouterr().out
    assert said in output
    assert "realm.db is not there yet" in output
    (line,) = [at for at, one in enumerate(output.splitlines()) if one[2:].startswith("TLS ")]
    assert not remedy or remedy in output.splitlines()[line + 1]
    os.chmod(key, 0o644)
    main(["doctor", "--config", str(file)])
    assert f"chmod 600 {key}" in capsys.readouterr().out
    Path(key).unlink()
    assert main(["doctor", "--config", str(file)]) == 1
    assert "cannot be read" in capsys.readouterr().out


async def test_the_certificate_that_a_realm_shows(
    tmp_path: Path, authority: Authority, realm_files: dict[str, str]
):
    stranger = Authority(tmp_path, "stranger")
    url = f"sqlite:///{tmp_path / 'realm.db'}"
    async with RealmServer(url, port=0, **realm_files) as realm:

        async def look(ca: str) -> tuple[Verdict, str]:
            check = await asyncio.to_thread(reachable.realm, "127.0.0.1", realm.port, ca)
            return check.verdict, check.text

        verdict, text = await look(stranger.certificate)
        assert (verdict, "is of no authority that is trusted" in text) == (Verdict.FAILED, True)
        assert (await look("nowhere"))[0] is Verdict.FAILED
        assert (await look(""))[0] is Verdict.OK
        verdict, text = await look(authority.certificate)
        assert (verdict, "speaks TLS; its certificate is good until" in text) == (Verdict.OK, True)
    async with RealmServer(url, port=0) as realm:
        verdict, text = await look(authority.certificate)
        assert (verdict, "speaks no TLS" in text) == (Verdict.WARNING, True)
