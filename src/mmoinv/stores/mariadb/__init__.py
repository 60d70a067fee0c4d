"""The MariaDB and MySQL store, on asyncmy."""

from mmoinv.stores.mariadb.store import MariadbStore

__all__ = ["MariadbStore"]
