"""The world server's side: the connector to the realm and the repository over it.

Never imports `mmoinv.realm`: the two meet only on the wire.
"""

from mmoinv.world.characters import JoinedCharacter
from mmoinv.world.connector import ConnectorState, RealmConnector
from mmoinv.world.repository import WorldServerInventoryRepository

__all__ = [
    "ConnectorState",
    "JoinedCharacter",
    "RealmConnector",
    "WorldServerInventoryRepository",
]
