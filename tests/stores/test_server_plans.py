"""The bulk statements find their rows by a key, on tables of some size."""

import re
from collections.abc import AsyncIterator

import numpy as np
import pytest

from mmoinv.stores import store_for
from mmoinv.stores.mariadb import bulk as mariadb
from mmoinv.stores.mariadb.store import MariadbStore, _run
from mmoinv.stores.postgresql import bulk as postgresql
from mmoinv.stores.postgresql.store import PostgresqlStore
from mmoinv.stores.steps import NO_GUIDS, NO_ITEMS, Look, Slots, Write

HALF = 2**63
GUIDS = {
    "one": np.array([7], np.uint64),
    "some": np.arange(1, 40, dtype=np.uint64),
    "one on each side of 2^63": np.array([7, HALF + 7], np.uint64),
    "some on both sides of 2^63": np.arange(HALF - 20, HALF + 20, dtype=np.uint64),
}


@pytest.fixture
async def mariadb_store(mariadb_url: str) -> AsyncIterator[MariadbStore]:
    async with store_for(mariadb_url) as store:
        assert isinstance(store, MariadbStore)
        raw = await store._raw_writer()
        for statement in (
            "INSERT INTO character_inventory SELECT g.seq + IF(g.seq > 500, 9223372036854775000, 0)"
            ", s.seq, 1, 1, 0, 0, 0, 0, 0, 0, g.seq * 100 + s.seq "
            "FROM seq_1_to_1000 g, seq_1_to_20 s",
            "INSERT INTO character_session SELECT DISTINCT character_guid, 1, 1, 1, 0, 1 "
            "FROM character_inventory",
            "INSERT INTO applied_operation SELECT seq, 0 FROM seq_1_to_5000",
            "ANALYZE TABLE character_inventory, character_session, applied_operation",
        ):
            await _run(raw, statement)
        yield store


@pytest.mark.parametrize("guids", GUIDS.values(), ids=GUIDS.keys())
async def test_mariadb_finds_its_rows_by_a_key(
    mariadb_store: MariadbStore, guids: np.ndarray
) -> None:
    raw = await mariadb_store._raw_writer()
    look = Look(guids, guids, guids, guids)
    slots = np.resize(np.array([3, 4], np.uint16), len(guids))
    write = Write(guids, Slots(guids, slots), NO_ITEMS, NO_ITEMS, guids, NO_GUIDS)
    statements = [text for _, texts in mariadb.selects(look) for text in texts]
    statements += mariadb.changes(write, 0)
    assert len(statements) >= 7
    for statement in statements:
        for row in (await _run(raw, f"EXPLAIN {statement}"))[0]:
            kind, key, rows = row[3], row[5], row[8]
            if "const table" in str(row[-1]):
                continue
            assert kind in ("range", "const", "eq_ref", "ref"), (statement, row)
            assert key, (statement, row)
            assert int(rows) <= 30 * len(guids), (statement, row)


async def test_postgresql_finds_its_rows_by_a_key(postgresql_url: str) -> None:
    async with store_for(postgresql_url) as store:
        assert isinstance(store, PostgresqlStore)
        raw = await store._raw_writer()
        # Without statistics, as in a table that has just been filled.
        for statement in (
            "INSERT INTO character_inventory SELECT g, s, 1, 1, 0, 0, 0, 0, 0, 0, g * 100 + s "
            "FROM generate_series(1, 1000) g, generate_series(1, 20) s",
            "INSERT INTO character_session SELECT g, 1, 1, 1, 0, 1 FROM generate_series(1, 1000) g",
        ):
            await raw.execute(statement)
        for name, statement in postgresql.ALL.items():
            count = len(set(re.findall(r"\$\d+", statement)))
            arguments = [[1, 2, 3]] * count
            if name in ("raise", "update", "finish few"):
                arguments[1] = 1  # type: ignore[call-overload]
            plan = "\n".join(row[0] for row in await raw.fetch(f"EXPLAIN {statement}", *arguments))
            assert "Index" in plan, plan
            assert not re.search("Seq Scan on (?!changed_item)", plan), plan
