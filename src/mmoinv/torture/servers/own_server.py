"""What every server that was started here can do, whichever database it is.

Knows its process, folder and port; what is to be run, and how one asks, its database's file knows.
"""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from mmoinv.torture.servers.database_server import DatabaseServer
from mmoinv.torture.servers.process import ServerError, ServerFolder, ServerProcess, free_port
from mmoinv.torture.servers.watchdog import descendants

PORTS_TO_TRY = 5


class OwnServer(DatabaseServer):
    """A throw-away server in a folder of its own."""

    PORT_TAKEN: ClassVar[str]
    """What it says when someone else has its port."""

    _folder: ServerFolder
    _process: ServerProcess
    port: int

    def _set_up(self, folder: ServerFolder, settings: Mapping[str, str]) -> None:
        """Make its data in the folder and start it on a free port; if that fails, nothing is
        left."""
        self._folder = folder
        try:
            self._make(settings)
            for attempt in range(1, PORTS_TO_TRY + 1):
                self._use_port(free_port())
                try:
                    self.start()
                    break
                except ServerError as error:  # someone else may have taken the port meanwhile
                    if attempt == PORTS_TO_TRY or self.PORT_TAKEN not in str(error):
                        raise
            self._started_first()
        except BaseException:
            self._folder.remove()
            raise

    @abstractmethod
    def _make(self, settings: Mapping[str, str]) -> None:
        """Set `_process`, and make the data that it runs on."""

    @abstractmethod
    def _use_port(self, port: int) -> None:
        """From its next start on."""

    def _started_first(self) -> None:
        """It runs for the first time."""

    @property
    def started_here(self) -> bool:
        return True

    @property
    def running(self) -> bool:
        return self._process.running

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        self._process.kill()

    def limit_files(self, size: int | None) -> None:
        limit = "unlimited" if size is None else str(size)
        for pid in (self.pid, *descendants(self.pid)) if self.running else ():
            self._folder.limit(pid, f"--fsize={limit}:")

    @property
    def log(self) -> Path:
        """What it has said since its first start; gone with its folder."""
        return self._process.log

    def log_tail(self) -> str:
        """The end of its log, to be shown."""
        return self._process.log_tail()

    def close(self) -> None:
        self._process.kill()
        self._folder.remove()
