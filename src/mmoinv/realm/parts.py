"""What all links of one realm share. Knows links by their type only."""

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mmoinv.realm.door import Door
from mmoinv.realm.group_commit import GroupCommit
from mmoinv.realm.ids import NumberMint
from mmoinv.realm.limits import RealmLimits
from mmoinv.realm.logons import Logons
from mmoinv.realm.seldom import Seldom
from mmoinv.realm.sessions import Sessions
from mmoinv.realm.statistics import Tally
from mmoinv.realm.trades import Trades
from mmoinv.stores import Store

if TYPE_CHECKING:
    from mmoinv.realm.protocol import WorldServerLink

log = logging.getLogger("mmoinv.realm")


@dataclass
class RealmParts:
    """One of each, and every link."""

    store: Store
    writer: GroupCommit
    sessions: Sessions
    trades: Trades
    mint: NumberMint
    tally: Tally
    limits: RealmLimits
    links: set["WorldServerLink"] = field(default_factory=set)
    """Every connection."""
    by_world: dict[int, "WorldServerLink"] = field(default_factory=dict)
    """The open link of each world that has logged on."""
    closing: bool = False

    def __post_init__(self) -> None:
        self.door: Door[WorldServerLink] = Door(self.limits)
        self.logons = Logons(self.limits)
        self._refusals = Seldom()
        self._cut_off = Seldom(often=20)

    def let_in(self, link: "WorldServerLink", address: str, now_s: float) -> bool:
        """A link has come; False: it must go."""
        self.links.add(link)
        refusal, thrown_out = self.door.enter(link, address)
        if refusal or thrown_out is not None:
            self.tally.links_refused += 1
            count = self._refusals.happened(now_s)
            if count:
                whom = link if refusal else thrown_out
                reason = refusal or "it has not logged on, and others want to (max_logons)"
                log.warning("%d links refused; the last: %s, %s", count, whom, reason)
        if thrown_out is not None:
            thrown_out.abort()
        return not (refusal or self.closing)

    def cut_off(self, link: "WorldServerLink", reason: object, now_s: float) -> None:
        """A link is closed for what it has sent."""
        self.tally.broken_links += 1
        count = self._cut_off.happened(now_s)
        if count > 1:
            log.warning("%d links closed; the last: %s: %s", count, link, reason)
        elif count:
            log.warning("%s: link closed, %s", link, reason)
