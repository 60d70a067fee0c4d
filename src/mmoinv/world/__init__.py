"""The world server's side: the connector to the realm, the repository over it, autosave.

Never imports `mmoinv.realm`: the two meet only on the wire.
"""

from mmoinv.world.autosave import Autosave, AutosaveSettings
from mmoinv.world.characters import JoinedCharacter
from mmoinv.world.connector import ConnectorState, RealmConnector
from mmoinv.world.outbox import Outbox
from mmoinv.world.replay import Fate, ReplayedOperation
from mmoinv.world.repository import WorldServerInventoryRepository
from mmoinv.world.trade import Trade, TradeState
from mmoinv.world.trade_window import TradeWindow
from mmoinv.world.unsaved import UnsavedOperation

__all__ = [
    "Autosave",
    "AutosaveSettings",
    "ConnectorState",
    "Fate",
    "JoinedCharacter",
    "Outbox",
    "RealmConnector",
    "ReplayedOperation",
    "Trade",
    "TradeState",
    "TradeWindow",
    "UnsavedOperation",
    "WorldServerInventoryRepository",
]
