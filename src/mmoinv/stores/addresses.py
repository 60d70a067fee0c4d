"""The URL of a database server: hosts, user, database, options. Opens nothing.

``postgresql://user:password@host:5432/database?option=value``; several hosts of one cluster
stand with commas between them. `shown_url` is what messages may show.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from mmoinv.errors import ConfigurationError


def shown_url(url: str) -> str:
    """The URL without any password, before its host or among its options."""
    url = re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", url)
    return re.sub(r"([?&]\w*passw\w*=)[^&]*", r"\1***", url)


@dataclass(frozen=True, slots=True)
class Address:
    """A database on a server. ``hosts`` are those of one cluster; none: the options say where."""

    hosts: tuple[tuple[str, int], ...]
    user: str
    password: str
    database: str
    options: Mapping[str, str]


def parse_address(url: str, default_port: int, example: str) -> Address:
    """The parts of a URL; `ConfigurationError` if it cannot be one, with an ``example``."""

    def wrong(why: str) -> ConfigurationError:
        return ConfigurationError(f"database {shown_url(url)!r}: {why}. Write it like {example}")

    parts = urlsplit(url)
    credentials, _, places = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    hosts = []
    for place in filter(None, places.split(",")):
        found = re.fullmatch(r"(\[[^\]]+\]|[^:]+)(?::(\d{1,5}))?", place)
        if found is None or int(found[2] or 1) not in range(1, 65536):
            raise wrong(f"{place!r} is no host or host:port")
        hosts.append((unquote(found[1].strip("[]")), int(found[2] or default_port)))
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in database:
        raise wrong("it names no database")
    if parts.fragment:
        raise wrong("'#' stands in it; in a password write %23")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Address(tuple(hosts), unquote(user), unquote(password), database, options)
