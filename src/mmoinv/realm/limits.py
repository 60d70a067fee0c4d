"""The settings of a realm that bound time, memory and the size of a transaction."""

from dataclasses import dataclass

from mmoinv.stores.settings import DAY_S, check_bounds

CENTURY_S = 36_525 * DAY_S


@dataclass(frozen=True, slots=True)
class RealmLimits:
    """Counts, times in seconds, sizes in bytes. The defaults suit thousands of players."""

    max_group_operations: int = 512
    """Operations of one transaction."""
    max_group_items: int = 2048
    """Records and deleted slots of one transaction, which bounds how long it takes."""
    backlog_factor: int = 4
    """How many times as large a transaction may be while more operations than fit into one wait:
    what many share costs each of them less."""
    gather_s: float = 0.0
    """How long a group may wait for more company while the database is idle."""
    max_queued_operations: int = 32_768
    """Operations that wait for the writer; what comes beyond is answered 6, overloaded."""
    max_queued_items: int = 1_048_576
    """Records and deleted slots that wait for the writer."""
    retry_s: float = 10.0
    """How long a transaction is tried again while the database is unavailable."""
    leave_timeout_s: float = 5.0
    """How long a world that is asked to give a character back may take."""
    max_write_buffer: int = 16 << 20
    """Bytes that may wait for one slow link before it is cut off."""
    max_links: int = 1024
    """Connections in all; what comes beyond is closed at once."""
    max_links_per_address: int = 256
    """Connections from one address (of IPv6, from one network of 64 bits)."""
    max_logons: int = 128
    """Connections that have not logged on yet. For one more, the oldest is closed of the address
    that has most of them."""
    max_failed_logons: int = 10
    """Failed logons under one world's name from one address, before such are refused at once."""
    max_failed_logons_per_address: int = 100
    """The same, whatever the names."""
    failed_logon_pause_s: float = 60.0
    """For how long they are refused; so long after the last one they are forgotten."""
    max_link_sessions: int = 65_536
    """Characters that one link may hold or be joining; what comes beyond is answered overloaded."""
    max_link_operations: int = 16_384
    """Operations of one link without an answer; what comes beyond is answered 6, overloaded."""
    close_timeout_s: float = 5.0
    """How long a link may take to accept its last answers when the realm stops."""
    max_link_trades: int = 1024
    """Open trades of one world with characters of other worlds."""
    trade_s: float = 600.0
    """How long such a trade may be open."""
    trade_confirm_s: float = 60.0
    """How long one side may have confirmed and the other one not: its saves wait so long."""
    keep_operations_s: float = 30 * 86400.0
    """How long it is remembered that an operation was applied: for so long a world may send it
    again and it is not applied twice."""

    keep_ledger_s: float = 180 * 86400.0
    """How long the ledger keeps what an operation changed."""

    def check(self) -> None:
        """`ConfigurationError` if a value cannot be."""
        check_bounds(
            self,
            (1, 2**40),
            (0.0, DAY_S),
            backlog_factor=(1, 1000),
            gather_s=(0.0, 10.0),
            # Shorter than a link may be cut off, it would not keep what it is for.
            keep_operations_s=(60.0, CENTURY_S),
            keep_ledger_s=(60.0, CENTURY_S),
        )
