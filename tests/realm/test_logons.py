"""What failed logons cost whoever guesses, and what they do not cost anyone else."""

import logging

import pytest

from mmoinv.realm import RealmLimits
from mmoinv.realm.door import Door
from mmoinv.realm.logons import MAX_REMEMBERED, Attempt, Logons, network_of
from mmoinv.realm.seldom import Seldom

HERE, THERE = "192.0.2.1", "198.51.100.9"


@pytest.fixture
def logons() -> Logons:
    return Logons(RealmLimits(max_failed_logons=6, max_failed_logons_per_address=20))


def fail(logons: Logons, address: str, name: str, now_s: float = 0.0) -> float | None:
    """The delay of a logon that then fails; None: it was refused."""
    attempt = logons.begin(address, name, now_s)
    if attempt is None:
        return None
    attempt.failed(now_s)
    return attempt.delay_s


def test_each_failure_waits_longer_and_then_nobody_is_asked(
    logons: Logons, caplog: pytest.LogCaptureFixture
):
    delays = [fail(logons, HERE, "world-1") for _ in range(8)]
    assert delays == [0.0, 0.0, 0.0, 0.25, 0.5, 1.0, None, None]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "6 logons have failed: for 60 s world 'world-1' at 192.0.2.1" in caplog.text


def test_who_guesses_elsewhere_or_another_name_locks_nobody_out(logons: Logons):
    for _ in range(8):
        fail(logons, THERE, "world-1")
        fail(logons, HERE, "world-2")
    attempt = logons.begin(HERE, "world-1", 0.0)
    assert attempt is not None
    assert attempt.delay_s == 0.0


def test_an_address_that_tries_many_names_is_refused_whatever_the_name(
    logons: Logons, caplog: pytest.LogCaptureFixture
):
    assert [fail(logons, THERE, f"world-{n}") for n in range(22)] == [0.0] * 20 + [None] * 2
    assert "any world at 198.51.100.9 is refused" in caplog.text
    assert logons.begin(HERE, "world-1", 0.0) is not None


def test_failures_are_forgotten_after_the_pause_and_refusals_do_not_prolong_it(logons: Logons):
    for _ in range(6):
        fail(logons, HERE, "world-1", 100.0)
    assert [fail(logons, HERE, "world-1", now_s) for now_s in (130.0, 159.9)] == [None, None]
    assert fail(logons, HERE, "world-1", 160.0) == 0.0


def test_many_at_once_are_not_all_the_first(logons: Logons):
    attempts = [logons.begin(HERE, "world-1", 0.0) for _ in range(8)]
    assert [one and one.delay_s for one in attempts] == [0, 0, 0, 0.25, 0.5, 1.0, None, None]
    taken = [one for one in attempts if one is not None]
    # Whoever goes away without a proof has guessed nothing.
    for one in taken:
        one.dropped()
        one.failed(0.0)
    again = logons.begin(HERE, "world-1", 0.0)
    assert isinstance(again, Attempt)
    assert again.delay_s == 0.0


def test_who_proves_itself_begins_anew(logons: Logons):
    for _ in range(5):
        fail(logons, HERE, "world-1")
    attempt = logons.begin(HERE, "world-1", 0.0)
    assert attempt is not None
    attempt.succeeded()
    assert fail(logons, HERE, "world-1") == 0.0


def test_what_is_remembered_is_bounded(logons: Logons):
    for n in range(MAX_REMEMBERED + 50):
        fail(logons, f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", f"world-{n}")
    assert len(logons._names) == len(logons._addresses) == MAX_REMEMBERED


def test_a_network_of_ipv6_is_one_address():
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db9::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") == HERE
    assert network_of("fe80::1%eth0") == network_of("fe80::2%eth0")
    assert network_of("?") == "?"


def test_the_door_bounds_links_in_all_and_of_an_address():
    door: Door[int] = Door(RealmLimits(max_links=4, max_links_per_address=2, max_logons=9))
    assert [door.enter(n, HERE)[0] for n in (1, 2)] == ["", ""]
    assert "max_links_per_address" in door.enter(3, HERE)[0]
    assert [door.enter(n, THERE)[0] for n in (4, 5)] == ["", ""]
    assert "(max_links)" in door.enter(6, "192.0.2.7")[0]
    door.left(3)
    door.left(1)
    door.left(1)
    assert door.enter(7, HERE) == ("", None)


def test_a_crowd_of_strangers_drives_out_itself():
    door: Door[int] = Door(RealmLimits(max_logons=4))
    assert door.enter(1, HERE) == ("", None)
    assert [door.enter(n, THERE)[1] for n in range(2, 8)] == [None, None, None, 2, 3, 4]
    # Who has logged on is no stranger.
    door.logged_on(5)
    assert [door.enter(n, THERE)[1] for n in (8, 9)] == [None, 6]


def test_what_happens_often_is_told_seldom_and_nothing_is_left_out():
    seldom = Seldom(often=2)
    told = [seldom.happened(now_s) for now_s in (0.0, 0.0, 0.1, 9.9, 10.0, 10.1, 10.2, 99.0)]
    assert told == [1, 1, 0, 0, 3, 1, 0, 2]
