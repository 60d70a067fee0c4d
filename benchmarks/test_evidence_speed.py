"""What the evidence of a move costs whoever tells it something; a thread writes it meanwhile."""

import pytest
from inventories import a_moment_later, inventory

from mmoinv.migration.evidence import Evidence
from mmoinv.migration.modes import MigrationMode, Side

GROUP = "evidence: {}"


@pytest.fixture
def evidence(tmp_path):
    with Evidence(tmp_path / "evidence") as evidence:
        yield evidence


def test_compared_and_equal(compare, evidence):
    items = inventory(40)
    compare(
        GROUP.format("40 items compared, equal"),
        "ours",
        "compared(7, mode, decider, 'commit', 5, expected, found, money, money)",
        compared=evidence.compared,
        mode=MigrationMode.SHADOW,
        decider=Side.LEGACY,
        expected=items,
        found=items.copy(),
        money={0: 100},
    )


def test_compared_and_diverged(compare, evidence):
    items = inventory(40)
    compare(
        GROUP.format("40 items compared, 3 differences"),
        "ours",
        "compared(7, mode, decider, 'commit', 5, expected, found, money, money)",
        compared=evidence.compared,
        mode=MigrationMode.SHADOW,
        decider=Side.LEGACY,
        expected=items,
        found=a_moment_later(items),
        money={0: 100},
    )


def test_committed(compare, evidence):
    compare(
        GROUP.format("a commit"),
        "ours",
        "committed(7, mode, decider, 5)",
        committed=evidence.committed,
        mode=MigrationMode.SHADOW,
        decider=Side.LEGACY,
    )
