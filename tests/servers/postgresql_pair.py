"""Two PostgreSQL servers: a primary whose commits wait for a standby, that can take its place."""

import time
from types import TracebackType
from typing import Any, Self

from servers.database_server import DATABASE
from servers.postgresql import PostgresqlServer
from servers.process import START_TIMEOUT_S, ServerError

STANDBY = "standby"


class PostgresqlStandby(PostgresqlServer):
    """A copy of a running primary that follows it. It takes no writes until it is promoted."""

    def __init__(self, primary: PostgresqlServer, **settings: str) -> None:
        self._primary = primary
        # The primary knows it by this name.
        super().__init__(cluster_name=STANDBY, **settings)

    def _make_data(self) -> None:
        self._folder.run(
            *(self.programs / "pg_basebackup", "-D", self._data, "-R", "-X", "stream"),
            *("-c", "fast", "--no-sync", "-d", f"user={DATABASE} port={self._primary.port}"),
            *("-h", "127.0.0.1"),
        )

    def _started_first(self) -> None:
        pass  # it has the primary's databases


class PostgresqlPair:
    """A primary and a standby, thrown away. A commit that was answered is durable on both.

    ``settings`` are those of both servers. A primary that was killed may be started again as long
    as the standby was not promoted; afterwards it must stay away, it would take writes too.
    """

    def __init__(self, **settings: str) -> None:
        self.primary = PostgresqlServer(**settings)
        try:
            self.standby = PostgresqlStandby(self.primary, **settings)
        except BaseException:
            self.primary.close()
            raise
        # Only now: until there is a standby, a commit would wait for ever.
        self.primary.execute(
            f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'",
            "SELECT pg_reload_conf()",
        )
        self._promoted = False
        self.wait_in_sync()

    @property
    def url(self) -> str:
        """Names both hosts; which of them takes writes is for the client to find out."""
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return f"postgresql://{DATABASE}@{hosts}/{DATABASE}"

    @property
    def leader(self) -> PostgresqlServer:
        """The server that takes writes: the primary until the standby is promoted."""
        return self.standby if self._promoted else self.primary

    def new_database(self) -> str:
        """Make an empty database: its URL, that names both hosts."""
        name = self.leader.new_database().partition("?")[0].rpartition("/")[2]
        return self.url.removesuffix(DATABASE) + name

    def drop_database(self, url: str) -> None:
        """Drop a database, also while someone is connected."""
        self.leader.drop_database(url)

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements in the first database of the server that takes writes."""
        return self.leader.execute(*statements)

    def wait_in_sync(self) -> None:
        """Wait until commits wait for the standby: from then on it may take over at any time."""
        until = time.monotonic() + START_TIMEOUT_S
        asked = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        while self.primary.execute(asked) != [(1,)]:
            if time.monotonic() > until:
                raise ServerError(
                    f"The standby is not in sync after {START_TIMEOUT_S:g} s. "
                    f"{self.standby.log_tail()}"
                )
            time.sleep(0.05)

    def promote_standby(self) -> None:
        """Make the standby the server that takes writes; it goes on alone, waiting for nobody.
        A primary that still runs is killed first: two would take writes."""
        self.primary.kill()
        promoted = self.standby.execute(f"SELECT pg_promote(true, {START_TIMEOUT_S:.0f})")
        if promoted != [(True,)]:
            raise ServerError(f"The standby was not promoted. {self.standby.log_tail()}")
        self._promoted = True

    def close(self) -> None:
        """End both and remove their folders."""
        try:
            self.standby.close()
        finally:
            self.primary.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
