"""The load test's characters in a database: what is stored of them, and their removal.

Through a connection of its own, beside the realm and after it. Knows no processes.
"""

import numpy as np
import numpy.typing as npt

from mmoinv.loadtest.guids import GUID_BASE, GUID_LAST
from mmoinv.records import Batch
from mmoinv.stores import open_store, store_for


async def stored_characters(database: str) -> dict[int, Batch]:
    """By character guid, with whatever else there is in their range of guids."""
    async with await open_store(database) as store:
        owners, items = await store.read_inventories(GUID_BASE, GUID_LAST)
    found, starts = np.unique(owners, return_index=True)
    return dict(zip(found.tolist(), np.split(items, starts[1:]), strict=True))


async def applied_operations(database: str) -> npt.NDArray[np.uint64]:
    """The ids of all operations that are noted as applied, ascending."""
    from sqlalchemy import select

    from mmoinv.stores.sql_store import SqlStore
    from mmoinv.stores.tables import APPLIED

    store = store_for(database)
    assert isinstance(store, SqlStore)
    ids = await store.read_only(
        lambda connection: connection.execute(select(APPLIED.c.operation_id)).scalars().all()
    )
    return np.sort(np.array(ids, np.uint64))


async def clear_characters(database: str) -> int:
    """Delete the load test's characters; how many records they had."""
    async with await open_store(database) as store:
        return await store.clear_characters(GUID_BASE, GUID_LAST)
