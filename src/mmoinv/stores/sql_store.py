"""What all our stores have in common: logons, numbers, and what tools ask, through SQLAlchemy.

A store adds how it connects and how it writes a group. Every question is a plain function of an
open SQLAlchemy connection; where it runs (a thread, an event loop) is the store's business.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    Connection,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)

from mmoinv.errors import StoreDataError
from mmoinv.records import INVENTORY_ITEM, U32_MAX, Batch, InventoryItemData
from mmoinv.stores import sessions
from mmoinv.stores.entries import Entry, MintGuids, Outcome
from mmoinv.stores.forgetting import forget_ledger, forget_operations, forgotten_epoch
from mmoinv.stores.import_rows import keep_import_rows
from mmoinv.stores.ledger import LedgerEntry, unpacked
from mmoinv.stores.part import Rules
from mmoinv.stores.schema import Schema, downgrade, schema_of, upgrade
from mmoinv.stores.sessions import wallets
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.store import Session, StoreCounts, World
from mmoinv.stores.stored_rows import BadRow, inventory
from mmoinv.stores.tables import (
    APPLIED,
    CHARACTER_LEDGER,
    IMPORT_SET_ASIDE,
    INVENTORY,
    LEDGER,
    LEDGER_COLUMNS,
    META,
    SESSION,
    SET_ASIDE,
    WALLET,
    WORLD,
    has_ledger_segments,
    spans,
)

T = TypeVar("T")
COUNTED = (INVENTORY, SESSION, APPLIED, SET_ASIDE, WORLD)
"""In the order of `StoreCounts`."""
LAST = (1 << 64) - 1
CHARACTERS_READ = 200
"""Characters whose inventories are read in one query."""


class SqlStore(ABC):
    """A `mmoinv.stores.Store` but for the connection and the groups."""

    settings: StoreSettings
    _forgotten_epoch = 0

    @property
    def rules(self) -> Rules:
        """What holds for all operations."""
        return self.settings.rules._replace(forgotten_epoch=self._forgotten_epoch)

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is, without any password."""

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether `open` was called, and `close` not yet."""

    @abstractmethod
    async def open(self) -> None:
        """Connect, create or check the schema."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what runs and disconnect."""

    @abstractmethod
    async def write_group(
        self, entries: Sequence[Entry], mint_guids: MintGuids | None = None
    ) -> list[Outcome]:
        """Write all entries in one transaction; see `Store.write_group`."""

    @abstractmethod
    async def _read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` outside of the groups; it changes nothing."""

    @abstractmethod
    async def _write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction outside of the groups: all of it is safe, or nothing."""

    @abstractmethod
    async def inspect(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction of a database that is not open, whatever schema it
        has; it is not created if it is not there."""

    @abstractmethod
    async def read_only(self, work: Callable[[Connection], T]) -> T:
        """As `inspect`, but nothing can be changed: the transaction sees one state and may not
        write, and a server that takes no writes will do."""

    @abstractmethod
    def _forget(self) -> None:
        """Forget what is remembered of the stored inventories."""

    async def __aenter__(self) -> Self:
        if not self.is_open:
            await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # The schema, of a database that is not open

    async def schema(self) -> Schema:
        """What the database holds."""
        return await self.read_only(lambda connection: schema_of(connection, self.url))

    async def upgrade(self) -> Schema:
        """Bring the schema to the version that this mmoinv speaks; what it was before."""
        return await self.inspect(lambda connection: upgrade(connection, self.url))

    async def downgrade(self, version: str) -> Schema:
        """Bring the schema down to an older version, for an older mmoinv; what it was before."""
        return await self.inspect(lambda connection: downgrade(connection, self.url, version))

    # Worlds and numbers

    async def add_world(self, name: str, verifier: str) -> int:
        """Create a world or give it another verifier; its world id."""

        def work(connection: Connection) -> int:
            changed = connection.execute(
                update(WORLD).where(WORLD.c.name == name).values(verifier=verifier)
            )
            if not changed.rowcount:
                known = connection.execute(select(WORLD.c.world_id).where(WORLD.c.name == name))
                if known.scalar() is None:
                    connection.execute(insert(WORLD).values(name=name, verifier=verifier))
            found = connection.execute(select(WORLD.c.world_id).where(WORLD.c.name == name))
            return int(found.scalar_one())

        return await self._write(work)

    async def find_world(self, name: str) -> tuple[int, str] | None:
        """World id and verifier by name."""

        def work(connection: Connection) -> tuple[int, str] | None:
            row = connection.execute(
                select(WORLD.c.world_id, WORLD.c.verifier).where(WORLD.c.name == name)
            ).one_or_none()
            return None if row is None else (row.world_id, row.verifier)

        return await self._read(work)

    async def worlds(self) -> list[World]:
        """All worlds, by name."""

        def work(connection: Connection) -> list[World]:
            rows = connection.execute(
                select(WORLD.c.world_id, WORLD.c.name, WORLD.c.verifier, WORLD.c.node_epoch)
            )
            # Databases sort letters each in its own way.
            return sorted((World(*row) for row in rows), key=lambda world: world.name)

        return await self._read(work)

    async def next_node_epoch(self, world_id: int | None = None) -> int:
        """A u32 that was never given before."""

        def work(connection: Connection) -> int:
            is_it = META.c.name == "node_epoch"
            connection.execute(update(META).where(is_it).values(value=META.c.value + 1))
            epoch = int(connection.execute(select(META.c.value).where(is_it)).scalar_one())
            if epoch > U32_MAX:
                raise StoreDataError(
                    f"database {self.url}: all {U32_MAX} node epochs are used up. "
                    "Nothing was changed; go on with a new database."
                )
            if world_id is not None:
                connection.execute(
                    update(WORLD).where(WORLD.c.world_id == world_id).values(node_epoch=epoch)
                )
            return epoch

        return await self._write(work)

    # Characters

    async def read_items(self, character_guid: int) -> Batch:
        """The stored inventory of a character, slot-sorted."""

        def work(connection: Connection) -> Batch:
            rows = connection.execute(
                select(INVENTORY).where(INVENTORY.c.character_guid == character_guid)
            )
            return inventory([tuple(row) for row in rows])[0]

        return await self._read(work)

    async def read_inventories(
        self, first_guid: int, last_guid: int
    ) -> tuple[npt.NDArray[np.uint64], Batch]:
        """All records of a range of characters."""

        def work(connection: Connection) -> tuple[npt.NDArray[np.uint64], Batch]:
            guids: list[int] = []
            batches: list[Batch] = [np.empty(0, INVENTORY_ITEM)]
            for guid, rows in _stored_inventories(connection, first_guid, last_guid):
                items, _ = inventory(rows)
                guids += [guid] * len(items)
                batches.append(items)
            return np.array(guids, np.uint64), np.concatenate(batches)

        return await self._read(work)

    async def read_session(self, character_guid: int) -> Session | None:
        """The session row of a character."""

        def work(connection: Connection) -> Session | None:
            row = connection.execute(
                select(
                    SESSION.c.character_guid,
                    SESSION.c.world_id,
                    SESSION.c.process_nonce,
                    SESSION.c.epoch,
                    SESSION.c.version,
                    SESSION.c.online,
                ).where(SESSION.c.character_guid == character_guid)
            ).one_or_none()
            return None if row is None else Session(*row[:5], bool(row.online))

        return await self._read(work)

    async def read_wallet(self, character_guid: int) -> dict[int, int]:
        """The balances of a character by currency."""

        def work(connection: Connection) -> dict[int, int]:
            return wallets(connection, [character_guid])[character_guid]

        return await self._read(work)

    async def read_ledger(
        self, character_guid: int, first_version: int = 1, limit: int = 1000
    ) -> list[LedgerEntry]:
        """What operations changed of a character, oldest first."""

        def work(connection: Connection) -> list[LedgerEntry]:
            columns = CHARACTER_LEDGER.c
            version = columns.version
            found: list[LedgerEntry] = []
            for span in spans(connection, CHARACTER_LEDGER, first_version, LAST, version):
                rows = connection.execute(
                    select(*(columns[name] for name in LEDGER_COLUMNS))
                    .where(and_(columns.character_guid == character_guid, span))
                    .order_by(version)
                    .limit(limit - len(found))
                )
                found += [unpacked(*row) for row in rows]
            return found

        return await self._read(work)

    async def has_characters(self, first_guid: int, last_guid: int) -> bool:
        """Whether anything is stored for a range of characters."""

        def work(connection: Connection) -> bool:
            return any(
                connection.execute(select(table.c.character_guid).where(span).limit(1)).first()
                for table in (INVENTORY, SESSION)
                for span in spans(connection, table, first_guid, last_guid)
            )

        return await self._read(work)

    async def clear_characters(self, first_guid: int, last_guid: int) -> int:
        """Delete all of a range of characters; how many items."""

        def work(connection: Connection) -> int:
            # Where the groups are written, not beside them.
            self._forget()
            items = 0
            view = CHARACTER_LEDGER.c
            if has_ledger_segments(connection.dialect):
                for span in spans(connection, CHARACTER_LEDGER, first_guid, last_guid):
                    numbers = select(view.ledger_id).where(span)
                    connection.execute(delete(LEDGER).where(LEDGER.c.ledger_id.in_(numbers)))
            else:
                for span in spans(connection, LEDGER, first_guid, last_guid):
                    connection.execute(delete(LEDGER).where(span))
            for table in (INVENTORY, SESSION, SET_ASIDE, IMPORT_SET_ASIDE, WALLET):
                for span in spans(connection, table, first_guid, last_guid):
                    deleted = connection.execute(delete(table).where(span)).rowcount
                    items += deleted if table is INVENTORY else 0
            return items

        return await self._write(work)

    # What mends a database

    async def ask(self, work: Callable[[Connection], T]) -> T:
        """Ask a question of one's own, which changes nothing."""
        return await self._read(work)

    async def set_aside(
        self, character_guid: int, items: Sequence[InventoryItemData], reason: str
    ) -> None:
        """Keep a copy of records among the rows that were set aside."""

        def work(connection: Connection) -> None:
            for item in items:
                values = {"character_guid": character_guid} | item._asdict()
                sessions.note_set_aside(connection, character_guid, BadRow(values, reason))

        await self._write(work)

    async def keep_import_rows(self, source: str, rows: Sequence[tuple[int, BadRow]]) -> int:
        """Keep rows of old tables, each with its character, that an import could not take whole;
        how many of them were not kept before. ``source`` names the old tables."""
        return await self._write(lambda connection: keep_import_rows(connection, source, rows))

    async def raise_version(self, character_guid: int, epoch: int, version: int) -> None:
        """Raise the version of a character, of whom one holds the session ``epoch``."""

        def work(connection: Connection) -> None:
            connection.execute(
                update(SESSION)
                .where(and_(SESSION.c.character_guid == character_guid, SESSION.c.epoch == epoch))
                .values(version=version)
            )

        await self._write(work)

    # Operations

    async def forget_operations(
        self, applied_before_s: int, after: int | None = None, limit: int = 2000
    ) -> int | None:
        """Forget old applied operations, a slice of the table at a time."""
        place, self._forgotten_epoch = await self._write(
            lambda connection: forget_operations(connection, applied_before_s, after, limit)
        )
        return place

    async def _learn_forgotten_epoch(self) -> None:
        """Up to where operations may be forgotten; for `open`."""
        self._forgotten_epoch = await self._read(forgotten_epoch)

    async def forget_ledger(self, committed_before_s: int, limit: int = 2000) -> bool:
        """Delete some of the oldest rows of the ledger; whether there may be more."""

        return await self._write(
            lambda connection: forget_ledger(connection, committed_before_s, limit)
        )

    async def counts(self) -> StoreCounts:
        """How many rows each table has."""

        def work(connection: Connection) -> StoreCounts:
            return StoreCounts(
                *(
                    connection.execute(select(func.count()).select_from(table)).scalar_one()
                    for table in COUNTED
                )
            )

        return await self._read(work)


def _stored_inventories(
    connection: Connection, first_guid: int, last_guid: int
) -> Iterator[tuple[int, list[tuple[int | None, ...]]]]:
    """Character and rows, ascending; some hundred characters at a time."""
    column = INVENTORY.c.character_guid
    for span in spans(connection, INVENTORY, first_guid, last_guid):
        guids = (
            connection.execute(select(column).where(span).distinct().order_by(column))
            .scalars()
            .all()
        )
        for start in range(0, len(guids), CHARACTERS_READ):
            some = guids[start : start + CHARACTERS_READ]
            rows = connection.execute(
                select(INVENTORY).where(column.between(some[0], some[-1])).order_by(column)
            )
            of_one: list[tuple[int | None, ...]] = []
            for row in rows:
                if of_one and of_one[0][0] != row[0]:
                    yield of_one[0][0] or 0, of_one
                    of_one = []
                of_one.append(tuple(row))
            if of_one:
                yield of_one[0][0] or 0, of_one
