"""What the difference between two sides is worth: an item gone, or only a field nobody ever kept.

The codec says in what two inventories differ; here each difference gets a class, and those that
are declared to be known are told apart. Knows no mode, no clock and no file.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from mmoinv.codec import compare_items, sort_by_slot
from mmoinv.migration.modes import Side
from mmoinv.records import PACKED, WIDE, Batch, DifferenceKind

MONEY = "money"
"""Stands where a field stands, for balances."""
FIELDS = tuple(field.name for field in WIDE.fields)
MAX_ROWS = 2048
"""So many rows of one comparison are looked at; with more, none of them counts as known."""


class DivergenceClass(StrEnum):
    """What a divergence is, the worst first."""

    MISSING = "missing"
    """An item that the deciding side has is not on the other."""
    EXTRA = "extra"
    """The other side has an item that the deciding one has not."""
    MONEY = "money"
    """A balance differs."""
    FIELD = "field"
    """Something is in the slot on both sides, and it is not the same."""
    NARROWED = "narrowed"
    """Only a value that one side cannot hold, and that is there cut to its limit."""
    NOT_KEPT = "not_kept"
    """Only a field that one side never kept, and that is 0 there."""


CLASSES = tuple(DivergenceClass)


class SideLimits(NamedTuple):
    """What a side can hold: ``largest`` value by field (what is not in it fits), and the fields
    that are ``not_kept``. `MONEY` stands for balances."""

    largest: Mapping[str, int] = {}
    not_kept: frozenset[str] = frozenset()

    def cuts(self, field: str, value: int, other: int) -> bool:
        """Whether ``other`` is what becomes of ``value``: held at the limit, or its lower bits."""
        limit = self.largest.get(field)
        return limit is not None and value > limit and other in (limit, value & limit)


OLD_LIMITS = SideLimits(
    {
        field.name: field.limit
        for field, wide in zip(PACKED.fields, WIDE.fields, strict=False)
        if field.size < wide.size
    },
    frozenset({"contained", "random_property_index", "random_suffix_index", "item_guid"}),
)
"""Of the C++ line: records as on its wire, of which its table keeps five columns and the flags."""
NO_LIMITS = SideLimits()


class KnownDifference(NamedTuple):
    """A difference that is expected, and why; what is None may be anything."""

    reason: str
    kind: DivergenceClass | None = None
    field: str | None = None
    entry: int | None = None
    character_guid: int | None = None

    def covers(self, character_guid: int, kind: str, field: str, entry: int) -> bool:
        """Whether it is about that difference; ``field`` is empty for a whole item."""
        return (
            self.kind in (None, kind)
            and self.field in (None, field)
            and self.entry in (None, entry)
            and self.character_guid in (None, character_guid)
        )


def reason_known(
    known: Sequence[KnownDifference],
    character_guid: int,
    kind: str,
    fields: Sequence[str],
    entry: int,
) -> str:
    """Why a divergence is expected in all its fields; empty if it is not."""
    reasons = [
        next((one.reason for one in known if one.covers(character_guid, kind, field, entry)), "")
        for field in fields or ("",)
    ]
    return reasons[0] if all(reasons) else ""


class Divergence(NamedTuple):
    """In what the two sides differ in one slot or balance."""

    kind: DivergenceClass
    slot: int
    """The absolute slot; the currency's id where ``fields`` is (`MONEY`,)."""
    fields: tuple[str, ...]
    """Those that differ; none where an item is missing or extra."""
    entry: int
    expected: Mapping[str, int] | None
    """The record of the deciding side by field, or its balance as `MONEY`; None: nothing there."""
    found: Mapping[str, int] | None
    known: str = ""
    """Why it is expected; empty if it is not."""

    @property
    def is_harmless(self) -> bool:
        """Whether it stands in nobody's way: it is known, or of a field that is not kept."""
        return bool(self.known) or self.kind is DivergenceClass.NOT_KEPT


class _Row(NamedTuple):
    kind: DivergenceClass
    slot: int
    field: str
    known: str


class Comparer(NamedTuple):
    """How two sides are compared: what each can hold, and what is known. ``limits`` by side."""

    limits: Mapping[Side, SideLimits]
    known: Sequence[KnownDifference] = ()

    def compare(
        self,
        character_guid: int,
        decider: Side,
        expected: Batch,
        found: Batch,
        expected_money: Mapping[int, int],
        found_money: Mapping[int, int],
    ) -> list[Divergence]:
        """Every divergence, the worst first; none if both are equal. Batches in any order; a slot
        twice in one of them raises `BatchError`."""
        differences = compare_items(expected, found)
        is_poor = expected_money != found_money
        if not len(differences) and not is_poor:
            return []
        follower = next(side for side in self.limits if side != decider)
        sides = self.limits[decider], self.limits[follower]
        divergences = self._of_money(character_guid, sides, expected_money, found_money)
        if len(differences):
            batches = sort_by_slot(expected), sort_by_slot(found)
            divergences += self._of_items(character_guid, sides, differences, batches)
        return sorted(divergences, key=lambda one: CLASSES.index(one.kind))

    def _of_money(
        self,
        character_guid: int,
        sides: tuple[SideLimits, SideLimits],
        expected: Mapping[int, int],
        found: Mapping[int, int],
    ) -> list[Divergence]:
        divergences = []
        for currency_id in sorted({*expected, *found}):
            values = expected.get(currency_id, 0), found.get(currency_id, 0)
            if values[0] != values[1]:
                kind = _weighed(MONEY, *values, *sides, otherwise=DivergenceClass.MONEY)
                divergences.append(
                    Divergence(
                        kind,
                        currency_id,
                        (MONEY,),
                        0,
                        {MONEY: values[0]},
                        {MONEY: values[1]},
                        reason_known(self.known, character_guid, kind, [MONEY], 0),
                    )
                )
        return divergences

    def _of_items(
        self,
        character_guid: int,
        sides: tuple[SideLimits, SideLimits],
        differences: Any,
        batches: tuple[Batch, Batch],
    ) -> list[Divergence]:
        is_cut = len(differences) > MAX_ROWS
        divergences: list[Divergence] = []
        rows: list[_Row] = []
        records: tuple[dict[str, int] | None, dict[str, int] | None] = (None, None)
        last = -1
        if is_cut:  # whole items first
            differences = differences[differences["kind"].argsort(kind="stable")][:MAX_ROWS]
        for slot, what, place, expected, found in differences.tolist():
            if slot != last:
                divergences += _grouped(rows, records)
                rows, last = [], slot
                records = _record(batches[0], slot), _record(batches[1], slot)
            if what == DifferenceKind.FIELD:
                field = FIELDS[place]
                kind = _weighed(field, expected, found, *sides, otherwise=DivergenceClass.FIELD)
            else:
                is_missing = what == DifferenceKind.MISSING
                kind = DivergenceClass.MISSING if is_missing else DivergenceClass.EXTRA
                field = ""
            entry = _entry(records)
            known = "" if is_cut else reason_known(self.known, character_guid, kind, [field], entry)
            rows.append(_Row(kind, slot, field, known))
        return divergences + _grouped(rows, records)


def _weighed(
    field: str,
    expected: int,
    found: int,
    deciding: SideLimits,
    following: SideLimits,
    otherwise: DivergenceClass,
) -> DivergenceClass:
    """What it is that two values of a field differ."""
    if (field in following.not_kept and found == 0) or (
        field in deciding.not_kept and expected == 0
    ):
        return DivergenceClass.NOT_KEPT
    if following.cuts(field, expected, found) or deciding.cuts(field, found, expected):
        return DivergenceClass.NARROWED
    return otherwise


def _grouped(
    rows: Sequence[_Row], records: tuple[dict[str, int] | None, dict[str, int] | None]
) -> list[Divergence]:
    """The rows of one slot: those that are not known together, and those that are."""
    divergences = []
    for is_known in (False, True):
        chosen = [row for row in rows if bool(row.known) == is_known]
        if chosen:
            divergences.append(
                Divergence(
                    min((row.kind for row in chosen), key=CLASSES.index),
                    chosen[0].slot,
                    tuple(row.field for row in chosen if row.field),
                    _entry(records),
                    *records,
                    chosen[0].known,
                )
            )
    return divergences


def _entry(records: tuple[dict[str, int] | None, dict[str, int] | None]) -> int:
    """Of the item that is expected, else of the one that is found."""
    return (records[0] or records[1] or {}).get("entry", 0)


def _record(items: Batch, slot: int) -> dict[str, int] | None:
    """The record in a slot of a sorted batch by field."""
    place = int(items["slot"].searchsorted(slot))
    if place == len(items) or items["slot"][place] != slot:
        return None
    return dict(zip(FIELDS, items[place].tolist(), strict=True))
