"""Finds the store that a URL names."""

from collections.abc import Callable
from importlib.metadata import entry_points

from mmoinv.errors import ConfigurationError
from mmoinv.stores.addresses import shown_url
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.store import Store

ENTRY_POINTS = "mmoinv.stores"
"""Where another package names its store: scheme = "package.module:StoreClass"."""
OPTIONS = "sqlite:///FILE, postgresql://USER@HOST/DATABASE, mariadb://USER@HOST/DATABASE"


def store_for(url: str, settings: StoreSettings | None = None) -> Store:
    """The store that a URL names, not yet open; `ConfigurationError` if there is none, or if
    what it needs is not installed.

    ``sqlite:///realm.db`` is a file beside the working folder, ``sqlite:////var/lib/realm.db``
    one from the root; ``postgresql://`` and ``mariadb://`` (``mysql://`` is the same) are
    databases on servers, see `mmoinv.stores.postgresql` and `mmoinv.stores.mariadb`. Another
    scheme is looked for among the entry points `ENTRY_POINTS` of what is installed: a class that
    takes the URL and the settings. Settings that cannot be raise the error too.
    """
    settings = settings or StoreSettings()
    settings.check()
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ConfigurationError(
            f"database {shown_url(url)!r} is not a URL. Write it like sqlite:///realm.db."
        )
    for known in entry_points(group=ENTRY_POINTS, name=scheme):
        store: Store = known.load()(url, settings)
        return store
    if scheme not in STORES:
        raise ConfigurationError(f"database scheme {scheme!r} is not known. There is: {OPTIONS}.")
    try:
        return STORES[scheme](url, settings)
    except ImportError as error:
        extra = EXTRAS.get(scheme, "realm")
        raise ConfigurationError(
            f"a {scheme} database needs the extra {extra!r}, which is not installed "
            f"({error.name or error} is missing): pip install 'mmoinv[{extra}]'"
        ) from error


def _sqlite(url: str, settings: StoreSettings) -> Store:
    from mmoinv.stores.sqlite import SqliteStore

    return SqliteStore(_path(url), settings)


def _postgresql(url: str, settings: StoreSettings) -> Store:
    from mmoinv.stores.postgresql import PostgresqlStore

    return PostgresqlStore(url, settings)


def _mariadb(url: str, settings: StoreSettings) -> Store:
    from mmoinv.stores.mariadb import MariadbStore

    return MariadbStore(url, settings)


STORES: dict[str, Callable[[str, StoreSettings], Store]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "postgres": _postgresql,
    "mariadb": _mariadb,
    "mysql": _mariadb,
}
EXTRAS = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mariadb": "mariadb",
    "mysql": "mariadb",
}


def _path(url: str) -> str:
    """The file that an SQLite URL names."""
    rest = url.partition("://")[2]
    if not rest.startswith("/") or rest == "/":
        raise ConfigurationError(
            f"database {url!r} names no file. Write three slashes and a path "
            "(sqlite:///realm.db), four for one from the root (sqlite:////var/lib/realm.db)."
        )
    path = rest[1:]
    if path == ":memory:":
        raise ConfigurationError(
            "A realm keeps items for ever, and sqlite:///:memory: would forget them. "
            "Name a file, for a test one in a temporary folder."
        )
    if "?" in path:
        raise ConfigurationError(f"database {url!r}: options after '?' are not known.")
    return path


async def open_store(url: str, settings: StoreSettings | None = None) -> Store:
    """The store that a URL names (see `store_for`), opened; use it as ``async with await ...``."""
    store = store_for(url, settings)
    await store.open()
    return store
