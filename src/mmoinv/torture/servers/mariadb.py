"""MariaDB: one server, the installed mariadbd."""

import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from mmoinv.torture.servers.database_server import (
    DATABASE,
    DatabaseServer,
    finished,
    name_of_database,
)
from mmoinv.torture.servers.own_server import OwnServer
from mmoinv.torture.servers.process import (
    ServerFolder,
    ServerMissingError,
    ServerProcess,
    account,
)

REMEDY = "apt-get install mariadb-server"
ACCOUNTS = ("mysql", "nobody")
CONNECT_TIMEOUT_S = 10
DROP_ATTEMPTS = 20


class ForeignMariadbServer(DatabaseServer):
    """A MariaDB server that runs already, by the URL of a database and a user who may make others
    there and end connections."""

    def execute(self, *statements: str, url: str | None = None) -> list[tuple[Any, ...]]:
        return finished(_executed(url or self.url, statements))

    def drop_database(self, url: str) -> None:
        finished(_dropped(self.url, name_of_database(url)))

    @property
    def version(self) -> str:
        return str(self.execute("SELECT VERSION()")[0][0])

    def _creation(self, name: str) -> str:
        return f"CREATE DATABASE {name} CHARACTER SET utf8mb4"


async def _connected(url: str) -> Any:
    import asyncmy

    parts = urlsplit(url)
    place: dict[str, Any] = {"host": parts.hostname or "localhost", "port": parts.port or 3306}
    options = parse_qs(parts.query)
    if "unix_socket" in options:
        place = {"unix_socket": options["unix_socket"][0]}
    return await asyncmy.connect(
        **place,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=parts.path.removeprefix("/"),
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_S,
    )


async def _executed(url: str, statements: tuple[str, ...]) -> list[tuple[Any, ...]]:
    connection = await _connected(url)
    try:
        async with connection.cursor() as cursor:
            rows: list[tuple[Any, ...]] = []
            for statement in statements:
                await cursor.execute(statement)
                rows = list(await cursor.fetchall()) if cursor.description else []
            return rows
    finally:
        await connection.ensure_closed()


async def _dropped(url: str, name: str) -> None:
    """MariaDB knows no DROP that ends connections, and waits for open transactions."""
    from asyncmy.errors import MySQLError

    connection = await _connected(url)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute("SET SESSION lock_wait_timeout = 1")
            for attempt in range(1, DROP_ATTEMPTS + 1):
                await cursor.execute(
                    "SELECT id FROM information_schema.processlist WHERE db = %s", (name,)
                )
                for (number,) in await cursor.fetchall():
                    try:
                        await cursor.execute(f"KILL {number:d}")
                    except MySQLError as error:
                        if error.args[0] != 1094:  # it went by itself
                            raise
                try:
                    await cursor.execute(f"DROP DATABASE {name}")
                    return
                except MySQLError as error:
                    if error.args[0] == 1008:  # there is none
                        return
                    if error.args[0] != 1205 or attempt == DROP_ATTEMPTS:  # a lock
                        raise
    finally:
        await connection.ensure_closed()


class MariadbServer(OwnServer, ForeignMariadbServer):
    """A throw-away MariaDB server: durable commits, a unix socket and a port of 127.0.0.1, and a
    user without a password who may do everything. ``settings`` are added to its own.
    `ServerMissingError` if there is no program for it."""

    PORT_TAKEN = "Bind on TCP/IP port"

    def __init__(self, **settings: str) -> None:
        self._program, self._installer = _programs()
        self._set_up(ServerFolder("my", account(*ACCOUNTS)), settings)

    def _make(self, settings: Mapping[str, str]) -> None:
        self._data = self._folder.path / "data"
        self._socket = self._folder.path / "s.sock"
        self._process = ServerProcess(self._folder, "mariadbd", signal.SIGTERM)
        self._users = self._folder.path / "users.sql"
        self._users.write_text(
            f"CREATE USER IF NOT EXISTS {DATABASE};\n"
            f"GRANT ALL ON *.* TO {DATABASE} WITH GRANT OPTION;\n"
            f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4;\n"
        )
        self._folder.own(self._users)
        self._settings = {
            "innodb-flush-log-at-trx-commit": "1",
            "innodb-buffer-pool-size": "128M",
            "innodb-log-file-size": "48M",
            "bind-address": "127.0.0.1",
            **settings,
        }
        self._make_data()

    def _make_data(self) -> None:
        self._folder.run(
            *(self._installer, "--no-defaults", f"--datadir={self._data}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        )

    def _use_port(self, port: int) -> None:
        self.port = port
        DatabaseServer.__init__(
            self,
            f"mariadb://{DATABASE}@/{DATABASE}?unix_socket={self._socket}",
            f"mariadb://{DATABASE}@127.0.0.1:{port}/{DATABASE}",
        )

    def start(self) -> None:
        self._start(f"--init-file={self._users}")

    def _start(self, *options: str) -> None:
        self._process.start(
            [
                *(self._program, "--no-defaults", f"--datadir={self._data}"),
                *(f"--socket={self._socket}", f"--port={self.port}", "--skip-name-resolve"),
                f"--pid-file={self._folder.path / 'mariadbd.pid'}",
                *(f"--{key}={value}" for key, value in self._settings.items()),
                *options,
            ],
            ready=self._answers,
        )

    def _answers(self) -> None:
        self.execute("SELECT 1")


def _programs() -> tuple[Path, Path]:
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin"
    found = [shutil.which(name, path=path) for name in ("mariadbd", "mariadb-install-db")]
    if found[0] is None or found[1] is None:
        raise ServerMissingError(
            f"MariaDB NOT TESTED: no mariadbd with mariadb-install-db on PATH or in /usr/sbin. "
            f"Remedy: {REMEDY}"
        )
    return Path(found[0]), Path(found[1])
