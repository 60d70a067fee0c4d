"""A Galera cluster: a node is killed, another takes the writes, and it comes back with them."""

from collections.abc import Iterator

import pytest

from servers.database_server import DatabaseServer
from servers.fixtures import started
from servers.galera import GaleraCluster


@pytest.fixture
def cluster(mariadb_server: DatabaseServer) -> Iterator[GaleraCluster]:
    """Depends on the one server: where that one cannot be had, this one cannot either."""
    with started(GaleraCluster) as cluster:
        yield cluster


def test_a_node_is_killed_and_another_takes_writes(cluster: GaleraCluster) -> None:
    assert cluster.url.count("127.0.0.1") == 3
    cluster.execute("CREATE TABLE item (guid INT PRIMARY KEY)", node=0)
    cluster.execute("INSERT INTO item VALUES (1)", node=0)
    cluster.kill(0)
    cluster.wait_ready()
    wait = "SET SESSION wsrep_sync_wait = 7"
    assert cluster.execute(wait, "SELECT guid FROM item", node=2) == [(1,)]
    cluster.execute("INSERT INTO item VALUES (2)", node=1)
    assert cluster.execute(wait, "SELECT guid FROM item ORDER BY 1", node=2) == [(1,), (2,)]
    cluster.start(0)
    cluster.wait_ready()
    assert cluster.execute(wait, "SELECT guid FROM item ORDER BY 1", node=0) == [(1,), (2,)]
