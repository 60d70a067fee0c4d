"""PostgreSQL servers of the tests; they live in `mmoinv.torture.servers`."""

from mmoinv.torture.servers.postgresql import (
    ForeignPostgresqlServer,
    PostgresqlServer,
)

__all__ = [
    "ForeignPostgresqlServer",
    "PostgresqlServer",
]
