"""THE schema as SQLAlchemy tables, for all databases; `mmoinv.stores.migrations` creates it.

A u64 is kept exactly: as it is on MariaDB and MySQL, as two's complement in a signed column on
SQLite and PostgreSQL, where the view character_inventory_unsigned shows people the number that
they know. Knows no rows and no connections.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

from mmoinv.records import WIDE

ITEM_COLUMNS = tuple(field.name for field in WIDE.fields)
ROW_COLUMNS = ("character_guid", "slot", *(name for name in ITEM_COLUMNS if name != "slot"))
"""The columns of character_inventory in the order of the table."""
COLUMN_SIZES = {"character_guid": 8} | {field.name: field.size for field in WIDE.fields}
"""How many bytes the record gives each."""
NAME_LENGTH = 64
HALF = 1 << 63


def signed_number(number: int) -> int:
    """A u64 as the i64 of the same bits."""
    return number - (1 << 64) if number >> 63 else number


def unsigned_number(number: int) -> int:
    """The inverse of `signed_number`."""
    return number % (1 << 64)


def keeps_unsigned(dialect: Dialect) -> bool:
    """Whether the database has unsigned columns, so that a u64 is stored as it is."""
    return dialect.name in ("mysql", "mariadb")


def spans(
    connection: Connection,
    table: Table,
    first: int,
    last: int,
    column: ColumnElement[int] | None = None,
) -> Iterator[ColumnElement[bool]]:
    """A range of u64, inclusive, as conditions; ascending. Two where a signed column holds it
    and it goes over 2^63."""
    column = table.c.character_guid if column is None else column
    if not keeps_unsigned(connection.dialect) and first < HALF <= last:
        yield column.between(first, HALF - 1)
        yield column.between(HALF, last)
    else:
        yield column.between(first, last)


class Unsigned64(TypeDecorator[int]):
    """A u64: 0 to 2^64 - 1 in Python, whatever the column is."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The column's type in a database."""
        if keeps_unsigned(dialect):
            return dialect.type_descriptor(mysql.BIGINT(unsigned=True))
        # Tables of SQLite that are STRICT know INTEGER only; it has 64 bits.
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else BigInteger())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        """To what is stored."""
        if value is None or keeps_unsigned(dialect):
            return value
        return signed_number(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> int | None:
        """From what is stored."""
        if value is None or keeps_unsigned(dialect):
            return value
        return unsigned_number(value)


def number_type(size: int) -> TypeEngine[Any]:
    """A column for an unsigned number of so many bytes."""
    if size == 8:
        return Unsigned64()
    unsigned: TypeEngine[Any] = (
        mysql.SMALLINT(unsigned=True) if size == 2 else mysql.INTEGER(unsigned=True)
    )
    signed: TypeEngine[Any] = Integer() if size == 2 else BigInteger()
    return signed.with_variant(unsigned, "mysql", "mariadb").with_variant(Integer(), "sqlite")


NUMBER = BigInteger().with_variant(Integer(), "sqlite")
NAME: TypeEngine[str] = (
    Text()
    # Equal means the same bytes, not the same letters.
    .with_variant(mysql.VARCHAR(NAME_LENGTH, collation="utf8mb4_bin"), "mysql", "mariadb")
)
LONG_TEXT = Text()
ROW_TEXT = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
"""A whole row of someone else's table."""
BLOB = LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
OPTIONS: dict[str, Any] = {
    "sqlite_strict": True,
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
}
KEYED: dict[str, Any] = OPTIONS | {"sqlite_with_rowid": False}

METADATA = MetaData()

META = Table(
    "mmoinv_meta",
    METADATA,
    Column("name", NAME, primary_key=True),
    Column("value", NUMBER, nullable=False),
    **KEYED,
)
"""Numbers of the database as a whole: ``node_epoch``, the last one given, and
``forgotten_epoch``, the highest one among the applied operations that were ever forgotten."""

INVENTORY = Table(
    "character_inventory",
    METADATA,
    Column("character_guid", Unsigned64(), primary_key=True, autoincrement=False),
    Column("slot", number_type(2), primary_key=True, autoincrement=False),
    *(
        Column(name, number_type(COLUMN_SIZES[name]), nullable=name == "item_guid")
        for name in ROW_COLUMNS[2:]
    ),
    **KEYED,
)
"""One row an item. slot is absolute: bag << 8 | slot in bag. An item that has no name yet
(item_guid 0) has NULL there, so that the index can hold the others unique."""
Index("character_inventory_item_guid", INVENTORY.c.item_guid, unique=True)

SESSION = Table(
    "character_session",
    METADATA,
    Column("character_guid", Unsigned64(), primary_key=True, autoincrement=False),
    Column("world_id", Integer, nullable=False),
    Column("process_nonce", Unsigned64(), nullable=False),
    Column("epoch", NUMBER, nullable=False),
    Column("version", Unsigned64(), nullable=False, server_default=text("0")),
    Column("online", Integer, nullable=False),
    CheckConstraint("epoch BETWEEN 1 AND 4294967295", name="character_session_epoch"),
    CheckConstraint("online IN (0, 1)", name="character_session_online"),
    **OPTIONS,
)
"""Who may write a character. epoch is the fencing token, version counts the commits."""

APPLIED = Table(
    "applied_operation",
    METADATA,
    Column("operation_id", Unsigned64(), primary_key=True, autoincrement=False),
    Column("applied_at", NUMBER, nullable=False),
    **KEYED,
)
"""Which operations are committed. applied_at in seconds since 1970."""

WORLD = Table(
    "world",
    METADATA,
    Column("world_id", Integer, primary_key=True),
    Column("name", NAME, nullable=False, unique=True),
    Column("verifier", LONG_TEXT, nullable=False),
    Column("node_epoch", NUMBER, nullable=False, server_default=text("0")),
    **OPTIONS,
)
"""The world servers that may log on. node_epoch is the last one that the world was given."""

SET_ASIDE = Table(
    "set_aside_item",
    METADATA,
    Column("set_aside_id", NUMBER, primary_key=True),
    Column("character_guid", Unsigned64(), nullable=False),
    Column("slot", NUMBER, nullable=False),
    Column("stored_row", LONG_TEXT, nullable=False),
    Column("reason", LONG_TEXT, nullable=False),
    Column("set_aside_at", NUMBER, nullable=False),
    **OPTIONS,
)
"""Rows of character_inventory that could not be read, as JSON: nothing is thrown away."""

IMPORT_SET_ASIDE = Table(
    "import_set_aside",
    METADATA,
    Column("set_aside_id", NUMBER, primary_key=True),
    Column("source", NAME, nullable=False),
    Column("character_guid", Unsigned64(), nullable=False),
    Column("slot", NUMBER),
    Column("stored_row", ROW_TEXT, nullable=False),
    Column("reason", LONG_TEXT, nullable=False),
    Column("digest", NAME, nullable=False),
    Column("set_aside_at", NUMBER, nullable=False),
    **OPTIONS,
)
"""Rows of old tables that an import could not take, or not whole, as JSON. digest tells the rows of
a character apart, so that importing again adds none twice."""
Index(
    "import_set_aside_row",
    IMPORT_SET_ASIDE.c.character_guid,
    IMPORT_SET_ASIDE.c.source,
    IMPORT_SET_ASIDE.c.digest,
    unique=True,
)

WALLET = Table(
    "character_wallet",
    METADATA,
    Column("character_guid", Unsigned64(), primary_key=True, autoincrement=False),
    Column("currency_id", number_type(2), primary_key=True, autoincrement=False),
    Column("balance", NUMBER, nullable=False),
    CheckConstraint("balance >= 0", name="character_wallet_balance"),
    **KEYED,
)
"""What each character has of each currency; no row is 0."""

LEDGER = Table(
    "inventory_ledger",
    METADATA,
    Column("ledger_id", NUMBER, primary_key=True),
    Column("character_guid", Unsigned64(), nullable=False),
    Column("version", Unsigned64(), nullable=False),
    Column("operation_id", Unsigned64(), nullable=False),
    Column("committed_at", NUMBER, nullable=False),
    Column("world_id", Integer, nullable=False),
    Column("reason", Integer, nullable=False),
    Column("changes", BLOB, nullable=False),
    Column("money", BLOB),
    Column("partners", BLOB),
    **OPTIONS,
)
"""What each operation changed of each character: one row for both, in the order in which they were
written. version is the one that it made, committed_at in seconds since 1970;
`mmoinv.stores.ledger` packs and unpacks the rest."""
# Not the key itself: rows of everyone among each other would be spread over the whole table, and
# each be a page to write. The other databases have another index: see `ledger_view`.
Index("inventory_ledger_version", LEDGER.c.character_guid, LEDGER.c.version, unique=True).ddl_if(
    callable_=lambda *_, dialect, **__: keeps_unsigned(dialect)
)

LEDGER_COLUMNS = tuple(LEDGER.columns.keys())[1:]
"""All but the number that the database gives."""
LEDGER_VIEW = "character_ledger"
CHARACTER_LEDGER = LEDGER.to_metadata(MetaData(), name=LEDGER_VIEW)
"""The same rows, for whoever wants those of some characters: see `ledger_view`."""
LEDGER_SEGMENT_BITS = 12
"""So many low bits of ledger_id number the rows of one segment of the index."""
LEDGER_SEGMENT = f"ledger_id >> {LEDGER_SEGMENT_BITS}"

VERSION_TABLE = "mmoinv_schema_version"
"""Where Alembic keeps the schema's version."""
UNSIGNED_VIEW = "character_inventory_unsigned"


def unsigned_view(dialect_name: str) -> str:
    """The statement that creates the view for people."""

    def shown(name: str) -> str:
        if COLUMN_SIZES[name] < 8 or dialect_name in ("mysql", "mariadb"):
            return name
        if dialect_name == "sqlite":
            return f"printf('%u', {name}) AS {name}"
        return (
            f"CASE WHEN {name} < 0 THEN {name}::numeric + 18446744073709551616 "
            f"ELSE {name}::numeric END AS {name}"
        )

    columns = [shown(name) for name in ROW_COLUMNS]
    columns[1:1] = ["slot >> 8 AS bag", "slot & 255 AS slot_in_bag"]
    return f"CREATE VIEW {UNSIGNED_VIEW} AS SELECT {', '.join(columns)} FROM character_inventory"


def has_ledger_segments(dialect: Dialect) -> bool:
    """Whether the database indexes the ledger by segments: see `ledger_view`. MariaDB's keys are of
    columns only, and none may be made of the number that it gives."""
    return not keeps_unsigned(dialect)


def ledger_view(dialect: Dialect) -> str:
    """The statement that creates the view which finds a character's rows of the ledger quickly.

    The rows of a group are of characters all over: in an index by character each would be a page
    of its own to write, as soon as the ledger is long. So the index is by segments of the ledger:
    only the newest one is written to, and to find a character's rows takes a look into each.
    """
    if not has_ledger_segments(dialect):
        return f"CREATE VIEW {LEDGER_VIEW} AS SELECT * FROM inventory_ledger"
    first, last = (
        f"(SELECT {which}(ledger_id) >> {LEDGER_SEGMENT_BITS} FROM inventory_ledger)"
        for which in ("min", "max")
    )
    if dialect.name == "sqlite":
        # CROSS: in this order.
        return (
            f"CREATE VIEW {LEDGER_VIEW} AS WITH RECURSIVE segment (number) AS (SELECT {first} "
            f"UNION ALL SELECT number + 1 FROM segment WHERE number < {last}) "
            "SELECT ledger.* FROM segment CROSS JOIN inventory_ledger AS ledger "
            f"ON ledger.{LEDGER_SEGMENT} = segment.number"
        )
    return (
        f"CREATE VIEW {LEDGER_VIEW} AS SELECT ledger.* "
        f"FROM generate_series({first}, {last}) AS segment (number) "
        f"JOIN inventory_ledger AS ledger ON ledger.{LEDGER_SEGMENT} = segment.number"
    )


def table_names() -> list[str]:
    """All tables and views of ours, but for the version's."""
    return [*METADATA.tables, UNSIGNED_VIEW, LEDGER_VIEW]
