"""The realm server: takes commits from world servers and keeps them in a database."""

from mmoinv.realm.group_commit import GroupCommit, JoinFailed
from mmoinv.realm.limits import RealmLimits
from mmoinv.realm.server import DEFAULT_PORT, RealmServer
from mmoinv.realm.statistics import RealmStatistics
from mmoinv.realm.worlds import add_world

__all__ = [
    "DEFAULT_PORT",
    "GroupCommit",
    "JoinFailed",
    "RealmLimits",
    "RealmServer",
    "RealmStatistics",
    "add_world",
]
