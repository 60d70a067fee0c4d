"""Bounds and times that cannot be are refused."""

import pytest

from mmoinv.errors import ConfigurationError
from mmoinv.migration import MigrationSettings


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_from_0_to_1(share):
    with pytest.raises(ConfigurationError, match="compare_share"):
        MigrationSettings(compare_share=share)
    assert MigrationSettings(compare_share=0).compare_share == 0


@pytest.mark.parametrize("name", ["follower_timeout_s", "max_waiting_records", "tick_s"])
def test_everything_else_is_more_than_0(name):
    with pytest.raises(ConfigurationError, match=name):
        MigrationSettings(**{name: 0})
