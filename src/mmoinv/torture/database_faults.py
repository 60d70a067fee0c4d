"""What is done to the database of a torture run: killed, its disk full, its rows locked by others.

Each fault says whether it has found something to do, and calls ``struck`` as it takes hold. Knows
the realm by its process and its log.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, insert, select

from mmoinv.errors import MmoinvError
from mmoinv.stores import store_for
from mmoinv.stores.sql_store import SqlStore
from mmoinv.stores.tables import APPLIED, SESSION
from mmoinv.torture.realm import RealmProcess
from mmoinv.torture.servers import DatabaseServer, ServerMissingError
from mmoinv.torture.waiting import until

FULL_AT_BYTES = 4096
"""No file of a process whose disk is "full" is written to beyond this."""
WEIGHT = 400
"""Rows that an attacker has written, so that a server that ends the lighter of two transactions
that wait for each other ends the realm's."""
OVERLAP_S = 0.6
"""Shorter than PostgreSQL waits before it looks for a deadlock: it ends whoever looks first."""
NOTICED_WITHIN_S = 6.0
ANSWERS_WITHIN_S = 5.0


class DatabaseFaults:
    """The faults of one database; ``server`` is the one to be killed, if it is the run's own."""

    def __init__(self, url: str, realm: RealmProcess, server: DatabaseServer | None) -> None:
        self._url = url
        self._realm = realm
        self._server = server

    async def kill(self, for_s: float, struck: Callable[[], object]) -> bool:
        """kill -9 of the server and all its children, and its start."""
        if self._server is None:
            return False
        await asyncio.to_thread(self._server.kill)
        struck()
        await asyncio.sleep(for_s)
        await asyncio.to_thread(self._server.start)
        return True

    async def fill_disk(self, for_s: float, struck: Callable[[], object]) -> bool:
        """Whoever writes the database's files cannot for a while. A server that does not survive
        that is started again, as its operator would once there is room."""
        before = self._realm.said("unavailable")
        limit_files = self._realm.limit_files if self._server is None else self._server.limit_files
        try:
            await asyncio.to_thread(limit_files, FULL_AT_BYTES)
        except ServerMissingError:
            return False
        struck()
        try:
            await asyncio.sleep(for_s)
        finally:
            await asyncio.to_thread(limit_files, None)
            if self._server is not None:
                await asyncio.to_thread(_revive, self._server)
        return self._realm.said("unavailable") > before

    async def hold_locks(self, guid: int, for_s: float, struck: Callable[[], object]) -> bool:
        """Somebody else's transaction holds the rows of a character (on SQLite the file)."""
        loop = asyncio.get_running_loop()

        def hold(connection: Connection) -> None:
            _lock(connection, guid)
            loop.call_soon_threadsafe(struck)
            time.sleep(for_s)

        return await self._inspected(hold)

    async def deadlock(self, guids: tuple[int, int], commit: Callable[[], Any]) -> bool:
        """Hold the row of the higher guid, let a world ``commit`` something of both, then want the
        row of the lower one: the realm has it, and waits for the other."""
        low, high = sorted(guids)
        loop = asyncio.get_running_loop()
        before = self._realm.said("eadlock")

        def cross(connection: Connection) -> None:
            # Epoch 0 is nobody's: these ids are no operation's.
            rows = [{"operation_id": number, "applied_at": 0} for number in range(1, WEIGHT)]
            connection.execute(insert(APPLIED), rows)
            _lock(connection, high)
            loop.call_soon_threadsafe(commit)
            time.sleep(OVERLAP_S)
            _lock(connection, low)
            connection.rollback()

        await self._inspected(cross)
        return await until(lambda: self._realm.said("eadlock") > before, NOTICED_WITHIN_S)

    async def _inspected(self, work: Callable[[Connection], None]) -> bool:
        def run() -> bool:
            store = store_for(self._url)
            assert isinstance(store, SqlStore)
            # Busy itself, it has held nothing: the realm was quicker.
            with contextlib.suppress(MmoinvError):
                asyncio.run(store.inspect(work))
                return True
            return False

        return await asyncio.to_thread(run)


def _lock(connection: Connection, guid: int) -> None:
    connection.execute(
        select(SESSION.c.version).where(SESSION.c.character_guid == guid).with_for_update()
    )


def _revive(server: DatabaseServer) -> None:
    """Start a server again that does not answer."""
    until_s = time.monotonic() + ANSWERS_WITHIN_S
    while server.running and time.monotonic() < until_s:
        with contextlib.suppress(Exception):
            server.execute("SELECT 1")
            return
        time.sleep(0.1)
    server.kill()
    server.start()
