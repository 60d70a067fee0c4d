"""The URL of a database server: hosts, user, database, options. Opens nothing.

``postgresql://user:password@host:5432/database?option=value``; several hosts of one cluster
stand with commas between them. `shown_url` is what messages may show.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from mmoinv.errors import ConfigurationError

HIDDEN = "***"
"""Instead of a password."""


def shown_url(url: str) -> str:
    """A URL as it may be shown: a password in it is ``***``."""
    # As much as there is before the last @: a password that is not encoded may hold anything.
    url = re.sub(r"(://[^:/@]*:).*@", rf"\1{HIDDEN}@", url, flags=re.DOTALL)
    return re.sub(r"(?i)([?&][^=&]*(?:pass|pwd)[^=&]*=)[^&#]*", rf"\1{HIDDEN}", url)


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
