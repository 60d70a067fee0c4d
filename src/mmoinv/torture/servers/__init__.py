"""Real database servers that are thrown away afterwards: started, killed and started again.

They know nothing of mmoinv: what they give are URLs. Linux only.
"""

from collections.abc import Callable

from mmoinv.torture.servers.database_server import DatabaseServer
from mmoinv.torture.servers.mariadb import MariadbServer
from mmoinv.torture.servers.own_server import OwnServer
from mmoinv.torture.servers.postgresql import PostgresqlServer
from mmoinv.torture.servers.process import ServerError, ServerMissingError

OWN_SERVERS: dict[str, Callable[[], OwnServer]] = {
    "postgresql": PostgresqlServer,
    "mariadb": MariadbServer,
}
"""What starts one, by its kind; `ServerMissingError` if there is no program for it."""

__all__ = ["OWN_SERVERS", "DatabaseServer", "OwnServer", "ServerError", "ServerMissingError"]
