"""Finds the store that a URL names."""

from mmoinv.errors import ConfigurationError
from mmoinv.stores.settings import StoreSettings
from mmoinv.stores.sqlite import SqliteStore
from mmoinv.stores.store import Store


def store_for(url: str, settings: StoreSettings | None = None) -> Store:
    """The store that a URL names, not yet open; `ConfigurationError` if there is none.

    ``sqlite:///realm.db`` is a file beside the working folder, ``sqlite:////var/lib/realm.db``
    one from the root. Settings that cannot be raise it too.
    """
    settings = settings or StoreSettings()
    settings.check()
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ConfigurationError(
            f"database {url!r} is not a URL. Write it like sqlite:///realm.db."
        )
    if scheme != "sqlite":
        raise ConfigurationError(
            f"database scheme {scheme!r} is not known. There is: sqlite:///FILE."
        )
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
    return SqliteStore(path, settings)


async def open_store(url: str) -> Store:
    """The store that a URL names (see `store_for`), opened; use it as ``async with await ...``."""
    store = store_for(url)
    await store.open()
    return store
