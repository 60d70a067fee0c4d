"""A server's process and its folder; they live in `mmoinv.torture.servers`."""

from mmoinv.torture.servers.process import (
    START_TIMEOUT_S,
    ServerError,
    ServerFolder,
    ServerMissingError,
    ServerProcess,
    account,
    free_port,
)

__all__ = [
    "START_TIMEOUT_S",
    "ServerError",
    "ServerFolder",
    "ServerMissingError",
    "ServerProcess",
    "account",
    "free_port",
]
