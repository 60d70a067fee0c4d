"""Each difference gets its class, the worst of a slot counts, and what is known is told apart."""

import numpy as np
import pytest
from evidence_cases import COMPARER, LEGACY, NEW, POTIONS, SWORD, USUAL
from hypothesis import given
from hypothesis import strategies as st

from mmoinv.errors import BatchError
from mmoinv.migration.comparison import (
    CLASSES,
    FIELDS,
    MAX_ROWS,
    NO_LIMITS,
    OLD_LIMITS,
    Comparer,
    DivergenceClass,
    KnownDifference,
    SideLimits,
    reason_known,
)
from mmoinv.records import INVENTORY_ITEM, batch_of, empty_batch

MISSING, EXTRA, MONEY, FIELD, NARROWED, NOT_KEPT = CLASSES


def compare(expected, found, decider=LEGACY, money=({}, {}), comparer=COMPARER, guid=7):
    return comparer.compare(guid, decider, expected, found, *money)


def short(divergences):
    return [(one.kind, one.slot, one.fields) for one in divergences]


def test_equal_sides():
    assert compare(USUAL, USUAL.copy(), money=({0: 5}, {0: 5, 1: 0})) == []


def test_missing_and_extra_name_the_whole_item():
    (one,) = compare(USUAL, batch_of(SWORD))
    assert short([one]) == [(MISSING, POTIONS.slot, ())]
    assert (one.entry, one.found) == (118, None)
    assert one.expected == POTIONS._asdict()
    (one,) = compare(batch_of(SWORD), USUAL)
    assert short([one]) == [(EXTRA, POTIONS.slot, ())]
    assert (one.entry, one.expected, one.found["stack_count"]) == (118, None, 5)


def test_a_field_that_differs():
    (one,) = compare(USUAL, batch_of(SWORD._replace(durability=39, creator=8), POTIONS))
    assert short([one]) == [(FIELD, SWORD.slot, ("creator", "durability"))]
    assert (one.expected["durability"], one.found["durability"]) == (40, 39)


@pytest.mark.parametrize(
    ("field", "large", "cut"),
    [
        ("stack_count", 300, 255),
        ("stack_count", 300, 300 & 0xFF),
        ("stack_count", 256, 0),
        ("durability", 70_000, 65_535),
        ("durability", 70_000, 70_000 & 0xFFFF),
        ("random_suffix_index", 1 << 31, 65_535),
    ],
)
def test_only_narrowed(field, large, cut):
    wide, narrow = (batch_of(SWORD._replace(**{field: value})) for value in (large, cut))
    # Whoever decides: it is the old side that cannot hold it.
    kind = NARROWED if cut or field not in OLD_LIMITS.not_kept else NOT_KEPT
    assert short(compare(wide, narrow, NEW)) == [(kind, SWORD.slot, (field,))]
    assert short(compare(narrow, wide, LEGACY)) == [(kind, SWORD.slot, (field,))]
    # The new one can.
    assert compare(wide, narrow, LEGACY)[0].kind == FIELD
    other = batch_of(SWORD._replace(**{field: cut + 1}))
    assert compare(wide, other, NEW)[0].kind == FIELD


def test_only_a_field_that_was_never_kept():
    without = batch_of(SWORD._replace(item_guid=0))
    assert short(compare(batch_of(SWORD), without, NEW)) == [(NOT_KEPT, SWORD.slot, ("item_guid",))]
    assert compare(without, batch_of(SWORD), LEGACY)[0].kind == NOT_KEPT
    # It is 0 there, or it is another item.
    other = batch_of(SWORD._replace(item_guid=77))
    assert compare(batch_of(SWORD), other, NEW)[0].kind == FIELD
    assert compare(batch_of(SWORD), without, LEGACY)[0].kind == FIELD


def test_the_worst_of_a_slot_counts():
    changed = SWORD._replace(item_guid=0, durability=70_000)
    wide = batch_of(SWORD._replace(durability=70_000))
    cut = batch_of(changed._replace(durability=65_535))
    assert short(compare(wide, cut, NEW)) == [(NARROWED, SWORD.slot, ("durability", "item_guid"))]
    wrong = batch_of(changed._replace(durability=1))
    assert compare(wide, wrong, NEW)[0].kind == FIELD


def test_the_worst_comes_first():
    expected = batch_of(SWORD, POTIONS)
    moved = batch_of(SWORD._replace(item_guid=0), POTIONS._replace(slot=0xFF18))
    found = compare(expected, moved, NEW, money=({0: 1}, {}))
    assert [one.kind for one in found] == [MISSING, EXTRA, MONEY, NOT_KEPT]


def test_money():
    (one,) = compare(USUAL, USUAL, money=({0: 100, 3: 7}, {3: 7, 4: 0}))
    assert (one.kind, one.slot, one.fields) == (MONEY, 0, ("money",))
    assert (one.expected, one.found) == ({"money": 100}, {"money": 0})
    limits = {LEGACY: SideLimits({"money": 2**32 - 1}), NEW: NO_LIMITS}
    rich = ({0: 2**40}, {0: 2**32 - 1})
    assert compare(USUAL, USUAL, NEW, rich, Comparer(limits))[0].kind == NARROWED
    limits = {LEGACY: SideLimits({}, frozenset({"money"})), NEW: NO_LIMITS}
    assert compare(USUAL, USUAL, NEW, ({0: 9}, {}), Comparer(limits))[0].kind == NOT_KEPT


def test_known_differences_are_apart():
    known = [KnownDifference("repairs", FIELD, "durability", entry=25)]
    comparer = Comparer(COMPARER.limits, known)
    changed = SWORD._replace(durability=39)
    (one,) = compare(USUAL, batch_of(changed, POTIONS), comparer=comparer)
    assert one.known == "repairs"
    # The same slot with something else in it too: two divergences.
    other = batch_of(changed._replace(creator=1), POTIONS)
    found = compare(USUAL, other, comparer=comparer)
    assert [(one.fields, one.known) for one in found] == [
        (("creator",), ""),
        (("durability",), "repairs"),
    ]


@pytest.mark.parametrize(
    ("known", "is_covered"),
    [
        (KnownDifference("r", MISSING), True),
        (KnownDifference("r", EXTRA), False),
        (KnownDifference("r", entry=118), True),
        (KnownDifference("r", entry=25), False),
        (KnownDifference("r", character_guid=7), True),
        (KnownDifference("r", MISSING, entry=118, character_guid=8), False),
        (KnownDifference("r", field="entry"), False),
    ],
)
def test_what_is_said_of_a_known_difference_must_be_so(known, is_covered):
    comparer = Comparer(COMPARER.limits, [known])
    (one,) = compare(USUAL, batch_of(SWORD), comparer=comparer)
    assert bool(one.known) == is_covered


def test_known_for_all_its_fields_or_not_at_all():
    known = [KnownDifference("a", field="creator"), KnownDifference("b", field="durability")]
    assert reason_known(known, 7, "field", ["creator", "durability"], 25) == "a"
    assert reason_known(known, 7, "field", ["creator", "item_flags"], 25) == ""
    assert reason_known(known, 7, "missing", [], 25) == ""


def test_more_than_anyone_looks_at():
    items = empty_batch(MAX_ROWS + 500)
    items["slot"] = np.arange(len(items))
    items["entry"] = 1
    items["stack_count"] = 1
    other = items.copy()
    other["durability"] += 1
    known = [KnownDifference("everything", entry=1)]
    found = compare(items, other[:-1], comparer=Comparer(COMPARER.limits, known))
    assert len(found) == MAX_ROWS
    assert found[0].kind == MISSING
    assert not any(one.known for one in found)


def test_order_does_not_matter_and_a_slot_twice_is_refused():
    assert compare(USUAL[::-1].copy(), USUAL) == []
    with pytest.raises(BatchError):
        compare(USUAL, np.concatenate([USUAL, USUAL]))


records = st.builds(
    lambda slot, values: (1 + values[0], slot, 1 + values[1], *values[2:]),
    st.integers(0, 5),
    st.tuples(*[st.sampled_from([0, 1, 200, 254])] * 9),
)
inventories = st.lists(records, max_size=5, unique_by=lambda row: row[1]).map(
    lambda rows: np.array(sorted(rows, key=lambda row: row[1]), INVENTORY_ITEM)
)


@given(
    expected=inventories,
    found=inventories,
    decider=st.sampled_from([LEGACY, NEW]),
    known_fields=st.sets(st.sampled_from(FIELDS), max_size=3),
)
def test_every_difference_is_in_exactly_one_divergence(expected, found, decider, known_fields):
    comparer = Comparer(COMPARER.limits, [KnownDifference(f, field=f) for f in known_fields])
    divergences = compare(expected, found, decider, comparer=comparer)
    assert [one.kind for one in divergences] == sorted(
        [one.kind for one in divergences], key=CLASSES.index
    )
    old, new = ({row["slot"]: row for row in items} for items in (expected, found))
    seen = {(one.slot, field) for one in divergences for field in one.fields or ("",)}
    assert len(seen) == sum(len(one.fields) or 1 for one in divergences)
    wanted = {(slot, "") for slot in {*old} ^ {*new}}
    for slot in {*old} & {*new}:
        wanted |= {(slot, name) for name in FIELDS if old[slot][name] != new[slot][name]}
    assert seen == wanted
    for one in divergences:
        assert bool(one.known) == bool(one.fields and set(one.fields) <= known_fields)
        assert (one.kind in (MISSING, EXTRA)) == (not one.fields)


def test_the_worst_is_the_first():
    assert CLASSES[0] is DivergenceClass.MISSING
    assert CLASSES[-1] is DivergenceClass.NOT_KEPT
