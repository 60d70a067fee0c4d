"""What can be reached: a realm's port, a database. Logs on to nothing and changes nothing."""

import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from mmoinv.certificates import is_loopback
from mmoinv.doctor import certificates
from mmoinv.doctor.check import Check, failed, passed, refused, warned
from mmoinv.errors import ConfigurationError, SchemaVersionError

CONNECT_WITHIN_S = 3.0


def realm(host: str, port: int, tls_ca: str = "") -> Check:
    """Whether something listens on the port; and where a world would speak TLS with it, whether
    it would trust it."""
    address = f"{host}:{port}"
    begun = time.perf_counter()
    try:
        if tls_ca or not is_loopback(host):
            return certificates.shown_by(host, port, tls_ca, CONNECT_WITHIN_S)
        socket.create_connection((host, port), CONNECT_WITHIN_S).close()
    except OSError as error:
        return failed(
            "realm",
            f"{address} cannot be reached: {error.strerror or error}",
            f"Start it there: mmoinv realm --port {port}. Unless it is told so with --host, it "
            "listens on loopback only; check the address.",
        )
    took_ms = (time.perf_counter() - begun) * 1000
    return passed("realm", f"{address} accepts connections", connect_ms=round(took_ms, 3))


def database_folder(url: str) -> Path | None:
    """Where the database's file lies; None if it has none that can be looked at."""
    path = _path(url)
    return path.parent if path is not None and path.parent.is_dir() else None


def _path(url: str) -> Path | None:
    from mmoinv.stores import store_for
    from mmoinv.stores.sqlite import SqliteStore

    try:
        store = store_for(url)
    except ConfigurationError:
        return None
    return Path(store.path).absolute() if isinstance(store, SqliteStore) else None


def database(url: str) -> Iterator[Check]:
    """Whether a realm could use the database: it opens, its schema is right, it takes writes."""
    from mmoinv.doctor import servers
    from mmoinv.stores import store_for

    try:
        store = store_for(url)
    except ConfigurationError as error:
        yield refused("database", error, "Write it like sqlite:///realm.db.")
        return
    path = _path(url)
    if path is None:
        from mmoinv.stores.server_store import ServerStore

        if isinstance(store, ServerStore):
            yield from servers.server(store)
            return
        remedy = "Start a realm on it, which says what is wrong: mmoinv realm --database URL"
        yield warned("database", f"{store.url} is another package's, and not looked into", remedy)
    elif not path.parent.is_dir():
        text = f"{url}: the folder {path.parent} does not exist"
        yield failed("database", text, f"Create it: mkdir -p {path.parent}")
    elif not path.exists():
        yield passed("database", f"{url} is not there yet; the realm will create it")
    else:
        yield _file(url, path)


def _file(url: str, path: Path) -> Check:
    from sqlalchemy.exc import DBAPIError

    from mmoinv.stores.schema import SCHEMA_VERSION
    from mmoinv.stores.sqlite.errors import store_error
    from mmoinv.stores.sqlite.schema import inspect

    try:
        is_ours = inspect(str(path))
        # Opened for writing, and not written to.
        path.open("r+b").close()
    except SchemaVersionError as error:
        return refused("database", error, "Give the realm a database of its own.")
    except (DBAPIError, sqlite3.Error) as error:
        remedy = "Check the path, and restore the file from a backup."
        return refused("database", store_error(error, str(path)), remedy)
    except OSError as error:
        text = f"{url} cannot be written: {error.strerror or error}"
        return failed(
            "database", text, "Give this process the right to write the file and its folder."
        )
    if not is_ours:
        return passed("database", f"{url} is empty; the realm will set it up")
    return passed(
        "database",
        f"{url} opens, its schema is the right one (version {SCHEMA_VERSION})",
        schema_version=SCHEMA_VERSION,
    )
