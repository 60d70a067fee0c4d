"""A Galera cluster: several MariaDB servers that all take writes and lose none with one of them."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from servers.database_server import DATABASE
from servers.mariadb import MariadbServer
from servers.process import START_TIMEOUT_S, ServerError, ServerMissingError, free_port

REMEDY = "apt-get install galera-4 rsync lsof"
PROVIDERS = (
    "/usr/lib/galera/libgalera_smm.so",
    "/usr/lib64/galera-4/libgalera_smm.so",
    "/usr/lib/libgalera_smm.so",
)
# A node that was killed is given up after two seconds, not five.
PATIENCE = (
    "evs.keepalive_period=PT0.5S;evs.inactive_check_period=PT0.25S;evs.suspect_timeout=PT2S;"
    "evs.inactive_timeout=PT5S;evs.install_timeout=PT5S"
)


class GaleraNode(MariadbServer):
    """One server of a cluster: the first makes it, the others copy a member's data."""

    def __init__(self, provider: str, cluster_name: str, own_port: int, others: list[int]) -> None:
        self.group_port = own_port
        self._makes_cluster = not others
        members = ",".join(f"127.0.0.1:{port}" for port in others)
        super().__init__(
            **{
                "wsrep-on": "ON",
                "wsrep-provider": provider,
                "wsrep-cluster-name": cluster_name,
                "wsrep-cluster-address": f"gcomm://{members}",
                "wsrep-node-address": f"127.0.0.1:{own_port}",
                "wsrep-sst-method": "rsync",
                "wsrep-sst-receive-address": f"127.0.0.1:{free_port()}",
                "wsrep-provider-options": f"gmcast.listen_addr=tcp://127.0.0.1:{own_port};"
                f"ist.recv_addr=127.0.0.1:{free_port()};gcache.size=16M;{PATIENCE}",
                "binlog-format": "ROW",
                "default-storage-engine": "InnoDB",
                "innodb-autoinc-lock-mode": "2",
                "innodb-log-file-size": "16M",
            }
        )

    def join(self, others: list[int]) -> None:
        """From its next start on it looks for its cluster at these group ports."""
        members = ",".join(f"127.0.0.1:{port}" for port in others)
        self._settings["wsrep-cluster-address"] = f"gcomm://{members}"

    def _make_data(self) -> None:
        if self._makes_cluster:
            super()._make_data()
        else:
            self._data.mkdir()
            self._folder.own(self._data)

    def start(self) -> None:
        if self._makes_cluster:
            self._start("--wsrep-new-cluster", f"--init-file={self._users}")
            self._makes_cluster = False
        else:
            self._start()

    def _answers(self) -> None:
        if self.status("local_state_comment") != "Synced":
            raise ServerError("it has not all of its cluster's data yet")

    def status(self, name: str) -> str:
        """What ``SHOW STATUS LIKE 'wsrep_NAME'`` says."""
        return str(self.execute(f"SHOW STATUS LIKE 'wsrep_{name}'")[0][1])


class GaleraCluster:
    """A cluster of throw-away MariaDB servers; every one takes writes as long as most of those
    that were there are. `ServerMissingError` if there is no program or no Galera for it."""

    def __init__(self, nodes: int = 3) -> None:
        provider = _provider()
        self.nodes: list[GaleraNode] = []
        ports = [free_port() for _ in range(nodes)]
        # A name of its own: clusters of other sessions are not met by accident.
        name = f"{DATABASE}-" + "-".join(map(str, ports))
        try:
            for port in ports:
                there = [node.group_port for node in self.nodes]
                self.nodes.append(GaleraNode(provider, name, port, there))
        except BaseException:
            self.close()
            raise
        for node in self.nodes:
            node.join(ports)
        self.wait_ready()

    @property
    def url(self) -> str:
        """Names the hosts of all nodes."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"mariadb://{DATABASE}@{hosts}/{DATABASE}"

    def _member(self) -> GaleraNode:
        for node in self.nodes:
            if node.running:
                return node
        raise ServerError("no node of the cluster runs.")

    def new_database(self) -> str:
        """Make an empty database: its URL, that names all nodes."""
        name = self._member().new_database().partition("?")[0].rpartition("/")[2]
        return self.url.removesuffix(DATABASE) + name

    def drop_database(self, url: str) -> None:
        """Drop a database, also while someone is connected to any node."""
        for node in self.nodes:
            if node.running:
                node.drop_database(url)

    def execute(self, *statements: str, node: int | None = None) -> list[tuple[Any, ...]]:
        """Run statements in the first database, on a node or on the first that runs."""
        return (self._member() if node is None else self.nodes[node]).execute(*statements)

    def kill(self, index: int) -> None:
        """SIGKILL to one node; returns when it is gone. The others notice in about two seconds."""
        self.nodes[index].kill()

    def start(self, index: int) -> None:
        """Start a killed node again: it copies what it missed. Some node must still run."""
        self._member()
        self.nodes[index].start()

    def wait_ready(self) -> None:
        """Wait until the nodes that run are one cluster that takes writes, without the killed."""
        running = [node for node in self.nodes if node.running]
        wanted = [("ON", "Synced", str(len(running)))] * len(running)
        until = time.monotonic() + START_TIMEOUT_S
        while [_state(node) for node in running] != wanted:
            if time.monotonic() > until:
                raise ServerError(
                    f"The cluster is not ready after {START_TIMEOUT_S:g} s: (ready, state, size) "
                    f"are {[_state(node) for node in running]}. {running[0].log_tail()}"
                )
            time.sleep(0.05)

    def close(self) -> None:
        """End all nodes and remove their folders."""
        for node in self.nodes:
            node.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _state(node: GaleraNode) -> tuple[str, str, str]:
    return node.status("ready"), node.status("local_state_comment"), node.status("cluster_size")


def _provider() -> str:
    for path in PROVIDERS:
        if Path(path).exists():
            return path
    raise ServerMissingError(
        f"Galera NOT TESTED: no libgalera_smm.so at {', '.join(PROVIDERS)}. Remedy: {REMEDY}"
    )
