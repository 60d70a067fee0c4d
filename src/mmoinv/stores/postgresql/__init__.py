"""The PostgreSQL store, on asyncpg."""

from mmoinv.stores.postgresql.store import PostgresqlStore

__all__ = ["PostgresqlStore"]
