"""MariaDB servers of the tests; they live in `mmoinv.torture.servers`."""

from mmoinv.torture.servers.mariadb import (
    ForeignMariadbServer,
    MariadbServer,
)

__all__ = [
    "ForeignMariadbServer",
    "MariadbServer",
]
