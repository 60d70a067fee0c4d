"""No secret, and nothing that a secret could be made of, in any log line, error or repr."""

import asyncio
import logging
from pathlib import Path

import pytest
from certificates import Authority

from mmoinv import RealmConnector, RealmServer
from mmoinv.errors import MmoinvError
from mmoinv.wire import WorldLink

SECRET = "quite a secret of world-1"
WRONG = "another that is wrong"


def private_key_of(files: dict[str, str]) -> str:
    return Path(files["tls_key"]).read_text().splitlines()[1]


async def test_secrets_and_keys_stand_in_no_log_error_or_repr(
    tmp_path: Path,
    authority: Authority,
    realm_files: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
):
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    async with RealmServer(f"sqlite:///{tmp_path / 'realm.db'}", port=0, **realm_files) as realm:
        await realm.add_world("world-1", SECRET)
        await realm.add_world("broken", SECRET)
        await realm.store.add_world("broken", "SCRAM-SHA-256$4096:broken")
        (verifier,) = [w.verifier for w in await realm.store.worlds() if w.name == "world-1"]
        for world, secret in (
            ("world-1", SECRET),
            ("world-1", WRONG),
            ("world-9", SECRET),
            ("broken", SECRET),
        ):
            ca = authority.certificate
            connector = RealmConnector(
                "127.0.0.1", realm.port, world=world, secret=secret, tls_ca=ca
            )
            try:
                async with connector:
                    await connector.join(7)
                    # Whoever looks at the parts finds no more.
                    seen += [repr(one) for one in vars(connector).values()]
                    seen += [
                        repr(one) for link in realm._parts.links for one in vars(link).values()
                    ]
            except MmoinvError as error:
                seen += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
            seen += [repr(connector), repr(connector._uplink.address), str(vars(connector._uplink))]
        # A proof that is none, and a stream that breaks behind it.
        link = WorldLink()
        link.begin_logon("world-1", SECRET, 1)
        plain = RealmServer(f"sqlite:///{tmp_path / 'realm.db'}", port=0)
        async with plain:
            reader, writer = await asyncio.open_connection("127.0.0.1", plain.port)
            writer.write(link.data_to_send())
            link.receive_data(await reader.read(1 << 16))
            proof = link.data_to_send()
            writer.write(proof[:-8] + b"AAAAAAA=" + b"\x77" * 40)
            link.receive_data(await reader.read(1 << 16))
            writer.close()
            seen += [repr(link), link.broken_reason]
        seen += [repr(realm), repr(vars(realm)), repr(realm.statistics)]
    for record in caplog.records:
        seen += [record.getMessage(), repr(record.args), record.exc_text or ""]
    seen += list(capfd.readouterr())
    everything = "\n".join(seen)
    assert "logged on" in everything
    assert everything.count("logon refused") >= 3
    salt, *keys = verifier.replace("$", ":").split(":")[2:]
    private_key = private_key_of(realm_files)
    proof_text = proof[proof.rindex(b"p=") + 2 :].decode()
    for hidden in (SECRET, WRONG, salt, *keys, verifier, private_key, proof_text):
        assert len(hidden) > 10
        assert hidden not in everything
