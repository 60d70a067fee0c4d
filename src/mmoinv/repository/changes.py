"""The change set of one character: records to save, slots to delete, or everything replaced.

Change sets are values: none is ever changed in place, so they may be handed on without a
copy. Knows nothing of transactions, operations or links.
"""

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmoinv.codec import apply_changes, diff, sort_by_slot, validate_batch
from mmoinv.commits import CurrencyDelta
from mmoinv.errors import BatchError, RecordError
from mmoinv.records import (
    MAX_BATCH_ITEMS,
    MAX_PACKET_ITEMS,
    MAX_PARTICIPANTS,
    SLOT,
    U8_MAX,
    U16_MAX,
    U64_MAX,
    Batch,
    Fault,
    InventoryItemData,
    empty_batch,
    fault_sentence,
    is_buyback,
    slots_of,
)

Slots = npt.NDArray[np.uint16]

NO_SLOTS: Slots = np.empty(0, SLOT)
NO_ITEMS: Batch = empty_batch()


class CharacterChanges(NamedTuple):
    """What one commit writes for one character.

    ``saves`` is a slot-sorted `INVENTORY_ITEM` batch, ``deletes`` an ascending uint16 array of
    absolute slots, with no slot in both. With ``replace`` the batch is the whole inventory,
    and ``deletes`` is empty. ``money`` is what is added to or taken from balances: (currency id
    u16, amount i64), ascending, each currency once. `checked_changes` makes one from what users
    give.
    """

    character_guid: int
    saves: Batch
    deletes: Slots
    replace: bool = False
    money: tuple[CurrencyDelta, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write. A replacement by nothing is something."""
        return not (self.replace or len(self.saves) or len(self.deletes) or self.money)

    def slots(self) -> set[int]:
        """The slots that are saved or deleted."""
        return {*self.saves["slot"].tolist(), *self.deletes.tolist()}

    def then(self, newer: "CharacterChanges") -> "CharacterChanges":
        """Both as one: ``newer`` wins where both speak of a slot; money is added up."""
        money = added_money(self.money, newer.money)
        if newer.replace:
            return newer._replace(money=money)
        saves = apply_changes(self.saves, newer.saves, newer.deletes)
        deletes = self.deletes
        if not self.replace and (len(deletes) or len(newer.deletes)):
            kept = set(deletes.tolist()).difference(newer.saves["slot"].tolist())
            kept.update(newer.deletes.tolist())
            deletes = np.array(sorted(kept), SLOT)
        return self._replace(saves=saves, deletes=deletes, money=money)

    def without(self, slots: set[int]) -> "CharacterChanges":
        """The same with nothing said about ``slots``. Not for a replacement."""
        gone = np.array(sorted(slots), SLOT)
        deletes = [slot for slot in self.deletes.tolist() if slot not in slots]
        return self._replace(
            saves=apply_changes(self.saves, NO_ITEMS, gone), deletes=np.array(deletes, SLOT)
        )

    def applied_to(self, items: Batch) -> Batch:
        """The inventory that these changes make of ``items``: a new slot-sorted batch."""
        if self.replace:
            return sort_by_slot(self.saves)
        return apply_changes(items, self.saves, self.deletes)


def checked_changes(
    character_guid: int,
    saves: Batch,
    deletes: Slots | Sequence[int] = (),
    *,
    replace: bool = False,
    named: bool = False,
    money: Mapping[int, int] | Iterable[tuple[int, int]] = (),
) -> CharacterChanges:
    """A change set from what a user gives, copied, sorted and checked.

    ``saves`` may be of either record dtype and in any order. With ``named`` every item must
    have a guid. ``money`` are amounts by currency. Raises `BatchError` naming the character and
    the slot, or `RecordError`.
    """
    guid = checked_guid(character_guid)
    try:
        validate_batch(saves, named)
    except BatchError as error:
        raise explained(error, guid) from None
    ordered = sort_by_slot(saves)
    gone = checked_deletes(guid, deletes, ordered) if len(deletes) else NO_SLOTS
    if replace and len(gone):
        raise BatchError(
            f"character {guid}: {fault_sentence(Fault.REPLACE_WITH_DELETES, 0)}; "
            "nothing was taken.",
            Fault.REPLACE_WITH_DELETES,
        )
    return CharacterChanges(guid, ordered, gone, replace, checked_money(money))


def changes_between(
    character_guid: int, before: Batch, after: Batch, *, named: bool = False
) -> CharacterChanges:
    """What turns one inventory into the other, as a checked change set.

    Only what differs is checked. Raises as `checked_changes` does.
    """
    guid = checked_guid(character_guid)
    try:
        saves, deletes = diff(before, after)
    except BatchError as error:
        raise explained(error, guid) from None
    return checked_changes(guid, saves, deletes, named=named)


def checked_deletes(character_guid: int, deletes: Slots | Sequence[int], saves: Batch) -> Slots:
    """The slots in ascending order: none twice, none a buyback slot, none in ``saves``."""
    slots = sorted(int(operator.index(slot)) for slot in deletes)
    fault, slot = Fault.NONE, 0
    saved = set(saves["slot"].tolist())
    for place, slot in enumerate(slots):
        if is_buyback(slot):
            fault = Fault.BUYBACK_SLOT
        elif place and slots[place - 1] == slot:
            fault = Fault.SLOT_TWICE
        elif slot in saved:
            fault = Fault.SAVED_AND_DELETED
        else:
            continue
        raise BatchError(
            f"character {character_guid}: {fault_sentence(fault, slot)}; nothing was taken.",
            fault,
            slot,
        )
    return slots_of(*slots)


def checked_money(
    money: Mapping[int, int] | Iterable[tuple[int, int]],
) -> tuple[CurrencyDelta, ...]:
    """Amounts by currency, ascending, without those that are 0; `RecordError` if one cannot be."""
    pairs = money.items() if isinstance(money, Mapping) else money
    result: dict[int, int] = {}
    for currency_id, amount in pairs:
        currency, delta = operator.index(currency_id), operator.index(amount)
        if not 0 <= currency <= U16_MAX or not -(2**63) <= delta < 2**63:
            raise RecordError(
                f"{amount!r} of currency {currency_id!r}: a currency is a number in 0..65535, an "
                "amount one of 64 bits with a sign; nothing was taken"
            )
        if currency in result:
            raise RecordError(f"currency {currency} comes twice; nothing was taken")
        result[currency] = delta
    return _without_nothing(result)


def added_money(
    one: tuple[CurrencyDelta, ...], other: tuple[CurrencyDelta, ...]
) -> tuple[CurrencyDelta, ...]:
    """The changes of balances of both; `RecordError` if a sum is no i64."""
    if not one or not other:
        return one or other
    sums = dict(one)
    for currency_id, amount in other:
        sums[currency_id] = sums.get(currency_id, 0) + amount
    return checked_money(sums)


def _without_nothing(money: dict[int, int]) -> tuple[CurrencyDelta, ...]:
    return tuple(CurrencyDelta(*pair) for pair in sorted(money.items()) if pair[1])


def checked_guid(character_guid: int) -> int:
    """A character guid as a plain int; `RecordError` if it is not a u64."""
    try:
        guid = operator.index(character_guid)
    except TypeError:
        guid = -1
    if not 0 <= guid <= U64_MAX:
        raise RecordError(f"character guid {character_guid!r} is not an integer in 0..2**64-1")
    return int(guid)


def checked_operation(changes: Sequence[CharacterChanges]) -> None:
    """Raise `BatchError` if the change sets cannot be one operation."""
    guids = {change.character_guid for change in changes}
    if len(guids) != len(changes):
        raise BatchError(
            f"{fault_sentence(Fault.PARTICIPANT_TWICE, 0)}; nothing was taken.",
            Fault.PARTICIPANT_TWICE,
        )
    for change in changes:
        if len(change.money) > U8_MAX:
            raise RecordError(
                f"character {change.character_guid}: {len(change.money)} currencies in one commit, "
                f"{U8_MAX} are possible; nothing was taken"
            )
        if max(len(change.saves), len(change.deletes)) > MAX_BATCH_ITEMS:
            raise BatchError(
                f"character {change.character_guid}: {len(change.saves)} records to save and "
                f"{len(change.deletes)} to delete, one commit takes {MAX_BATCH_ITEMS} of each; "
                "nothing was taken. Commit in several steps."
            )
    records = sum(len(change.saves) for change in changes)
    if len(changes) > MAX_PARTICIPANTS or records > MAX_PACKET_ITEMS:
        raise BatchError(
            f"one commit over {len(changes)} characters and {records} records is more than "
            f"{MAX_PARTICIPANTS} characters or {MAX_PACKET_ITEMS} records; nothing was taken. "
            "Commit what need not be atomic in several steps."
        )


def item_batch(item: InventoryItemData | Batch) -> Batch:
    """One item as a batch of one; `BatchError` for a batch of any other length."""
    if isinstance(item, InventoryItemData):
        return item.as_batch()
    if isinstance(item, np.ndarray) and item.shape != (1,):
        raise BatchError(
            f"one item is a batch of shape (1,), not {item.shape}; nothing was taken. "
            "Use save_changes or register_changes for several."
        )
    return item


def explained(error: BatchError, character_guid: int) -> BatchError:
    """A codec's complaint with whom it concerns and what to do."""
    remedy = (
        "Name every item: connector.new_item_guids(count) gives numbers that are never used twice."
        if error.fault == Fault.ITEM_GUID_ZERO
        else "Correct the batch and give it again."
    )
    return BatchError(
        f"character {character_guid}: {error}; nothing was taken. {remedy}",
        error.fault,
        error.slot,
    )
