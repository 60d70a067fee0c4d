"""Stores on database servers when things go wrong: between us and the server, and in it."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from servers.database_server import DatabaseServer
from sqlalchemy import text

from mmoinv.conformance.operations import (
    OTHER_WORLD,
    WORLD,
    changes,
    commit,
    entry,
    item,
    joined,
    run,
    stored,
)
from mmoinv.errors import ConfigurationError, StoreDataError, StoreUnavailableError
from mmoinv.realm.group_commit import GroupCommit
from mmoinv.realm.ids import NumberMint
from mmoinv.realm.limits import RealmLimits
from mmoinv.realm.statistics import Tally
from mmoinv.records import batch_of
from mmoinv.stores import CommitOutcome, DuplicateRowError, Store, store_for
from mmoinv.stores.server_store import ServerStore
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.steps import NO_GUIDS, NO_ITEMS, NO_SLOTS, OwnedItems, Sessions, Write

QUICK = StoreSettings(lock_timeout_s=1.0, statement_timeout_s=3.0, connect_timeout_s=3.0)
MakeServerStore = Callable[..., ServerStore]


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    found: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def url(server: DatabaseServer, request: pytest.FixtureRequest) -> Any:
    url = server.new_database(tcp=True)
    yield url
    server.drop_database(url)


def server_store(url: str, settings: StoreSettings = QUICK) -> ServerStore:
    store = store_for(url, settings)
    assert isinstance(store, ServerStore)
    return store


@pytest.fixture
async def store(url: str) -> AsyncIterator[ServerStore]:
    async with server_store(url) as store:
        await store.add_world("world-1", "verifier 1")
        await store.add_world("world-2", "verifier 2")
        yield store


class Cable:
    """A TCP connection to a server that can be cut, just when it carries certain bytes."""

    def __init__(self, host: str, port: int) -> None:
        self._to = host, port
        self.cut_behind = b""
        """Once the client has sent this, it is passed on, and no answer comes back."""
        self.cuts = 0
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[int]:
        """The port that leads to the server."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            self.cut()
            server.close()
            await server.wait_closed()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._to)
        self._writers += [writer, server_writer]
        answers = asyncio.create_task(_pump(server_reader, writer))
        try:
            while data := await reader.read(65536):
                is_last = bool(self.cut_behind) and self.cut_behind in data
                if is_last:
                    answers.cancel()
                    self.cut_behind = b""
                    self.cuts += 1
                server_writer.write(data)
                await server_writer.drain()
                if is_last:
                    # The server is done with it before anyone knows.
                    await asyncio.sleep(0.3)
                    break
        except ConnectionError:
            pass
        finally:
            answers.cancel()
            for one in (writer, server_writer):
                one.transport.abort()


def commit_on_the_wire(url: str) -> bytes:
    """What the last message of a transaction holds, and none before it."""
    return b";COMMIT" if "mariadb" in url else b"COMMIT\0"


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass


@pytest.fixture
async def cable(url: str) -> AsyncIterator[tuple[Cable, str]]:
    """A cable, and the URL that leads through it."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    cable = Cable(parts.hostname, parts.port)
    async with cable.laid() as port:
        yield cable, parts._replace(netloc=f"mmoinv@127.0.0.1:{port}").geturl()


async def test_a_connection_that_died_during_commit_is_settled_by_the_operation_id(
    cable: tuple[Cable, str], store: ServerStore
) -> None:
    line, url = cable
    async with server_store(url) as cut_off:
        await joined(cut_off, 7, 8)
        line.cut_behind = commit_on_the_wire(url)
        save = commit(1, changes(7, item(23, 5))), commit(2, changes(8, item(23, 6)))
        with pytest.raises(StoreUnavailableError, match="connection failed"):
            await run(cut_off, *save)
        assert line.cuts == 1
        assert await stored(store, 7) == {23: (100, 1, 5)}
        # What a realm does next, and what the world behind it gets to hear: a success.
        assert await run(cut_off, *save) == [(1, [1]), (1, [1])]
        assert await run(cut_off, commit(3, changes(7, item(23, 5, stack=2), version=1))) == [
            (0, [2])
        ]
    assert await stored(store, 7) == {23: (100, 2, 5)}


async def test_a_connection_that_died_before_the_commit_leaves_nothing(
    cable: tuple[Cable, str], store: ServerStore
) -> None:
    line, url = cable
    async with server_store(url) as cut_off:
        await joined(cut_off, 7)
        # The look at the session is on its way.
        line.cut_behind = b"character_session" if "mariadb" in url else b"BEGIN ISOLATION"
        save = commit(1, changes(7, item(23, 5)))
        with pytest.raises(StoreUnavailableError, match="connection failed"):
            await run(cut_off, save)
        assert line.cuts == 1
        assert await stored(store, 7) == {}
        assert await run(cut_off, save) == [(0, [1])]
    assert await stored(store, 7) == {23: (100, 1, 5)}


async def test_a_realm_answers_once_whatever_the_connection_does(
    cable: tuple[Cable, str], store: ServerStore
) -> None:
    line, url = cable
    async with server_store(url) as cut_off:
        await joined(cut_off, 7)
        tally = Tally()
        writer = GroupCommit(cut_off, NumberMint(1), RealmLimits(), tally)
        writer.start()
        answers: list[Any] = []
        for version in range(12):
            if version % 3 == 1:
                line.cut_behind = commit_on_the_wire(url)
            elif version % 3 == 2:
                line.cut()
            done = asyncio.get_running_loop().create_future()
            one = commit(version + 1, changes(7, item(23, 5, stack=version + 1), version=version))
            writer.submit(entry(one), lambda _, result, done=done: done.set_result(result))
            answers.append(await done)
        await writer.close()
    assert [answer.versions.tolist() for answer in answers] == [[n] for n in range(1, 13)]
    assert {answer.statuses.tolist()[0] for answer in answers} == {0, 1}
    assert (tally.abandoned, line.cuts) == (0, 4)
    assert tally.retries >= 8
    assert await stored(store, 7) == {23: (100, 12, 5)}


async def test_a_lock_that_someone_holds_is_waited_for_and_no_longer(
    store: ServerStore, url: str
) -> None:
    await joined(store, 7, 8)
    async with server_store(url) as other, other._opened().connect() as blocker:
        await blocker.execute(
            text("SELECT * FROM character_session WHERE character_guid = 7 FOR UPDATE")
        )
        save = commit(1, changes(7, item(23, 5))), commit(2, changes(8, item(23, 6)))
        with pytest.raises(StoreUnavailableError, match="Another process holds a lock"):
            await run(store, *save)
        await blocker.rollback()
        assert await run(store, *save) == [(0, [1]), (0, [1])]


async def test_a_connection_that_the_server_ended_is_made_anew(
    store: ServerStore, server: DatabaseServer, url: str
) -> None:
    await joined(store, 7)
    end_all = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
        "AND datname = current_database()"
    )
    if "mariadb" in url:
        listed = server.execute(
            "SELECT id FROM information_schema.processlist WHERE db IS NOT NULL"
            " AND id <> CONNECTION_ID()",
            url=url,
        )
        server.execute(*(f"KILL {number}" for (number,) in listed), url=url)
    else:
        server.execute(end_all, url=url)
    with pytest.raises(StoreUnavailableError):
        await run(store, commit(1, changes(7, item(23, 5))))
    assert await run(store, commit(1, changes(7, item(23, 5)))) == [(0, [1])]
    assert await store.find_world("world-1") == (1, "verifier 1")


async def test_what_the_server_refuses_is_undone_and_the_connection_stays(
    store: ServerStore,
) -> None:
    await joined(store, 7)
    writer = store._writer
    await run(store, commit(1, changes(7, item(23, 5))))
    # Past the look, as if somebody else were quicker.
    with pytest.raises(DuplicateRowError, match="rolled back"):
        await _insert_twice(store)
    assert store._writer is writer
    assert await run(store, commit(2, changes(7, item(23, 5, stack=2), version=1))) == [(0, [2])]


async def _insert_twice(store: ServerStore) -> None:
    """An insert of a record whose guid is stored already."""
    from mmoinv.stores.steps import OwnedItems

    batch = item(24, 5).as_batch()
    write = Write(
        NO_GUIDS,
        NO_SLOTS,
        NO_ITEMS,
        OwnedItems(np.array([7], np.uint64), batch),
        NO_GUIDS,
        NO_GUIDS,
    )

    async def entries(*_: Any) -> Any:
        raw = await store._raw_writer()
        await store._begin(raw, 0)
        await store._change(raw, write)
        await store._commit(raw)

    original = store._write_entries
    store._write_entries = entries  # type: ignore[method-assign]
    try:
        await store.write_group([])
    finally:
        store._write_entries = original  # type: ignore[method-assign]


async def test_an_update_in_place_never_touches_a_strangers_row(store: ServerStore) -> None:
    """Should the place of a guid have changed behind our back, nothing is overwritten."""
    await joined(store, 7, 8)
    await run(store, commit(1, changes(7, item(23, 5))), commit(2, changes(8, item(30, 6))))
    guid = np.array([7], np.uint64)
    store._committed.keep(
        Sessions(
            guid,
            np.array([1]),
            np.array([1], np.uint32),
            np.array([1], np.uint64),
            np.array([True]),
        ),
        # What is remembered is wrong: guid 6 is character 8's.
        _owned(guid, item(23, 6)),
    )
    with suppress(StoreDataError, StoreUnavailableError):
        await run(store, commit(3, changes(7, item(23, 6, stack=9), version=1)))
    assert await stored(store, 8) == {30: (100, 1, 6)}


async def test_few_updates_never_lose_a_row_silently(store: ServerStore) -> None:
    """Somebody deletes a row behind our back: it is an error, or the record is written again."""
    await joined(store, 7)
    await run(store, commit(1, changes(7, item(23, 5), item(24, 6))))
    await store._write(
        lambda connection: connection.execute(
            text("DELETE FROM character_inventory WHERE slot = 23")
        )
    )
    change = commit(2, changes(7, item(23, 5, stack=9), version=1))
    with suppress(StoreDataError):
        assert await run(store, change) == [(0, [2])]
        assert await stored(store, 7) == {23: (100, 9, 5), 24: (100, 1, 6)}
        return
    assert await stored(store, 7) == {24: (100, 1, 6)}
    assert await run(store, change) == [(0, [2])]
    assert await stored(store, 7) == {23: (100, 9, 5), 24: (100, 1, 6)}


async def test_many_updates_of_which_one_has_lost_its_row_are_no_half_of_it(
    store: ServerStore,
) -> None:
    """Somebody deletes a row behind our back, while its character is online."""
    await joined(store, 7)
    count = 60  # More than go in as single values.
    items = [item(slot, slot) for slot in range(256, 256 + count)]
    await run(store, commit(1, changes(7, *items)))
    await store._write(
        lambda connection: connection.execute(
            text("DELETE FROM character_inventory WHERE slot = 300")
        )
    )
    more = [item(slot, slot, stack=2, durability=9) for slot in range(256, 256 + count)]
    with pytest.raises(StoreDataError, match="only 59 were found"):
        await run(store, commit(2, changes(7, *more, version=1)))
    assert set((await stored(store, 7)).values()) == {
        (100, 1, slot) for slot in range(256, 256 + count) if slot != 300
    }
    # Nothing is remembered any longer, and so it is seen now.
    assert await run(store, commit(2, changes(7, *more, version=1))) == [(0, [2])]
    assert len(await stored(store, 7)) == count


@pytest.mark.parametrize("fields", [("stack_count",), ("durability", "item_flags", "creator")])
async def test_many_updates_write_the_fields_that_differ(
    store: ServerStore, fields: tuple[str, ...]
) -> None:
    await joined(store, 7)
    before = [item(slot, slot, durability=3, creator=5) for slot in range(256, 320)]
    await run(store, commit(1, changes(7, *before)))
    # Of each record another one, and the first not at all.
    after = [
        one._replace(**{fields[number % len(fields)]: 7}) if number else one
        for number, one in enumerate(before)
    ]
    assert await run(store, commit(2, changes(7, *after, version=1))) == [(0, [2])]
    assert (await store.read_items(7)).tolist() == batch_of(*after).tolist()


def _owned(guids: Any, *items: Any) -> OwnedItems:
    return OwnedItems(guids, batch_of(*items))


async def test_two_realms_share_a_database(store: ServerStore, url: str) -> None:
    async with server_store(url) as other:
        await joined(store, 7)
        items = [item(slot, slot) for slot in range(256, 276)]
        assert await run(store, commit(1, changes(7, *items))) == [(0, [1])]
        (again,) = await joined(other, 7, world=OTHER_WORLD)
        assert (again.epoch, len(again.items)) == (2, 20)
        items[3] = item(259, 259, stack=7)
        save = commit(2, changes(7, *items, epoch=2, version=1), replace=True)
        assert await run(other, save, world=OTHER_WORLD) == [(0, [2])]
        # The first one remembers version 1, and must not believe it.
        stale = commit(3, changes(7, item(256, 256, stack=3), version=1))
        assert await run(store, stale) == [(2, [2])]
        late = commit(4, changes(7, item(256, 256, stack=3), epoch=2, version=2))
        assert await run(store, late, world=OTHER_WORLD) == [(0, [3])]
    found = await stored(store, 7)
    assert (found[256], found[259]) == ((100, 3, 256), (100, 7, 259))


async def test_two_realms_never_block_each_other_for_good(store: ServerStore, url: str) -> None:
    """Trades over the same characters from both sides, in every order."""
    characters = list(range(1, 13))
    await joined(store, *characters)
    rng = np.random.default_rng(3)
    settings = StoreSettings(lock_timeout_s=2.0)
    versions = dict.fromkeys(characters, 0)
    committed: list[tuple[int, int]] = []

    async def trade(side: Store, first_id: int) -> None:
        for number in range(25):
            pairs = rng.permutation(characters).tolist()
            while True:
                group = entry(
                    *(
                        commit(
                            first_id + number * 10 + n,
                            changes(one, version=versions[one]),
                            changes(two, version=versions[two]),
                        )
                        for n, (one, two) in enumerate(list(pairwise(pairs))[::2])
                    )
                )
                try:
                    (outcome,) = await side.write_group([group])
                except StoreUnavailableError:
                    continue
                break
            assert isinstance(outcome, CommitOutcome)
            assert set(outcome.statuses.tolist()) <= {0, 1, 3}
            guids = group.commits.participants["character_guid"].tolist()
            for guid, version in zip(guids, outcome.versions.tolist(), strict=True):
                versions[guid] = max(versions[guid], version)
            done = np.repeat(outcome.statuses, 2) < 2
            committed.extend(
                (guid, version)
                for guid, version, yes in zip(
                    guids, outcome.versions.tolist(), done.tolist(), strict=True
                )
                if yes
            )

    async with server_store(url, settings) as one, server_store(url, settings) as two:
        async with asyncio.timeout(60):
            await asyncio.gather(trade(one, 1 << 20), trade(two, 2 << 20))
    for guid in characters:
        session = await store.read_session(guid)
        assert session is not None
        assert session.version == len({pair for pair in committed if pair[0] == guid})
        assert session.world_id == WORLD


async def test_a_cancelled_group_is_undone(store: ServerStore, url: str) -> None:
    await joined(store, 7)
    async with server_store(url) as other, other._opened().connect() as blocker:
        await blocker.execute(
            text("SELECT * FROM character_session WHERE character_guid = 7 FOR UPDATE")
        )
        writing = asyncio.create_task(run(store, commit(1, changes(7, item(23, 5)))))
        await asyncio.sleep(0.2)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await blocker.rollback()
    assert await stored(store, 7) == {}
    assert await run(store, commit(1, changes(7, item(23, 5)))) == [(0, [1])]


async def test_a_host_that_says_nothing_does_not_keep_us_from_the_next(url: str) -> None:
    async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(never_answers, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    both = url.replace("@", f"@127.0.0.1:1,127.0.0.1:{port},")
    async with server_store(both) as store:
        await store.add_world("world-1", "verifier 1")
    silent.close()
    await silent.wait_closed()
    neither = urlsplit(both)._replace(netloc=f"mmoinv@127.0.0.1:1,127.0.0.1:{port}").geturl()
    with pytest.raises(StoreUnavailableError, match="none of its hosts takes writes"):
        await server_store(neither).open()


async def test_a_server_that_is_away_says_so(server: DatabaseServer, url: str) -> None:
    parts = urlsplit(url)
    nobody = parts._replace(netloc="mmoinv:hush@127.0.0.1:1").geturl()
    with pytest.raises(StoreUnavailableError) as caught:
        await server_store(nobody).open()
    assert "hush" not in str(caught.value)
    assert "Check that the server runs" in str(caught.value)
    missing = parts._replace(path="/no_such_database").geturl()
    with pytest.raises(StoreUnavailableError, match="Create the database first"):
        await server_store(missing).open()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://mmoinv@host", "names no database"),
        ("mariadb://mmoinv@host:99999/realm", "is no host or host:port"),
        ("mysql://mmoinv:secret@host/realm?colour=red", "'colour' is not known"),
        ("oracle://mmoinv:secret@host/realm", "'oracle' is not known"),
    ],
)
def test_urls_that_cannot_be(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        store_for(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("missing", "url", "extra"),
    [
        ("asyncpg", "postgresql://mmoinv:secret@host/realm", "postgresql"),
        ("asyncmy", "mysql://mmoinv:secret@host/realm", "mariadb"),
        ("sqlalchemy", "sqlite:///realm.db", "realm"),
    ],
)
def test_a_missing_extra_is_one_clear_line(missing: str, url: str, extra: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from mmoinv.stores import store_for\n"
        "from mmoinv.errors import ConfigurationError\n"
        f"try: store_for({url!r})\n"
        "except ConfigurationError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert f"pip install 'mmoinv[{extra}]'" in done.stdout
    assert done.stdout.count("\n") == 1
    assert "secret" not in done.stdout
    assert not done.stderr


async def test_a_server_that_takes_no_writes_is_not_written_to(postgresql_server: Any) -> None:
    url = postgresql_server.new_database()
    name = url.partition("?")[0].rpartition("/")[2]
    async with server_store(url) as store:
        await store.add_world("world-1", "verifier 1")
        await joined(store, 7)
        change = f"ALTER DATABASE {name} SET default_transaction_read_only"
        postgresql_server.execute(f"{change} = on")
        await store._drop_writer()
        await store._opened().dispose()
        with pytest.raises(StoreUnavailableError, match="read-write"):
            await run(store, commit(1, changes(7, item(23, 5))))
        postgresql_server.execute(f"{change} = off")
        assert await run(store, commit(1, changes(7, item(23, 5)))) == [(0, [1])]
    postgresql_server.drop_database(url)


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        ("53100", StoreUnavailableError, "make room"),
        ("40001", StoreUnavailableError, ""),
        ("40P01", StoreUnavailableError, ""),
        ("25006", StoreUnavailableError, "name all hosts"),
        ("57P01", StoreUnavailableError, ""),
        ("42501", StoreUnavailableError, "the rights"),
        ("22003", StoreDataError, ""),
        ("23514", StoreDataError, ""),
        ("23505", DuplicateRowError, ""),
    ],
)
def test_what_postgresqls_errors_mean(code: str, kind: type[Exception], remedy: str) -> None:
    import asyncpg

    from mmoinv.stores.postgresql.errors import store_error

    error = store_error(asyncpg.PostgresError.new({"C": code, "M": "said"}), "postgresql://host/db")
    assert type(error) is kind
    assert remedy in str(error)


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        (1021, StoreUnavailableError, "make room"),
        (1205, StoreUnavailableError, "Another process holds a lock"),
        (1213, StoreUnavailableError, ""),
        (1047, StoreUnavailableError, "not part of the cluster"),
        (1290, StoreUnavailableError, "name all hosts"),
        (2006, StoreUnavailableError, "Check that the server runs"),
        (2013, StoreUnavailableError, "Check that the server runs"),
        (1264, StoreDataError, ""),
        (4025, StoreDataError, ""),
        (1062, DuplicateRowError, ""),
    ],
)
def test_what_mariadbs_errors_mean(code: int, kind: type[Exception], remedy: str) -> None:
    from asyncmy.errors import OperationalError

    from mmoinv.stores.mariadb.errors import store_error

    error = store_error(OperationalError(code, "said"), "mariadb://host/db")
    assert type(error) is kind
    assert remedy in str(error)
