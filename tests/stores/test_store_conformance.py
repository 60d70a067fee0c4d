"""Our stores keep what every store promises."""

import pytest

from mmoinv.conformance.stores import MakeStore, StoreConformance


class TestOurStores(StoreConformance):
    @pytest.fixture
    def make_store(self, make_store: MakeStore) -> MakeStore:
        return make_store
