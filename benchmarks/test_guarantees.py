"""What exactly-once, fencing, item guids and the ledger cost, beside a realm without any of them.

Both realms take the same saves of 3 changed records over TCP from the same sender, in the same run;
the bare one (bare_realm.py) writes the records as quickly as its database can, and nothing else.
They take turns, and the cost is the median of the pairs': a machine is seldom quiet for long.
"""

from statistics import median

import pytest
from bare_realm import run_bare_realm
from rich.console import Console
from rich.progress import Progress
from targets import guarantees_group

from mmoinv.loadtest.realm_process import run_realm
from mmoinv.loadtest.throughput import ThroughputSettings, send_saves

SETTINGS = ThroughputSettings(saves=120_000)
PAIRS = 3
REALMS = {"all": run_realm, "bare": run_bare_realm}


@pytest.fixture(params=["SQLite", "PostgreSQL", "MariaDB"])
def kind(request):
    return request.param


@pytest.fixture
def new_database(kind, request, tmp_path):
    """Makes the URL of a new database of that kind."""
    if kind == "SQLite":
        names = iter(range(100))
        return lambda: f"sqlite:///{tmp_path / f'realm-{next(names)}.db'}"
    return request.getfixturevalue(f"{kind.lower()}_server").new_database


def saves_per_s(realm_process, database):
    with Progress(console=Console(quiet=True)) as bars:
        sent, _, _ = send_saves(SETTINGS, bars, database, realm_process)
    assert sent["refused"] == 0, sent["refusals"]
    return sent["saves"] / sent["seconds"]


@pytest.mark.timeout(600)
def test_what_the_guarantees_cost(benchmark, kind, new_database):
    benchmark.group = guarantees_group(kind)
    rates = {name: [] for name in REALMS}

    def each_in_turn():
        for name, realm_process in REALMS.items():
            rates[name].append(saves_per_s(realm_process, new_database()))

    benchmark.pedantic(each_in_turn, rounds=PAIRS)
    kept = [full / bare for full, bare in zip(rates["all"], rates["bare"], strict=True)]
    benchmark.extra_info.update(
        saves_per_s=round(median(rates["all"])),
        bare_saves_per_s=round(median(rates["bare"])),
        cost_percent=round(100 * (1 - median(kept)), 1),
    )
