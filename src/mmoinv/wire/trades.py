"""Trades between characters of two worlds: their packets, and when a half is what was agreed on.

Each world writes the half of its own character, and only that; the realm joins two halves to one
operation. Knows no link and no state of a trade.
"""

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from mmoinv import codec
from mmoinv.commits import CURRENCY, Commits, CurrencyDelta, message_bytes
from mmoinv.errors import BatchError, FramingError, RecordError
from mmoinv.records import INVENTORY_ITEM, Batch, empty_batch
from mmoinv.wire.opcodes import Opcode
from mmoinv.wire.packets import Body, frame, pack, str16

MAX_TRADE_ITEMS = 128
"""Records that one side of a trade gives at most."""
CONFIRMED, TAKEN_BACK = 1, 2
"""What `TradeOffer.confirmed` says, if it is not 0."""
NO_MONEY = np.empty(0, CURRENCY)


class TradeOffer(NamedTuple):
    """0x85, both directions: what ``from_guid`` gives. The realm passes it on to the world of
    ``to_guid``, with ``to_epoch`` filled in.

    ``trade_id`` is the operation's id, made by the world of the proposer. Each side counts its
    offers in ``revision``, from 1. ``confirmed``, from the realm only, with an offer that is known:
    its side has confirmed, or that counts no more, since the receiver has changed its own offer.
    """

    trade_id: int
    from_guid: int
    from_epoch: int
    to_guid: int
    to_epoch: int
    revision: int
    confirmed: int
    items: Batch
    currencies: npt.NDArray[np.void]

    def encode(self) -> bytes:
        """The whole frame."""
        if self.currencies.dtype != CURRENCY:
            raise RecordError(f"amounts must have dtype CURRENCY, not {self.currencies.dtype}")
        return frame(
            Opcode.TRADE_OFFER,
            pack("TradeOffer", "<QQIQIHB", *self[:7]),
            codec.encode_batch(self.items),
            pack("TradeOffer", "<B", len(self.currencies)),
            self.currencies.tobytes(),
        )

    @classmethod
    def decode(cls, body: Any) -> Self:
        """From the body."""
        reader = Body("TradeOffer", body)
        numbers = reader.unpack("<QQIQIHB", "trade, characters and revision")
        items, reader.offset = codec.decode_batch(reader.data, reader.offset)
        (count,) = reader.unpack("<B", "currency count")
        data = reader.take(count * CURRENCY.itemsize, "currencies")
        reader.finish()
        return cls(*(*numbers, items, np.frombuffer(data, CURRENCY).copy()))

    @property
    def money(self) -> dict[int, int]:
        """What is given of each currency."""
        return dict(self.currencies.tolist())


class TradeConfirm(NamedTuple):
    """0x86, world to realm: both offers are accepted, and this is the half of the own character.

    ``half`` is the body of a CommitInventory of that one character. Its operation id is not the
    trade's: under it the realm writes, if it must, the empty operation after which the half can
    never be applied. Its flags: REPEATED if the half was sent before.
    """

    trade_id: int
    to_guid: int
    to_epoch: int
    revision: int
    to_revision: int
    half: bytes

    def encode(self) -> bytes:
        """The whole frame."""
        return frame(
            Opcode.TRADE_CONFIRM, pack("TradeConfirm", "<QQIHH", *self[:5]), bytes(self.half)
        )

    @classmethod
    def decode(cls, body: Any) -> Self:
        """From the body."""
        reader = Body("TradeConfirm", body)
        numbers = reader.unpack("<QQIHH", "trade, character and revisions")
        packet = cls(*(*numbers, reader.take(len(reader.data) - reader.offset, "half")))
        if len(packet.commits().participants) != 1:
            raise FramingError("TradeConfirm: a half is of one character", reader.offset)
        return packet

    def commits(self) -> Commits:
        """The half as an operation; what is wrong with its content is in its ``fault``."""
        data = frame(Opcode.COMMIT_INVENTORY, self.half)
        commits, behind = codec.decode_commits(data)
        if behind != len(data) or len(commits.operations) != 1:
            raise FramingError("TradeConfirm: the half is no whole operation")
        return commits


class TradeCancel(NamedTuple):
    """0x87, both directions: the trade is over, for a `TradeEnd` number. ``character_guid`` is
    the world's own."""

    trade_id: int
    character_guid: int
    reason: int
    message: str

    def encode(self) -> bytes:
        """The whole frame."""
        return frame(
            Opcode.TRADE_CANCEL,
            pack("TradeCancel", "<QQB", *self[:3]),
            # Cut rather than refused: it must get through.
            str16("message", message_bytes(self.message).decode()),
        )

    @classmethod
    def decode(cls, body: Any) -> Self:
        """From the body."""
        reader = Body("TradeCancel", body)
        numbers = reader.unpack("<QQB", "trade, character and reason")
        packet = cls(*(*numbers, reader.text("<H", "message")))
        reader.finish()
        return packet


def nothing_offered(trade_id: int, from_guid: int, to_guid: int) -> TradeOffer:
    """What a side offers that has not said anything yet: revision 0."""
    return TradeOffer(trade_id, from_guid, 0, to_guid, 0, 0, 0, empty_batch(), NO_MONEY)


def offer_fault(offer: TradeOffer) -> str:
    """Why an offer cannot be one, "" if it can."""
    if len(offer.items) > MAX_TRADE_ITEMS:
        return f"{len(offer.items)} items are offered, {MAX_TRADE_ITEMS} are the most"
    try:
        codec.validate_batch(offer.items, True)
    except BatchError as error:
        return str(error)
    if len(np.unique(offer.items["item_guid"])) != len(offer.items):
        return "an item guid is offered twice"
    if len(offer.money) != len(offer.currencies):
        return "a currency is offered twice"
    if any(amount <= 0 for amount in offer.money.values()):
        return "an amount of money that is offered is not above 0"
    return ""


def half_fault(half: Commits, gives: TradeOffer, takes: TradeOffer) -> str:
    """Where a half is not what was agreed on, "" if it is.

    All that was offered leaves its slots; all that comes is saved as it was offered, but for the
    slot and the container; the money is the difference; and nothing else is written. So neither
    side can put another stack of the same entry in the place of what it offered.
    """
    given = set(gives.items["slot"].tolist())
    saved = set(half.items["slot"].tolist())
    emptied = set(half.deletes.tolist())
    if strange := emptied - given:
        return f"slot {min(strange)} is emptied and was not offered"
    if kept := given - emptied - saved:
        return f"what is in slot {min(kept)} was offered and stays"
    if _placeless(half.items) != _placeless(takes.items):
        return "what is saved is not what the other side offers"
    money = dict(money_difference(gives, takes))
    if dict(half.currencies.tolist()) != money or len(half.currencies) != len(money):
        return "the money is not what was agreed on"
    return ""


def money_difference(gives: TradeOffer, takes: TradeOffer) -> tuple[CurrencyDelta, ...]:
    """How the balances of a side change, ascending by currency."""
    sums = takes.money
    for currency_id, amount in gives.money.items():
        sums[currency_id] = sums.get(currency_id, 0) - amount
    return tuple(CurrencyDelta(*pair) for pair in sorted(sums.items()) if pair[1])


def _placeless(items: Batch) -> bytes:
    """The records in the order of their guids, wherever they are."""
    ordered = np.array(items[np.argsort(items["item_guid"])], INVENTORY_ITEM)
    ordered["slot"] = ordered["contained"] = 0
    return ordered.tobytes()
