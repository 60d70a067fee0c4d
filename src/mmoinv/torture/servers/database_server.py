"""What every database server of the tests can do, whichever it is and whoever started it."""

import asyncio
import itertools
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

T = TypeVar("T")

DATABASE = "mmoinv"
"""User and first database of a server that was started here."""


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns, also for a caller inside an event loop: it runs in a thread."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asyncio.run(coroutine))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def with_database(url: str, database: str) -> str:
    """The same server's URL for another database."""
    # Not `_replace(...).geturl()`: it drops the // of a URL without a host.
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"/{database}", parts.query, ""))


class DatabaseServer(ABC):
    """A server that runs already, by its URL. Databases are made there; it is never ended."""

    def __init__(self, url: str, tcp_url: str | None = None) -> None:
        self.url = url
        """Of its first database, by the unix socket if the server was started here."""
        self.tcp_url = tcp_url or url
        """The same by TCP."""
        self._numbers = itertools.count(1)

    @abstractmethod
    def execute(self, *statements: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """Run statements, each a transaction of its own: the rows of the last one."""

    @abstractmethod
    def drop_database(self, url: str) -> None:
        """Drop a database, also while someone is connected or half-way in a transaction."""

    @property
    @abstractmethod
    def version(self) -> str:
        """What the server says of itself."""

    def new_database(self, *, tcp: bool = False) -> str:
        """Make an empty database: its URL, by the unix socket unless ``tcp``."""
        # The pid keeps sessions apart that use one server.
        name = f"{DATABASE}_{os.getpid()}_{next(self._numbers)}"
        self.execute(self._creation(name))
        return with_database(self.tcp_url if tcp else self.url, name)

    @abstractmethod
    def _creation(self, name: str) -> str: ...

    @property
    def started_here(self) -> bool:
        """Whether it can be killed, stopped and started."""
        return False

    @property
    def running(self) -> bool:
        """Whether the process is there; always, for a server that was not started here."""
        return True

    @property
    def pid(self) -> int:
        """Of a server that was started here; 0 while it does not run."""
        return 0

    def kill(self) -> None:
        """SIGKILL to the server and all its children at once; returns when they are gone."""
        raise NotImplementedError(f"{self.url} was not started here, it is not killed.")

    def stop(self) -> None:
        """Stop the server in its orderly way. Nothing happens if it does not run."""
        raise NotImplementedError(f"{self.url} was not started here, it is not stopped.")

    def start(self) -> None:
        """Start the server again on the same data and port."""
        raise NotImplementedError(f"{self.url} was not started here, it is not started.")

    def limit_files(self, size: int | None) -> None:
        """No file of the server and its children grows beyond ``size`` bytes, as on a full disk;
        None: as large as they want. `ServerMissingError` without the command for it."""
        raise NotImplementedError(f"{self.url} was not started here, its files are not limited.")

    def close(self) -> None:  # noqa: B027 (nothing is right for a server of someone else)
        """End the server and remove its folder, if it was started here."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def name_of_database(url: str) -> str:
    """The database a URL names; one that `DatabaseServer.new_database` did not make is refused."""
    name = urlsplit(url).path.removeprefix("/")
    if not name.startswith(f"{DATABASE}_"):
        raise ValueError(f"{name!r} is not a database that was made here; it is not dropped.")
    return name
