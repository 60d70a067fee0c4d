"""TLS between a real realm and a real connector: what goes through, how each failure is said."""

import asyncio
import logging
import os
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority

from mmoinv import InventoryItemData, RealmConnector, RealmServer
from mmoinv.certificates import valid_until, world_context
from mmoinv.errors import ConfigurationError, LinkError, TlsError
from mmoinv.world import ConnectorState
from mmoinv.world.trust import Trust

SECRET = "secret of the tests"


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'realm.db'}"


def connector(realm: RealmServer, host: str = "127.0.0.1", **settings: Any) -> RealmConnector:
    return RealmConnector(host, realm.port, world="world-1", secret=SECRET, **settings)


def item(world: RealmConnector, slot: int) -> InventoryItemData:
    return InventoryItemData(19, slot, item_guid=int(world.new_item_guids()[0]))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


async def save_and_load(database: str, authority: Authority, files: dict[str, str]) -> None:
    """Far more than one record of TLS, in both directions, and to the end of the link."""
    async with RealmServer(database, port=0, **files) as realm:
        assert realm.speaks_tls
        await realm.add_world("world-1", SECRET)
        async with connector(realm, "localhost", tls_ca=authority.certificate) as world:
            await asyncio.gather(*(world.join(guid) for guid in range(1, 301)))
            handles = [
                world.repository().save_item(guid, item(world, slot))
                for slot in range(23, 28)
                for guid in range(1, 301)
            ]
            for handle in handles:
                await handle
        assert realm.statistics.committed == 1500
        async with connector(realm, tls=world_context(authority.certificate)) as world:
            assert len((await world.join(7)).items) == 5


async def test_saves_travel_over_tls(
    database: str, authority: Authority, realm_files: dict[str, str]
):
    await save_and_load(database, authority, realm_files)


def test_the_same_on_uvloop(database: str, authority: Authority, realm_files: dict[str, str]):
    uvloop = pytest.importorskip("uvloop")
    uvloop.run(save_and_load(database, authority, realm_files))


async def test_nothing_older_than_tls_1_3_is_spoken(
    database: str, authority: Authority, realm_files: dict[str, str], caplog
):
    context = world_context(authority.certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with RealmServer(database, port=0, **realm_files) as realm:
        with pytest.raises(TlsError, match=r"no TLS 1\.3"):
            await connector(realm, tls=context).connect()
        await until(lambda: "no TLS 1.3" in caplog.text)
        assert realm.statistics.broken_links == 1


@pytest.mark.parametrize(
    ("realm_has", "world_has", "host", "world_hears", "realm_hears"),
    [
        ("realm", "stranger", "127.0.0.1", "tls_ca must be the certificate", "not trusted there"),
        ("expired", "authority", "127.0.0.1", "has expired: renew it there", "expired"),
        ("elsewhere", "authority", "127.0.0.1", "does not name '127.0.0.1'", "another host"),
        ("realm", "", "127.0.0.1", "speaks TLS, and this world does not", "it speaks no TLS"),
        ("", "authority", "127.0.0.1", "Perhaps the realm speaks no TLS", "speaks TLS, which"),
        ("asks", "authority", "127.0.0.1", "set tls_certificate and tls_key", "no certificate"),
        ("asks", "stranger's", "127.0.0.1", "is not trusted there", "tls_client_ca must be"),
    ],
)
async def test_each_failure_is_said_at_both_ends(
    tmp_path: Path,
    database: str,
    authority: Authority,
    realm_files: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    realm_has: str,
    world_has: str,
    host: str,
    world_hears: str,
    realm_hears: str,
):
    realm: dict[str, str] = dict(realm_files)
    if realm_has in ("expired", "elsewhere"):
        days, names = (-1, "IP:127.0.0.1") if realm_has == "expired" else (30, "DNS:example.com")
        certificate, key = authority.issue(realm_has, days=days, for_host=names)
        realm = {"tls_certificate": certificate, "tls_key": key}
    elif realm_has == "asks":
        realm["tls_client_ca"] = authority.certificate
    elif not realm_has:
        realm = {}
    world = {"tls_ca": authority.certificate} if world_has else {}
    if world_has.startswith("stranger"):
        stranger = Authority(tmp_path, "stranger")
        if world_has == "stranger":
            world["tls_ca"] = stranger.certificate
        else:
            world["tls_certificate"], world["tls_key"] = stranger.issue("world")
    async with RealmServer(database, port=0, **realm) as server:
        await server.add_world("world-1", SECRET)
        with pytest.raises(TlsError) as caught:
            await connector(server, host, **world).connect()
        assert world_hears in str(caught.value)
        assert str(server.port) in str(caught.value)
        await until(lambda: realm_hears in caplog.text)
        await until(lambda: server.statistics.links == 0)


async def test_a_realm_that_asks_lets_in_who_shows_a_certificate(
    database: str, authority: Authority, realm_files: dict[str, str]
):
    certificate, key = authority.issue("world-1")
    asking = realm_files | {"tls_client_ca": authority.certificate}
    own = {"tls_ca": authority.certificate, "tls_certificate": certificate, "tls_key": key}
    async with RealmServer(database, port=0, **asking) as realm:
        await realm.add_world("world-1", SECRET)
        async with connector(realm, **own) as world:
            await world.join(7)


async def test_a_renewed_certificate_is_shown_without_a_restart(
    tmp_path: Path, database: str, authority: Authority, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    shown = {"tls_certificate": str(tmp_path / "cert.pem"), "tls_key": str(tmp_path / "key.pem")}

    def put(certificate: str, key: str) -> None:
        for source, target in ((certificate, "cert.pem"), (key, "key.pem")):
            shutil.copy(source, tmp_path / "new")
            os.replace(tmp_path / "new", tmp_path / target)

    put(*authority.issue("first"))
    other = Authority(tmp_path, "other")
    async with RealmServer(database, port=0, **shown) as realm:
        await realm.add_world("world-1", SECRET)
        await realm.add_world("world-2", SECRET)
        async with connector(realm, tls_ca=authority.certificate) as world:
            await world.join(7)
            # Half of a pair: the one before goes on being shown.
            shutil.copy(other.issue("second")[1], tmp_path / "key.pem")
            await until(lambda: "is not renewed" in caplog.text)
            again = RealmConnector(
                "127.0.0.1",
                realm.port,
                world="world-2",
                secret=SECRET,
                tls_ca=authority.certificate,
            )
            async with again:
                pass
            put(str(tmp_path / "second.pem"), str(tmp_path / "second.key"))
            await until(lambda: "certificate is renewed" in caplog.text)
            async with RealmConnector(
                "127.0.0.1", realm.port, world="world-2", secret=SECRET, tls_ca=other.certificate
            ):
                # The older link never notices.
                await world.repository().save_item(7, item(world, 23))


async def test_a_world_comes_back_over_tls(
    database: str, authority: Authority, realm_files: dict[str, str]
):
    realm = RealmServer(database, port=0, **realm_files)
    await realm.start()
    await realm.add_world("world-1", SECRET)
    async with connector(realm, tls_ca=authority.certificate) as world:
        await world.join(7)
        await realm.close()
        await until(lambda: world.state is ConnectorState.RECONNECTING)
        handle = world.repository().save_item(7, item(world, 23))
        await realm.start()
        assert (await handle).versions[7] == 1
        await realm.close()


# Files and settings


@pytest.mark.parametrize(
    ("setting", "content", "expected"),
    [
        ("tls_certificate", None, "cannot be read: No such file"),
        ("tls_key", None, "cannot be read: No such file"),
        ("tls_client_ca", None, "cannot be read: No such file"),
        ("tls_certificate", "hello", "holds no certificate in PEM"),
        ("tls_key", "hello", "holds no private key in PEM"),
        ("tls_client_ca", "hello", "holds no authority's certificate in PEM"),
        ("tls_key", "-----BEGIN PRIVATE KEY-----\nabc", "Both must be whole"),
        ("tls_client_ca", "-----BEGIN CERTIFICATE-----\nabc", "It must be whole"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, realm_files: dict[str, str], setting: str, content: str | None, expected: str
):
    path = tmp_path / "file.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=expected) as caught:
        RealmServer("sqlite:///realm.db", **realm_files | {setting: str(path)})
    assert setting in str(caught.value)
    assert str(path) in str(caught.value)


def test_keys_that_do_not_fit_or_are_locked_are_said(
    tmp_path: Path, authority: Authority, realm_files: dict[str, str]
):
    other = realm_files | {"tls_key": authority.key}
    with pytest.raises(ConfigurationError, match="is not the key of the certificate"):
        RealmServer("sqlite:///realm.db", **other)
    locked = str(tmp_path / "locked.key")
    command = ["openssl", "pkey", "-in", realm_files["tls_key"], "-aes128", "-passout", "pass:abcd"]
    subprocess.run([*command, "-out", locked], check=True)
    with pytest.raises(ConfigurationError, match="locked with a passphrase"):
        RealmServer("sqlite:///realm.db", **realm_files | {"tls_key": locked})
    for half in ("tls_certificate", "tls_key"):
        with pytest.raises(ConfigurationError, match="come together"):
            RealmServer("sqlite:///realm.db", **{half: realm_files[half]})
    with pytest.raises(ConfigurationError, match="only a realm that"):
        RealmServer("sqlite:///realm.db", tls_client_ca=authority.certificate)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.com", "::", ""])
def test_off_loopback_a_realm_wants_tls_or_a_word(
    host: str, realm_files: dict[str, str], caplog: pytest.LogCaptureFixture
):
    with pytest.raises(ConfigurationError, match="without TLS"):
        RealmServer("sqlite:///realm.db", host)
    RealmServer("sqlite:///realm.db", host, **realm_files)
    assert not caplog.records
    RealmServer("sqlite:///realm.db", host, allow_plaintext=True)
    assert "without TLS" in caplog.text


def test_a_world_speaks_tls_unless_it_stays_on_the_machine(authority: Authority):
    def trust(host: str, **given: Any) -> Trust | None:
        arguments = {"tls": False, "ca": "", "certificate": "", "key": "", "allow_plaintext": False}
        return Trust.of(host, **arguments | given)

    for host in ("127.0.0.1", "::1", "localhost"):
        assert trust(host) is None
        assert trust(host, tls=True) is not None
        assert trust(host, ca=authority.certificate, allow_plaintext=True) is not None
    for host in ("example.com", "192.168.1.1"):
        away = trust(host)
        assert away is not None
        context = away.context()
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert trust(host, allow_plaintext=True) is None
    with pytest.raises(ConfigurationError, match="leave it away"):
        trust("localhost", tls=ssl.create_default_context(), ca=authority.certificate)
    with pytest.raises(ConfigurationError, match="tls_ca: nowhere cannot be read"):
        trust("localhost", ca="nowhere")
    with pytest.raises(ConfigurationError, match="come together"):
        trust("localhost", key=authority.key)


async def test_files_that_vanish_under_a_world_are_said_when_it_comes_back(
    tmp_path: Path, authority: Authority
):
    ca = tmp_path / "ca.pem"
    shutil.copy(authority.certificate, ca)
    world = RealmConnector("127.0.0.1", 1, world="w", secret="s", tls_ca=str(ca))
    ca.unlink()
    with pytest.raises(TlsError, match="cannot be read"):
        await world.connect()
    shutil.copy(authority.certificate, ca)
    world = RealmConnector("127.0.0.1", 1, world="w", secret="s", tls_ca=str(ca))
    with pytest.raises(LinkError, match="Is it running"):
        await world.connect()


def test_when_a_certificate_expires_is_read_from_it(authority: Authority):
    until = valid_until(authority.issue("expires", days=400)[0])
    said = subprocess.run(
        ["openssl", "x509", "-in", str(authority.folder / "expires.pem"), "-noout", "-enddate"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.strip() == f"notAfter={until:%b} {until.day:2} {until:%H:%M:%S %Y} GMT"
    broken = authority.folder / "broken.pem"
    for content in ("MIIB", "", "AAAA" * 30):
        broken.write_text(f"-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n")
        with pytest.raises(ConfigurationError, match="cannot be read"):
            valid_until(str(broken))
