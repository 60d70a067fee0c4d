"""The realm's end of a link: logon, joins, commits as arrays.

Does not know who holds which session or what is stored; it asks by events and is answered by
calls.
"""

from typing import Any, ClassVar

from mmoinv import codec
from mmoinv.commits import without_refused_content
from mmoinv.errors import ConfigurationError, FramingError, LogonError
from mmoinv.wire.dialects import DIALECTS
from mmoinv.wire.events import (
    CharacterLeft,
    CommitsReceived,
    JoinRequested,
    LogonFailed,
    LogonProved,
    LogonRequested,
    RealmEvent,
    TradeCancelled,
    TradeConfirmed,
    TradeOffered,
)
from mmoinv.wire.link import Link, LinkState
from mmoinv.wire.logon import RealmLogon, check_world_name
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
from mmoinv.wire.trades import TradeCancel, TradeConfirm, TradeOffer

_RUNS = {
    3: frozenset({Opcode.SAVE_INVENTORY_ITEMS, Opcode.DELETE_INVENTORY_ITEMS}),
    4: frozenset({Opcode.COMMIT_INVENTORY}),
}


class RealmLink(Link[RealmEvent]):
    """The realm's end. Runs of commits come as one `CommitsReceived`, decoded in one call."""

    TABLE: ClassVar[dict[LinkState, dict[int, str]]] = {
        LinkState.CHALLENGE: {
            Opcode.LOGON_CHALLENGE: "_receive_challenge",
            Opcode.PING: "_receive_ping",
        },
        LinkState.LOOKUP: {Opcode.PING: "_receive_ping"},
        LinkState.PROOF: {
            Opcode.LOGON_PROOF: "_receive_proof",
            Opcode.PING: "_receive_ping",
        },
        LinkState.GRANT: {Opcode.PING: "_receive_ping"},
        # Save, Delete and Commit are taken by _receive_run.
        LinkState.OPEN: {
            Opcode.REQUEST_CHARACTER_JOIN: "_receive_join_request",
            Opcode.PLAYER_CHARACTER_LEFT: "_receive_left",
            Opcode.TRADE_OFFER: "_receive_trade_offer",
            Opcode.TRADE_CONFIRM: "_receive_trade_confirm",
            Opcode.TRADE_CANCEL: "_receive_trade_cancel",
            Opcode.PING: "_receive_ping",
        },
    }

    world_name = ""
    process_nonce = 0
    _client_first = ""
    _server_final = ""
    _logon: RealmLogon

    def _receive_run(self, data: bytes | bytearray | memoryview, offset: int) -> int:
        if self.state is not LinkState.OPEN or data[offset] not in _RUNS[self.dialect.protocol]:
            return offset
        commits, behind = codec.decode_commits(
            data, offset, self.dialect.layout, self.dialect.replace, self._max_body_size
        )
        if behind > offset:
            self._events.append(CommitsReceived(without_refused_content(commits)))
            return behind
        # Not whole yet: the caller waits for the rest of it.
        return offset

    # Logon

    def _receive_challenge(self, body: Any) -> None:
        packet = LogonChallenge.decode(body)
        self.world_name, self.process_nonce = packet.world_name, packet.process_nonce
        self._client_first = packet.client_first
        known = packet.dialect < len(DIALECTS)
        if not known or DIALECTS[packet.dialect].protocol != packet.protocol:
            self.state = LinkState.LOOKUP
            self._fail(
                LogonStatus.VERSION_REFUSED,
                f"protocol {packet.protocol} with dialect {packet.dialect} is not spoken here",
            )
            return
        try:
            check_world_name(packet.world_name)
        except ConfigurationError as error:
            self.state = LinkState.LOOKUP
            self._fail(LogonStatus.WRONG_CREDENTIALS, str(error))
            return
        self.dialect = DIALECTS[packet.dialect]
        self.state = LinkState.LOOKUP
        self._events.append(
            LogonRequested(packet.world_name, packet.process_nonce, packet.protocol, packet.dialect)
        )

    def offer_challenge(self, verifier: str | None, nonce: str | None = None) -> list[RealmEvent]:
        """Answer `LogonRequested`; ``verifier`` None: no such world. Events if it fails at once."""
        if self.state is not LinkState.LOOKUP:
            return []
        try:
            self._logon = RealmLogon(self.world_name, self._client_first, verifier, nonce)
            challenge = self._logon.challenge()
        except LogonError as error:
            self._fail(
                LogonStatus(error.status or LogonStatus.WRONG_CREDENTIALS),
                str(error),
            )
            return self._take_events()
        self.state = LinkState.PROOF
        self._outgoing.append(LogonChallengeAnswer(LogonStatus.ACCEPTED, challenge).encode())
        return []

    def _receive_proof(self, body: Any) -> None:
        packet = LogonProof.decode(body)
        proved, self._server_final = self._logon.finish(packet.client_final)
        self.state = LinkState.GRANT
        if proved:
            self._events.append(LogonProved(self.world_name))
        else:
            self._fail(LogonStatus.WRONG_CREDENTIALS, "the world is unknown or its proof is wrong")

    def accept_logon(self, node_epoch: int) -> None:
        """Answer `LogonProved`: the link is open."""
        if self.state is LinkState.GRANT:
            self.state = LinkState.OPEN
            self._outgoing.append(
                LogonProofAnswer(
                    LogonStatus.ACCEPTED,
                    self._server_final,
                    node_epoch,
                    self.dialect.protocol,
                    self.dialect.number,
                ).encode()
            )

    def refuse_logon(self, status: LogonStatus, reason: str = "") -> list[RealmEvent]:
        """Answer `LogonRequested` or `LogonProved` with a refusal; send, then close."""
        if self.state in (LinkState.LOOKUP, LinkState.GRANT):
            self._fail(status, reason or status.sentence)
        return self._take_events()

    def _fail(self, status: LogonStatus, reason: str) -> None:
        if self.state is LinkState.LOOKUP:
            self._outgoing.append(LogonChallengeAnswer(status, "").encode())
        else:
            final = self._server_final if status is LogonStatus.WRONG_CREDENTIALS else ""
            self._outgoing.append(LogonProofAnswer(status, final, 0, 0, 0).encode())
        self.state = LinkState.CLOSED
        self._events.append(LogonFailed(self.world_name, reason))

    # Characters

    def _receive_join_request(self, body: Any) -> None:
        self._events.append(JoinRequested(*RequestCharacterJoin.decode(body)))

    def _receive_left(self, body: Any) -> None:
        self._events.append(CharacterLeft(*PlayerCharacterLeft.decode(body)))

    def send_join(self, character: PlayerCharacterJoin) -> None:
        """The session is granted: everything that is stored of the character."""
        frame = character.encode()
        if len(frame) > self._max_body_size:
            raise FramingError(
                f"character {character.character_guid}: the join is {len(frame)} bytes long, "
                f"over the limit of {self._max_body_size}"
            )
        self.send_bytes(frame)

    def send_join_failed(self, character_guid: int, reason: int, message: str) -> None:
        """The join is refused, for a `JoinFailure` number."""
        self.send_bytes(PlayerCharacterJoinFailed(character_guid, reason, message).encode())

    def send_leave(self, character_guid: int, session_epoch: int) -> None:
        """Another world wants the character: ask this one to leave."""
        self.send_bytes(PlayerCharacterLeave(character_guid, session_epoch).encode())

    # Trades, on protocol 4 only

    def _receive_trade_offer(self, body: Any) -> None:
        if self._speaks_trades():
            self._events.append(TradeOffered(TradeOffer.decode(body)))

    def _receive_trade_confirm(self, body: Any) -> None:
        if self._speaks_trades():
            self._events.append(TradeConfirmed(TradeConfirm.decode(body)))

    def _receive_trade_cancel(self, body: Any) -> None:
        if self._speaks_trades():
            self._events.append(TradeCancelled(TradeCancel.decode(body)))
