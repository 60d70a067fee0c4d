"""The SQLite store: a realm's database in one file."""

from mmoinv.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
