"""A world that moves over while it is killed: trades among its characters, or a last look.

``python moving_world.py FOLDER PORT SECRET play|look SEED``. Prints a line for each trade that was
answered; with ``look`` what everyone has, as JSON, once both sides are equal.
"""

import asyncio
import json
import random
import sys
from pathlib import Path

from old_way import OldWay

from mmoinv.errors import OperationRefusedError
from mmoinv.migration import FileBook, MigratingRepository, ModeRules, WholeInventories
from mmoinv.records import empty_batch
from mmoinv.repository import checked_changes
from mmoinv.world import RealmConnector

GUIDS = [*range(1, 6), 2**63 + 5]
SLOTS = range(12)


def trade(moving: MigratingRepository, chance: random.Random):
    """Something of one character to another one."""
    giver, taker = chance.sample(GUIDS, 2)
    theirs, others = moving.load_items(giver), moving.load_items(taker)
    free = [slot for slot in SLOTS if slot not in others["slot"]]
    if not len(theirs) or not free:
        return None
    moved = theirs[chance.randrange(len(theirs)) :][:1].copy()
    left = int(moved["slot"][0])
    moved["slot"] = chance.choice(free)
    return moving.commit_changes(
        [checked_changes(giver, empty_batch(), (left,)), checked_changes(taker, moved)],
        conserve=True,
    )


async def main(folder: Path, port: int, secret: str, what: str, seed: int) -> None:
    old = OldWay(folder / "old.db")
    legacy = WholeInventories(old.load, old.save, save_together=old.save_together)
    rules = ModeRules(path=folder / "modes.toml")
    async with RealmConnector("127.0.0.1", port, world="w", secret=secret) as connector:
        moving = MigratingRepository(
            legacy,
            connector.repository(),
            rules=rules,
            book=FileBook(folder / "moving.book"),
            mint=connector.new_item_guids,
            join_new=connector.join,
            leave_new=connector.leave,
        )
        for guid in GUIDS:
            await moving.join(guid)
        print("joined", flush=True)
        if what == "look":
            assert await moving.flush(20)
            told = {}
            for guid in GUIDS:
                mode = moving.mode_of(guid)
                assert mode is rules.mode_of(guid)
                items = moving.load_items(guid)
                told[guid] = items["entry"].tolist()
                if mode.is_followed:
                    assert old.load(guid)["entry"].tolist() == told[guid]
                    assert old.load(guid)["slot"].tolist() == items["slot"].tolist()
                    new = connector.repository().load_items(guid)
                    assert new.tobytes() == items.tobytes()
            await moving.close()
            print(json.dumps(told), flush=True)
            return
        chance = random.Random(seed)
        while True:
            handle = trade(moving, chance)
            if handle is not None:
                try:
                    await handle
                except OperationRefusedError:
                    # An item of it is at somebody else's there, who went back to the old way.
                    print("refused", flush=True)
                else:
                    print("traded", flush=True)


if __name__ == "__main__":
    folder, port, secret, what, seed = sys.argv[1:]
    asyncio.run(main(Path(folder), int(port), secret, what, int(seed)))
