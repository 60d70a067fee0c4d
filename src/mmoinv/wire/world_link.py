"""The world's end of a link: logon, joins, answers.

Does not know what is pending (`mmoinv.wire.pending`) or what the game has open.
"""

from typing import Any, ClassVar

from mmoinv import codec
from mmoinv.errors import ConfigurationError, LogonError
from mmoinv.records import MAX_BODY_SIZE
from mmoinv.wire.dialects import dialect_by_number
from mmoinv.wire.events import (
    CharacterJoined,
    CharacterJoinFailed,
    LeaveRequested,
    LogonAccepted,
    LogonRefused,
    OperationAnswered,
    OperationResultReceived,
    TradeCancelled,
    TradeOffered,
    WorldEvent,
)
from mmoinv.wire.link import Link, LinkState
from mmoinv.wire.logon import WorldLogon, check_world_name
from mmoinv.wire.opcodes import LogonStatus, Opcode
from mmoinv.wire.packets import (
    LogonChallenge,
    LogonChallengeAnswer,
    LogonProof,
    LogonProofAnswer,
    PlayerCharacterJoin,
    PlayerCharacterJoinFailed,
    PlayerCharacterLeave,
    PlayerCharacterLeft,
    RequestCharacterJoin,
)
from mmoinv.wire.trades import TradeCancel, TradeOffer


class WorldLink(Link[WorldEvent]):
    """The world's end."""

    TABLE: ClassVar[dict[LinkState, dict[int, str]]] = {
        LinkState.IDLE: {},
        LinkState.CHALLENGE: {
            Opcode.LOGON_CHALLENGE: "_receive_challenge",
            Opcode.PING: "_receive_ping",
        },
        LinkState.PROOF: {
            Opcode.LOGON_PROOF: "_receive_proof",
            Opcode.PING: "_receive_ping",
        },
        LinkState.OPEN: {
            Opcode.PLAYER_CHARACTER_JOIN: "_receive_join",
            Opcode.PLAYER_CHARACTER_JOIN_FAILED: "_receive_join_failed",
            Opcode.PLAYER_CHARACTER_LEAVE: "_receive_leave",
            Opcode.TRADE_OFFER: "_receive_trade_offer",
            Opcode.TRADE_CANCEL: "_receive_trade_cancel",
            # Answers are taken by _receive_frame: their opcode depends on the dialect.
            Opcode.PING: "_receive_ping",
        },
    }

    _logon: WorldLogon

    def __init__(self, max_body_size: int = MAX_BODY_SIZE) -> None:
        super().__init__(max_body_size)
        self.state = LinkState.IDLE

    # Logon

    def begin_logon(
        self,
        world_name: str,
        secret: str,
        process_nonce: int,
        dialect: int = 0,
        nonce: str | None = None,
    ) -> None:
        """Write the first packet. ``nonce`` is SCRAM's, random if not given."""
        if self.state is not LinkState.IDLE:
            raise ConfigurationError(f"the logon cannot begin while {self.state.value}")
        self.dialect = dialect_by_number(dialect)
        self._logon = WorldLogon(check_world_name(world_name), secret, nonce)
        self.state = LinkState.CHALLENGE
        self._outgoing.append(
            LogonChallenge(
                self.dialect.protocol, dialect, process_nonce, world_name, self._logon.first()
            ).encode()
        )

    def _receive_challenge(self, body: Any) -> None:
        packet = LogonChallengeAnswer.decode(body)
        if packet.status != LogonStatus.ACCEPTED:
            self._refused(packet.status)
            return
        try:
            proof = self._logon.answer(packet.server_first)
        except LogonError as error:
            self._distrust(error)
            return
        self.state = LinkState.PROOF
        self._outgoing.append(LogonProof(proof).encode())

    def _receive_proof(self, body: Any) -> None:
        packet = LogonProofAnswer.decode(body)
        if packet.status != LogonStatus.ACCEPTED:
            self._refused(packet.status)
            return
        try:
            self._logon.finish(packet.server_final)
        except LogonError as error:
            self._distrust(error)
            return
        if (packet.protocol, packet.dialect) != (self.dialect.protocol, self.dialect.number):
            self._distrust(
                LogonError(
                    f"the realm granted protocol {packet.protocol}, dialect {packet.dialect}, "
                    f"not protocol {self.dialect.protocol}, dialect {self.dialect.number}"
                )
            )
            return
        self.state = LinkState.OPEN
        self._events.append(LogonAccepted(packet.node_epoch, packet.protocol, packet.dialect))

    def _refused(self, status: int) -> None:
        self.state = LinkState.CLOSED
        known = status in LogonStatus.__members__.values()
        reason = LogonStatus(status).sentence if known else f"the realm answered status {status}"
        self._events.append(LogonRefused(status, reason))

    def _distrust(self, error: LogonError) -> None:
        self.state = LinkState.CLOSED
        self._events.append(LogonRefused(None, str(error)))

    # Characters

    def request_join(self, character_guid: int, session_epoch: int = 0) -> None:
        """Ask for a character's session; with an epoch, re-claim it."""
        self.send_bytes(RequestCharacterJoin(character_guid, session_epoch).encode())

    def send_left(self, character_guid: int, session_epoch: int, reason: int) -> None:
        """Give a character's session back, for a `LeaveReason` number."""
        self.send_bytes(PlayerCharacterLeft(character_guid, session_epoch, reason).encode())

    def _receive_join(self, body: Any) -> None:
        self._events.append(CharacterJoined(PlayerCharacterJoin.decode(body)))

    def _receive_join_failed(self, body: Any) -> None:
        self._events.append(CharacterJoinFailed(*PlayerCharacterJoinFailed.decode(body)))

    def _receive_leave(self, body: Any) -> None:
        self._events.append(LeaveRequested(*PlayerCharacterLeave.decode(body)))

    def _receive_trade_offer(self, body: Any) -> None:
        if self._speaks_trades():
            self._events.append(TradeOffered(TradeOffer.decode(body)))

    def _receive_trade_cancel(self, body: Any) -> None:
        if self._speaks_trades():
            self._events.append(TradeCancelled(TradeCancel.decode(body)))

    # Answers

    def _receive_frame(self, opcode: int, body: Any) -> None:
        # Only the dialect's own: 0x0A is another packet where results are 0x0B.
        if self.state is not LinkState.OPEN or opcode != self.dialect.result_opcode:
            super()._receive_frame(opcode, body)
        elif self.dialect.protocol == 4:
            self._events.append(OperationAnswered(*codec.decode_commit_inventory_result(body)))
        else:
            self._receive_operation_result(body)

    def _receive_operation_result(self, body: Any) -> None:
        guid, operation_id, kind, success = codec.decode_inventory_operation_result(body)
        self._events.append(OperationResultReceived(guid, operation_id, kind, bool(success)))
