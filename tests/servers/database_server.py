"""What every database server of the tests can do; they live in `mmoinv.torture.servers`."""

from mmoinv.torture.servers.database_server import (
    DATABASE,
    DatabaseServer,
    finished,
    name_of_database,
    with_database,
)

__all__ = [
    "DATABASE",
    "DatabaseServer",
    "finished",
    "name_of_database",
    "with_database",
]
