"""Who may connect: how many links there may be, in all, from one address, and without a logon.

A flood from a few addresses must not keep the worlds of others out. Knows links only as keys,
and no clock.
"""

from collections import Counter
from typing import Generic, TypeVar

from mmoinv.realm.limits import RealmLimits
from mmoinv.realm.logons import network_of

Link = TypeVar("Link")


class Door(Generic[Link]):
    """The links of one realm, by where they come from."""

    def __init__(self, limits: RealmLimits) -> None:
        self._limits = limits
        self._links: dict[Link, str] = {}
        self._of_address: Counter[str] = Counter()
        self._strangers: dict[Link, str] = {}
        """Those that have not logged on, oldest first."""

    def enter(self, link: Link, address: str) -> tuple[str, Link | None]:
        """A link has come: why it must go, empty if it may stay; and, if there are too many
        strangers, the one that must go for it."""
        limits, network = self._limits, network_of(address)
        if len(self._links) >= limits.max_links:
            return f"there are {limits.max_links} links already (max_links)", None
        if self._of_address[network] >= limits.max_links_per_address:
            count = limits.max_links_per_address
            return f"{network} has {count} links already (max_links_per_address)", None
        thrown_out = None
        if len(self._strangers) >= limits.max_logons:
            crowd = Counter(self._strangers.values()).most_common(1)[0][0]
            thrown_out = next(one for one, its in self._strangers.items() if its == crowd)
            del self._strangers[thrown_out]
        self._links[link] = self._strangers[link] = network
        self._of_address[network] += 1
        return "", thrown_out

    def logged_on(self, link: Link) -> None:
        """It is a stranger no longer."""
        self._strangers.pop(link, None)

    def left(self, link: Link) -> None:
        """It is gone."""
        self._strangers.pop(link, None)
        network = self._links.pop(link, None)
        if network is not None:
            self._of_address[network] -= 1
            if not self._of_address[network]:
                del self._of_address[network]
