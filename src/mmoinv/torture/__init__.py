"""What attacks mmoinv and counts what was acknowledged: the parts of a torture run.

A proxy that spoils links, a schedule of faults, the journals of the worlds, and the checker that
knows nothing but them. No part starts a process, and none knows the realm or a database.
"""

from mmoinv.torture.checker import Findings, check
from mmoinv.torture.journal import Answer, Change, Journal, Kept, Sent, Stored, read_journals
from mmoinv.torture.proxied import Direction, ProxiedConnection
from mmoinv.torture.proxy import FaultProxy
from mmoinv.torture.schedule import Fault, FaultKind, schedule, schedule_from_json, schedule_to_json

__all__ = [
    "Answer",
    "Change",
    "Direction",
    "Fault",
    "FaultKind",
    "FaultProxy",
    "Findings",
    "Journal",
    "Kept",
    "ProxiedConnection",
    "Sent",
    "Stored",
    "check",
    "read_journals",
    "schedule",
    "schedule_from_json",
    "schedule_to_json",
]
