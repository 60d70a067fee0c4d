"""Logons that fail: whoever guesses secrets waits longer each time, and then hears nothing.

Failures count for a world's name at one address, so that nobody who guesses elsewhere can keep
the real world out; and, more of them, for an address whatever the names. Knows no links, no
secrets and no clock.
"""

import ipaddress
import logging
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from mmoinv.realm.limits import RealmLimits

log = logging.getLogger("mmoinv.realm")

FREE = 3
"""Failures that cost no time: a secret that was pasted wrongly."""
FIRST_DELAY_S, LONGEST_DELAY_S = 0.25, 4.0
"""Well within the time that a logon may take."""
MAX_REMEMBERED = 4096
"""Records of each kind; the oldest is forgotten."""


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 all 2**64 that one customer has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


@dataclass(slots=True)
class _Record:
    """``underway``: attempts that may fail yet, or many at once would all be the first."""

    failures: int = 0
    underway: int = 0
    last_s: float = 0.0


class Attempt:
    """One logon on its way, to be answered after ``delay_s``. Of `failed`, `succeeded` and
    `dropped` the first counts."""

    def __init__(
        self, logons: "Logons", name: tuple[str, str], records: list[_Record], delay_s: float
    ) -> None:
        self.delay_s = delay_s
        self._logons = logons
        self._name = name
        self._records = records
        for record in records:
            record.underway += 1

    def failed(self, now_s: float) -> None:
        """The proof was wrong."""
        for record in self._ended():
            record.failures += 1
            record.last_s = now_s
            self._logons._tell(self._name, record)

    def succeeded(self) -> None:
        """The world has proved itself: what failed under its name here is forgotten."""
        if self._ended():
            self._logons._names.pop(self._name, None)

    def dropped(self) -> None:
        """It ended before there was a proof: nothing was guessed."""
        self._ended()

    def _ended(self) -> list[_Record]:
        records, self._records = self._records, []
        for record in records:
            record.underway -= 1
        return records


class Logons:
    """What is remembered of failed logons; its size is bounded."""

    def __init__(self, limits: RealmLimits) -> None:
        self._limits = limits
        self._names: OrderedDict[Hashable, _Record] = OrderedDict()
        """By address and name."""
        self._addresses: OrderedDict[Hashable, _Record] = OrderedDict()

    def begin(self, address: str, world_name: str, now_s: float) -> Attempt | None:
        """A world wants to log on; None: too many have failed, it is refused at once.

        Whether there is a world of that name makes no difference.
        """
        network = network_of(address)
        name = self._record(self._names, (network, world_name), now_s)
        everyone = self._record(self._addresses, network, now_s)
        if (
            name.failures + name.underway >= self._limits.max_failed_logons
            or everyone.failures + everyone.underway >= self._limits.max_failed_logons_per_address
        ):
            return None
        before = name.failures + name.underway
        delay_s = 0.0
        if before >= FREE:
            delay_s = min(FIRST_DELAY_S * 2 ** (before - FREE), LONGEST_DELAY_S)
        return Attempt(self, (network, world_name), [name, everyone], delay_s)

    def _record(
        self, records: OrderedDict[Hashable, _Record], key: Hashable, now_s: float
    ) -> _Record:
        record = records.setdefault(key, _Record())
        records.move_to_end(key)
        if len(records) > MAX_REMEMBERED:
            records.popitem(last=False)
        if record.failures and now_s - record.last_s >= self._limits.failed_logon_pause_s:
            record.failures = 0
        return record

    def _tell(self, name: tuple[str, str], record: _Record) -> None:
        """Once, as the bound is reached."""
        address, world_name = name
        whom, bound = f"world {world_name!r} at {address}", self._limits.max_failed_logons
        if record is self._addresses.get(address):
            whom, bound = f"any world at {address}", self._limits.max_failed_logons_per_address
        if record.failures == bound:
            log.warning(
                "%d logons have failed: for %g s %s is refused at once",
                bound,
                self._limits.failed_logon_pause_s,
                whom,
            )
