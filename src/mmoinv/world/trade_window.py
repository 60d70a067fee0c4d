"""A player's side of a trade with a character of another world: the live inventory kept in step.

The rules are in `mmoinv.inventory.trading`, the trade itself in `mmoinv.world.trade`. Knows no
packet and no link.
"""

import asyncio
from collections.abc import Callable, Generator, Iterable, Mapping
from operator import index
from typing import Any

from mmoinv.inventory import Inventory, InventoryResult, trading
from mmoinv.repository import InventoryRepository, OperationHandle, OperationOutcome
from mmoinv.wire import TradeEnd
from mmoinv.world.trade import Trade, TradeState


def _at_once(act: Callable[[], None]) -> None:
    act()


class TradeWindow:
    """Gives, receives and refuses by the rules of ``inventory``, and keeps it in step.

    What is offered cannot be changed by its commands (ITEM_LOCKED) until the trade has ended; all
    else can, and be saved. Once the trade has come about what came is in the inventory, and
    committed, before anything else of it can be saved.

    Belongs to the connector's event loop, as the inventory does. A game whose inventories belong
    to another thread gives ``call``: it is called in the event loop with a function that that
    thread is to call before it uses the inventory for anything that the trade holds.
    """

    def __init__(
        self,
        trade: Trade,
        inventory: Inventory,
        repository: InventoryRepository,
        *,
        call: Callable[[Callable[[], None]], object] = _at_once,
    ) -> None:
        self.trade = trade
        self.inventory = inventory
        self._repository = repository
        self._call = call
        self._offering = asyncio.Lock()
        self._gives: frozenset[int] = frozenset()
        self._half: OperationHandle | None = None
        self._is_ended = False
        # The first one that is told: whoever else is finds the inventory as it is then.
        trade.outcome.add_done_callback(lambda _: self._call(self._ended))

    def __await__(self) -> Generator[Any, None, OperationOutcome]:
        return self.trade.__await__()

    async def offer(
        self, slots: Iterable[int] = (), money: Mapping[int, int] | None = None
    ) -> InventoryResult[None]:
        """Give what is in these carried slots, and these amounts by currency, instead of what was
        given before. What of the inventory is unsaved is saved first, and waited for.

        Refused if something may not be given: bound, locked, worn. Raises as `Trade.offer` does,
        and what the save ends with.
        """
        async with self._offering:
            wanted = frozenset(index(slot) for slot in slots)
            if failure := trading.offer_failure(self.inventory, sorted(wanted)):
                return InventoryResult.failure(failure)
            before = self._gives
            self._hold(wanted | before)
            try:
                # What is offered must be stored, and stay as it is from here on.
                if not self.inventory.is_submitted or self.inventory.is_saving:
                    await self.inventory.save(self._repository)
                self.trade.offer(wanted, money)
            except BaseException:
                self._hold(before)
                raise
            self._gives = wanted
            self._hold(wanted)
            return InventoryResult.success(None)

    def confirm(
        self, reason: int = 0, *, seen_revision: int | None = None
    ) -> InventoryResult[OperationHandle]:
        """Agree to both offers as they are: the items that come go into empty slots of the
        backpack and the bags, or into those of what is given. Never waits; the handle ends as that
        of `Trade.confirm` does, and what it raises is raised here.

        Refused if there is no room for all of them, or there may not be so many; nothing is lost,
        and the trade is open as before.
        """
        found = trading.room_for(self.inventory, self._gives, self.trade.theirs.items)
        if not found:
            return InventoryResult.failure(found.error)
        placed = found.value
        if not self.inventory.is_submitted:
            # It goes before: the slots are as empty there as they are here.
            self.inventory.save(self._repository)
        half = self._half = self.trade.confirm(placed, reason, seen_revision=seen_revision)
        self._hold(self._gives | frozenset(placed["slot"].tolist()))
        half.add_done_callback(lambda _: self._call(lambda: self._half_ended(half)))
        return InventoryResult.success(half)

    def cancel(self, reason: TradeEnd = TradeEnd.CANCELLED, message: str = "") -> None:
        """As `Trade.cancel`."""
        self.trade.cancel(reason, message)

    def _hold(self, slots: frozenset[int]) -> None:
        if not self._is_ended:
            self.inventory.held = trading.held_by(slots)

    def _half_ended(self, half: OperationHandle) -> None:
        """What was confirmed came back: only what is given is held."""
        if half is self._half and self.trade.state is TradeState.OPEN:
            self._hold(self._gives)

    def _ended(self) -> None:
        half = self.trade.half
        if self.trade.state is TradeState.UNKNOWN:
            return  # The connector is closed: nothing of it can be saved any more.
        self._hold(frozenset())
        self._is_ended = True
        if self.trade.state is TradeState.COMMITTED and half is not None:
            trading.take_over(self.inventory, half.saves, half.deletes)
