"""Rows that cannot be read, on each database: set aside and told, and the login goes on."""

import json
import logging

import pytest
from sqlalchemy import text

from mmoinv.conformance.operations import NONCE, WORLD, changes, commit, contents, item, joined, run
from mmoinv.conformance.stores import MakeStore
from mmoinv.stores import JoinEntry, JoinOutcome
from mmoinv.stores.sql_store import SqlStore

GUID = 2**63 + 7
BAD = {23: "entry = 0", 25: "stack_count = 0", 26: "slot = 65354"}
"""What each database can hold, and no record: no entry, no stack, a buyback slot."""


async def test_a_character_with_corrupt_rows_logs_in_without_them(
    make_store: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_store() as store:
        assert isinstance(store, SqlStore)
        await store.add_world("world-1", "verifier")
        await joined(store, GUID)
        await run(store, commit(1, changes(GUID, *(item(slot, slot) for slot in range(23, 28)))))
        await store._write(
            lambda connection: [
                connection.execute(
                    text(f"UPDATE character_inventory SET {change} WHERE slot = {slot}")
                )
                for slot, change in BAD.items()
            ]
        )
        with caplog.at_level(logging.ERROR, "mmoinv.stores"):
            (outcome,) = await store.write_group([JoinEntry(GUID, WORLD, NONCE)])
        assert isinstance(outcome, JoinOutcome)
        assert contents(outcome.items) == {24: (100, 1, 24), 27: (100, 1, 27)}
        assert outcome.set_aside == 3
        assert f"character {GUID}: a stored row cannot be read and is set aside" in caplog.text
        rows = await store.ask(
            lambda connection: connection.execute(
                text("SELECT slot, stored_row FROM set_aside_item ORDER BY slot")
            ).all()
        )
        assert [(slot, json.loads(row)["item_guid"]) for slot, row in rows] == [
            (23, 23),
            (25, 25),
            (65354, 26),
        ]
        assert (await store.counts()).set_aside_items == 3
        # She plays on, also in the slot that is free now.
        assert await run(store, commit(2, changes(GUID, item(25, 99), version=1, epoch=2))) == [
            (0, [2])
        ]
        (again,) = await store.write_group([JoinEntry(GUID, WORLD, NONCE)])
        assert isinstance(again, JoinOutcome)
        assert (len(again.items), again.set_aside) == (3, 0)
