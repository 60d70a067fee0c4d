"""What a database server says of itself: its version, our schema, what endangers the data, and
how long it takes to answer and to commit.

Changes nothing that is stored, and creates nothing.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from mmoinv.doctor.check import Check, failed, passed, refused, warned
from mmoinv.doctor.machine import GROUP, SLOW_SYNC_MS, p99_of
from mmoinv.errors import SchemaVersionError, StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from mmoinv.stores.schema import Schema
    from mmoinv.stores.server_store import ServerStore


class Danger(NamedTuple):
    """A setting, the values with which an answered commit outlives a power cut, what may happen
    with any other, and what to do."""

    setting: str
    safe: tuple[str, ...]
    consequence: str
    remedy: str


LOST = "what was answered as saved may be lost in a power cut"
DAMAGED = "a power cut may leave pages half written and the database damaged"
DANGERS = (
    Danger("fsync", ("on",), f"{LOST}, and the database damaged", "ALTER SYSTEM SET fsync = on;"),
    Danger("full_page_writes", ("on",), DAMAGED, "ALTER SYSTEM SET full_page_writes = on;"),
    Danger(
        "synchronous_commit",
        ("on", "remote_apply", "remote_write"),
        "the realm turns off into on for itself and leaves local, with which a failover may lose "
        "what was answered; other programs' commits may be lost",
        "ALTER SYSTEM SET synchronous_commit = on; (or ALTER ROLE, ALTER DATABASE)",
    ),
    Danger(
        "innodb_flush_log_at_trx_commit",
        ("1", "3"),
        LOST,
        "SET GLOBAL innodb_flush_log_at_trx_commit = 1; and in the server's file",
    ),
    Danger(
        "innodb_doublewrite",
        ("ON", "1", "DETECT_AND_RECOVER"),
        DAMAGED,
        "innodb_doublewrite = ON in the server's file, and restart it",
    ),
    Danger(
        "sync_binlog",
        ("1",),
        "after a power cut the binary log may miss commits, and its replicas with it",
        "SET GLOBAL sync_binlog = 1; and in the server's file",
    ),
)
WANTED_CONNECTIONS = 3
"""Of a realm: the groups', and two for everything else."""
SMALL_PACKET = 4 << 20
"""Below this a group of large inventories may not fit into one statement (MariaDB)."""
TIMES = 25
MESSAGE = "SELECT pg_logical_emit_message(true, 'mmoinv doctor', '')"
"""A transaction that is synced as every other, and whose only trace is a message in the
write-ahead log, which no table ever shows (PostgreSQL)."""


class Facts(NamedTuple):
    """What a server says; ``commits_ms`` is empty where a commit cannot be measured."""

    version: str
    settings: dict[str, str]
    connections: int
    schema: "Schema | SchemaVersionError"
    round_trips_ms: list[float]
    commits_ms: list[float]


def server(store: "ServerStore") -> Iterator[Check]:
    """Whether a realm could use the database, and what of its server's settings is dangerous."""
    try:
        facts = asyncio.run(store.inspect(lambda connection: _look(connection, store.url)))
    except StoreError as error:
        yield refused("database", error, "Start the server, or correct the URL.")
        return
    yield _schema(store.url, facts)
    yield from dangers(facts.settings)
    yield judge_limits(facts.settings, facts.connections)
    yield judge_commits(facts.commits_ms, facts.round_trips_ms)


def _look(connection: "Connection", url: str) -> Facts:
    from sqlalchemy import text

    from mmoinv.stores.schema import schema_of

    if connection.dialect.name == "postgresql":
        version = f"PostgreSQL {connection.execute(text('SHOW server_version')).scalar_one()}"
        rows = connection.execute(text("SELECT name, setting FROM pg_settings"))
        # Whoever asks may see this of all users, unlike pg_stat_activity.
        used = "SELECT sum(numbackends) FROM pg_stat_database"
        connections = int(connection.execute(text(used)).scalar_one())
    else:
        version = str(connection.execute(text("SELECT version()")).scalar_one())
        version = version if "maria" in version.lower() else f"MySQL {version}"
        rows = connection.execute(text("SHOW GLOBAL VARIABLES"))
        used = "SHOW GLOBAL STATUS LIKE 'Threads_connected'"
        connections = int(connection.execute(text(used)).one()[1])
    settings = {str(name): str(value) for name, value in rows}
    schema: Schema | SchemaVersionError
    try:
        schema = schema_of(connection, url)
    except SchemaVersionError as error:
        schema = error
    # Ours ends with this look.
    return Facts(version, settings, connections - 1, schema, *_times_ms(connection))


def _times_ms(connection: "Connection") -> tuple[list[float], list[float]]:
    """How long the way there and back takes, and a commit besides, each so many times."""
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    with connection.engine.connect() as second:
        second.execution_options(isolation_level="AUTOCOMMIT")

        def times_ms(statement: str) -> list[float]:
            result = []
            for _ in range(TIMES + 1):
                begun = time.perf_counter()
                second.execute(text(statement))
                result.append((time.perf_counter() - begun) * 1000)
            # The first one was prepared, too.
            return result[1:]

        round_trips_ms = times_ms("SELECT 1")
        if second.dialect.name != "postgresql":
            # What touches no table of the disk is not synced, and measures nothing.
            return round_trips_ms, []
        if second.execute(text("SHOW synchronous_commit")).scalar_one() == "off":
            # As a realm does.
            second.execute(text("SET synchronous_commit = on"))
        try:
            return round_trips_ms, times_ms(MESSAGE)
        except DBAPIError:
            # Not allowed to, or a relative of PostgreSQL that has no such function.
            return round_trips_ms, []


def _schema(url: str, facts: Facts) -> Check:
    from mmoinv.stores.schema import SCHEMA_VERSION, State

    found = facts.schema
    if isinstance(found, SchemaVersionError):
        return refused("database", found, "Give the realm a database of its own.")
    text = f"{url} answers ({facts.version})"
    if found.state is State.EMPTY:
        return passed(
            "database", f"{text}, it is empty; the realm will set it up", server=facts.version
        )
    if found.state is State.CURRENT:
        return passed(
            "database",
            f"{text}, its schema is the right one (version {SCHEMA_VERSION})",
            schema_version=SCHEMA_VERSION,
            server=facts.version,
        )
    text += f"; its schema is of version {found.version}, this mmoinv speaks {SCHEMA_VERSION}"
    if found.state is State.OLDER:
        return failed("database", text, f"mmoinv db upgrade --database {url}")
    return failed("database", text, "Use the newer mmoinv that wrote it.")


def dangers(settings: dict[str, str]) -> Iterator[Check]:
    """Each setting that endangers what was committed; one line if there is none."""
    is_safe = True
    for name, safe, consequence, remedy in DANGERS:
        value = settings.get(name)
        # Without a binary log there is nothing to sync, without a standby local is on.
        if (
            value is None
            or value in safe
            or (name == "sync_binlog" and settings.get("log_bin") == "OFF")
            or (value == "local" and not settings.get("synchronous_standby_names"))
        ):
            continue
        is_safe = False
        reload = " Then SELECT pg_reload_conf();" if remedy.startswith("ALTER") else ""
        yield warned("durable", f"{name} = {value}: {consequence}", remedy + reload)
    if is_safe:
        yield passed("durable", "what the server has committed outlives a power cut")


def judge_limits(settings: dict[str, str], connections: int) -> Check:
    """Whether the server's limits leave room for a realm; ``connections`` are in use."""
    limit = int(settings["max_connections"])
    reserved = sum(
        int(settings.get(name, 0))
        for name in ("superuser_reserved_connections", "reserved_connections")
    )
    text = (
        f"max_connections = {limit:,}, {connections:,} in use; a realm wants {WANTED_CONNECTIONS}"
    )
    figures: dict[str, str | float] = {"max_connections": limit, "connections": connections}
    remedies = []
    if limit - reserved - connections < WANTED_CONNECTIONS:
        remedies.append("Raise max_connections, or end some.")
    if "max_allowed_packet" in settings:
        packet = int(settings["max_allowed_packet"])
        figures["max_allowed_packet"] = packet
        text += f". max_allowed_packet = {packet:,} bytes"
        if packet < SMALL_PACKET:
            text += ": a large group does not fit into one statement"
            remedies.append("SET GLOBAL max_allowed_packet = 16777216; or lower max_group_items.")
    if remedies:
        return warned("server", text, " ".join(remedies), **figures)
    return passed("server", text, **figures)


def judge_commits(commits_ms: list[float], round_trips_ms: list[float]) -> Check:
    """What single commits' times mean for saves per second; no commits: they were not measured."""
    away_ms = statistics.median(round_trips_ms)
    way = f"the way to the server and back takes {away_ms:.2f} ms"
    figures: dict[str, str | float] = {"round_trip_median_ms": round(away_ms, 4)}
    if not commits_ms:
        text = (
            f"{way}. How long a commit takes cannot be seen on this server without writing to a "
            "table: not measured; 'mmoinv loadtest --sender --database URL' writes, and says it"
        )
        return passed("commit", text, **figures)
    median_ms, p99_ms = statistics.median(commits_ms), p99_of(commits_ms)
    alone = 1000 / max(median_ms, 1e-6)
    text = (
        f"a commit takes {median_ms:.2f} ms (p99 {p99_ms:.2f} ms), in which {way}: it allows for "
        f"{alone:,.0f} saves/s with a transaction each, {alone * GROUP:,.0f} with {GROUP} in one"
    )
    figures |= {
        "commit_median_ms": round(median_ms, 4),
        "commit_p99_ms": round(p99_ms, 4),
        "saves_per_s_alone": round(alone),
        "saves_per_s_grouped": round(alone * GROUP),
    }
    if p99_ms >= SLOW_SYNC_MS:
        remedy = (
            f"Answers to saves wait for it, and {SLOW_SYNC_MS:.0f} ms are too long. Put the "
            "server's log on a local SSD, and the server near the realm."
        )
        return warned("commit", text, remedy, **figures)
    return passed("commit", text, **figures)
