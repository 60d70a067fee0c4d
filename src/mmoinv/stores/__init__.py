"""Stores: the databases behind a realm. `open_store` finds one by its URL."""

from mmoinv.stores.entries import (
    CommitEntry,
    CommitOutcome,
    Entry,
    JoinEntry,
    JoinOutcome,
    JoinRefused,
    LeaveEntry,
    LeaveOutcome,
    MintGuids,
    Outcome,
    Verdict,
)
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.store import DuplicateRowError, Session, Store, StoreCounts, World
from mmoinv.stores.urls import open_store, store_for

__all__ = [
    "CommitEntry",
    "CommitOutcome",
    "DuplicateRowError",
    "Entry",
    "JoinEntry",
    "JoinOutcome",
    "JoinRefused",
    "LeaveEntry",
    "LeaveOutcome",
    "MintGuids",
    "Outcome",
    "Session",
    "Store",
    "StoreCounts",
    "StoreSettings",
    "Verdict",
    "World",
    "open_store",
    "store_for",
]
