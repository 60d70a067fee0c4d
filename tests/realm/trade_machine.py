"""Two worlds and a realm without sockets: the world's trades and operations, the realm's table of
trades, and a database that is a dict, with every message in the hands of hypothesis.

Links are cut anywhere, entries wait for a writer that takes them in any order (of several realm
processes none is the first), the database fails before or after it has committed, worlds cheat, and
one that has an outbox dies and comes back.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mmoinv import codec
from mmoinv.commits import CommitFlags, Commits
from mmoinv.errors import ItemLockedError, LinkBusyError, OutboxWriteError, TradeError
from mmoinv.realm.limits import RealmLimits
from mmoinv.realm.sessions import HeldEpochs
from mmoinv.realm.trades import Trades as RealmTrades
from mmoinv.records import FRAME_HEADER_SIZE, Batch, InventoryItemData, batch_of
from mmoinv.repository import CharacterChanges, OperationHandle
from mmoinv.stores import CommitOutcome, Verdict
from mmoinv.wire import (
    CommitStatus,
    Opcode,
    OperationAnswered,
    TradeCancel,
    TradeConfirm,
    TradeEnd,
    TradeOffer,
    dialect_by_number,
)
from mmoinv.world import JoinedCharacter, Trade, TradeState
from mmoinv.world.operations import Operations
from mmoinv.world.outbox_format import as_repeated
from mmoinv.world.trades import Trades

A, B = 1, 2
GOLD, EPOCH = 1, 5
SLOTS = range(10)
SIDES = st.sampled_from((A, B))
PICKS = st.sets(st.integers(0, 3), max_size=2)
"""Of the items that there are, by their place."""


class Database:
    """What is stored: records by slot, money, versions, and which operations were applied."""

    def __init__(self) -> None:
        self.items: dict[int, dict[int, InventoryItemData]] = {}
        self.gold: dict[int, int] = {}
        self.versions: dict[int, int] = {}
        self.epochs = {A: EPOCH, B: EPOCH}
        self.applied: set[int] = set()
        self.on_trade: Callable[[int, list[int], Commits], None] = lambda *_: None
        for guid in (A, B):
            # Two of each kind are alike but for guid and durability.
            records = [
                InventoryItemData(
                    100 + place // 2,
                    place,
                    1 + place // 2,
                    guid,
                    durability=place,
                    item_guid=guid << 32 | place + 1,
                )
                for place in range(4)
            ]
            self.items[guid] = {record.slot: record for record in records}
            self.gold[guid] = 10
            self.versions[guid] = 0

    def batch(self, guid: int) -> Batch:
        """The inventory as it is stored."""
        return batch_of(*(self.items[guid][slot] for slot in sorted(self.items[guid])))

    def run(self, commits: Commits) -> CommitOutcome:
        """Apply an entry as a store does, one operation after the other."""
        statuses, versions = [], []
        for index in range(len(commits.operations)):
            one = commits.between(index, index + 1)
            guids = one.participants["character_guid"].tolist()
            statuses.append(self._verdict(one, guids))
            versions += [self.versions[guid] for guid in guids]
        return CommitOutcome(np.array(statuses, np.uint8), np.array(versions, np.uint64), {})

    def _verdict(self, one: Commits, guids: list[int]) -> Verdict:
        (operation,) = one.operations
        number, flags = int(operation["operation_id"]), int(operation["flags"])
        if flags & CommitFlags.REPEATED and number in self.applied:
            return Verdict.ALREADY_COMMITTED
        if operation["fault"]:
            return Verdict.INVALID
        if one.participants["session_epoch"].tolist() != [self.epochs[guid] for guid in guids]:
            return Verdict.STALE_SESSION
        if [self.versions[guid] for guid in guids] != one.participants["expected_version"].tolist():
            return Verdict.VERSION_CONFLICT
        items, gold = dict(self.items), dict(self.gold)
        for participant, guid in zip(one.participants, guids, strict=True):
            items[guid] = dict(items[guid])
            for slot in _span(participant, "delete", one.deletes).tolist():
                items[guid].pop(slot, None)
            for record in _span(participant, "item", one.items).tolist():
                items[guid][record[1]] = InventoryItemData(*record)
            for _, amount in _span(participant, "currency", one.currencies).tolist():
                gold[guid] += amount
        named = [record.item_guid for guid in items for record in items[guid].values()]
        if len(set(named)) != len(named):
            return Verdict.DUPLICATE_ITEM_GUID
        if min(gold.values()) < 0:
            return Verdict.INSUFFICIENT_FUNDS
        if flags & CommitFlags.CONSERVE and (
            sums(items) != sums(self.items) or sum(gold.values()) != sum(self.gold.values())
        ):
            return Verdict.NOT_CONSERVED
        assert number not in self.applied, "an operation is written twice"
        if len(guids) > 1:
            self.on_trade(number, guids, one)
        self.items, self.gold = items, gold
        self.applied.add(number)
        for guid in guids:
            self.versions[guid] += 1
        return Verdict.COMMITTED


def _span(participant: Any, name: str, array: Any) -> Any:
    first = int(participant[f"first_{name}"])
    return array[first : first + int(participant[f"{name}_count"])]


def sums(items: dict[int, dict[int, InventoryItemData]]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for records in items.values():
        for record in records.values():
            counts[record.entry] = counts.get(record.entry, 0) + record.stack_count
    return counts


class Link:
    """One connection, seen from both ends: what is on its way in each direction."""

    def __init__(self, guid: int) -> None:
        self.world_id = guid
        self.held = HeldEpochs()
        self.up: list[bytes] = []
        self.down: list[TradeOffer | TradeCancel | OperationAnswered] = []
        self.spoils: Callable[[bytes], bytes] = lambda frame: frame

    # The world's end

    @property
    def wire(self) -> "Link":
        return self

    def send_bytes(self, frame: bytes) -> None:
        self.up.append(self.spoils(frame))

    def flush(self) -> None:
        pass

    # The realm's end

    def send_trade_offer(self, offer: TradeOffer) -> None:
        self.down.append(TradeOffer.decode(offer.encode()[FRAME_HEADER_SIZE:]))

    def send_trade_cancel(self, cancel: TradeCancel) -> None:
        self.down.append(cancel)

    def answer_half(self, trade_id: int, status: int, versions: Any, message: str) -> None:
        self.down.append(OperationAnswered(trade_id, status, list(versions), message))


class Disk:
    """An outbox whose disk writes and fails when it is told to."""

    def __init__(self) -> None:
        self.has_unwritten: Callable[[], bool] = lambda: False
        self.frames: dict[int, bytes] = {}
        """What would be found after a crash."""
        self._marks: list[int] = []
        self._writing: tuple[dict[int, bytes], Callable[[OSError | None], None]] | None = None

    @property
    def is_writing(self) -> bool:
        return self._writing is not None

    def check_room(self, _: Any) -> None:
        pass

    def write(self, frames: dict[int, bytes], written: Callable[[OSError | None], None]) -> None:
        self._writing = frames, written

    def answered(self, operation_id: int) -> None:
        self._marks.append(operation_id)

    def sync(self, fails: bool) -> None:
        """The write ends, with the marks before it."""
        if self._writing is None:
            return
        (frames, written), self._writing = self._writing, None
        if not fails:
            for number in self._marks:
                self.frames.pop(number, None)
            self._marks.clear()
            self.frames |= frames
        written(OSError("full") if fails else None)


class Loop:
    """What is due at once, and what is due later."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], object]] = []
        self.later: list[Callable[[], object]] = []

    def call_soon_threadsafe(self, act: Callable[..., object], *about: object) -> None:
        self.soon.append(lambda: act(*about))

    def call_later(self, _: float, act: Callable[..., object], *about: object) -> None:
        self.later.append(lambda: act(*about))

    def run(self) -> None:
        while self.soon:
            self.soon.pop(0)()


class World:
    """A world's trades and operations, on a loop that runs when it is told to. What the process
    before ``left`` it sends again first, and joins after that."""

    def __init__(self, guid: int, database: Database, process: int, left: dict[int, bytes]) -> None:
        self.guid = guid
        self.database = database
        self.process = process
        self.loop = Loop()
        self.link: Link | None = None
        self.left = dict(left)
        self.is_joined = False
        self.disk = Disk() if guid == B else None
        self.characters: dict[int, JoinedCharacter] = {}
        self.operations = Operations(
            self.characters,
            dialect_by_number(0),
            100,
            None,
            lambda guids: None,
            self.disk,  # type: ignore[arg-type]
        )
        self.operations._loop = self.loop  # type: ignore[assignment]
        self.operations._node_epoch = process << 8 | guid
        self.trades = Trades(
            self.characters,
            self.operations,
            lambda: self.link,  # type: ignore[arg-type,return-value]
            lambda guid: None,
            self.tell,
        )
        self.trades.on_offered = self.begun
        self.seen: dict[int, Trade] = {}
        """Every trade that there was."""
        self.lost: set[int] = set()
        """Those of them that a process before this one had open when it died."""
        self.cancelled_first: set[int] = set()
        """Trades that were cancelled here before anything was confirmed."""
        self.cheated: set[int] = set()
        self.commits: list[OperationHandle] = []

    @property
    def character(self) -> JoinedCharacter:
        return self.characters[self.guid]

    @property
    def trade(self) -> Trade | None:
        return self.trades.of_character(self.guid)

    def tell(self, callback: Callable[..., object] | None, *about: object) -> None:
        if callback is not None:
            callback(*about)

    def begun(self, trade: Trade) -> None:
        self.seen[trade.trade_id] = trade

    def receive(self, event: TradeOffer | TradeCancel | OperationAnswered) -> None:
        if not self.is_joined:
            self.receive_before_join(event)
            return
        match event:
            case TradeOffer():
                self.trades.receive_offer(event)
            case TradeCancel():
                self.trades.receive_cancel(event)
            case OperationAnswered():
                self.trades.note_answer(event)
                self.operations.receive(event)

    def receive_before_join(self, event: TradeOffer | TradeCancel | OperationAnswered) -> None:
        """What was left is answered, one after the other."""
        if not isinstance(event, OperationAnswered) or event.operation_id not in self.left:
            return
        if CommitStatus(event.status).is_retryable:
            self.loop.later.append(self.send_left)
            return
        del self.left[event.operation_id]
        self.send_left()

    def send_left(self) -> None:
        if self.link is None or self.is_joined:
            return
        for frame in self.left.values():
            self.link.send_bytes(as_repeated(frame))
            return
        self.join(self.link)

    def join(self, link: Link) -> None:
        """As at the first time, or again; the realm grants it at once."""
        guid = self.guid
        epoch = self.database.epochs[guid] = self.database.epochs[guid] + 1
        self.characters[guid] = JoinedCharacter(
            guid,
            epoch,
            self.database.versions[guid],
            self.database.batch(guid),
            {GOLD: self.database.gold[guid]},
        )
        self.is_joined = True
        link.held.put(guid, epoch)
        self.operations.open(link)  # type: ignore[arg-type]

    def lose_link(self) -> None:
        self.link = None
        self.operations.link_lost(False)
        self.trades.link_lost()

    def gain_link(self, link: Link) -> None:
        self.link = link
        if self.is_joined:
            link.held.put(self.guid, self.character.epoch)
            self.operations.open(link)  # type: ignore[arg-type]
        else:
            self.send_left()

    def commit(self, source: int, target: int) -> None:
        """Move an item, as a game does that knows of no trade."""
        if not self.is_joined:
            return
        items = self.operations.submitted(self.guid).items
        there = {record["slot"]: record for record in items}
        if source not in there or target in there:
            return
        moved = batch_of(InventoryItemData(*there[source].tolist())._replace(slot=target))
        change = CharacterChanges(self.guid, moved, np.array([source], np.uint16))
        try:
            self.trades.check([change])
            self.commits.append(self.operations.add([change], 0))
        except (ItemLockedError, LinkBusyError):
            return


def with_more(frame: bytes) -> bytes:
    """An offer of one more than there is of what is offered."""
    if frame[0] != Opcode.TRADE_OFFER:
        return frame
    offer = TradeOffer.decode(frame[FRAME_HEADER_SIZE:])
    offer.items["stack_count"] += 1
    return offer.encode()


def with_another_item(frame: bytes) -> bytes:
    """A half that saves something else of the same kind."""
    if frame[0] != Opcode.TRADE_CONFIRM:
        return frame
    confirm = TradeConfirm.decode(frame[FRAME_HEADER_SIZE:])
    commits = confirm.commits()
    items = commits.items.copy()
    items["durability"] += 1000
    half = codec.encode_commits(commits._replace(items=items))[FRAME_HEADER_SIZE:]
    return confirm._replace(half=half).encode()


class TradeMachine(RuleBasedStateMachine):
    realm_trades: type[RealmTrades] = RealmTrades

    def __init__(self) -> None:
        super().__init__()
        self.database = Database()
        self.database.on_trade = self.check_consent
        self.first_items = {
            record.item_guid: what(record)
            for records in self.database.items.values()
            for record in records.values()
        }
        self.queue: list[tuple[Commits, Callable[[int, Any], None]]] = []
        self.links: dict[int, Link] = {}
        """As the realm knows them."""
        self.worlds = {guid: World(guid, self.database, 0, {}) for guid in (A, B)}
        self.realm = self.realm_trades(
            lambda entry, answer: self.queue.append((entry.commits, answer)),  # type: ignore[union-attr]
            self.holder,
            RealmLimits(trade_s=1000.0, trade_confirm_s=100.0),
        )
        self.must_be_applied: set[int] = set()
        """Operations that a world which died had in its outbox."""
        self.now_s = 1.0
        self.realm.tick(self.now_s)
        for guid in (A, B):
            self.connect(guid)

    def holder(self, guid: int) -> tuple[Link, int] | None:
        link = self.links.get(guid)
        if link is None or not link.held.epoch_of(guid):
            return None
        return link, link.held.epoch_of(guid)

    # What players do

    @rule(
        guid=SIDES,
        picks=PICKS,
        gold=st.integers(0, 2),
        cheats=st.integers(0, 9),
    )
    def offer(self, guid: int, picks: set[int], gold: int, cheats: int) -> None:
        """What is there of it; a new trade if there is none."""
        world = self.worlds[guid]
        link, trade = world.link, world.trade
        if link is None or not world.is_joined:
            return
        slots = world.character.items["slot"].tolist()
        there = {slots[pick] for pick in picks if pick < len(slots)}
        if not cheats and there:
            link.spoils = with_more
        money = {GOLD: gold} if gold else {}
        try:
            if trade is None:
                trade = world.trades.propose(guid, A + B - guid, there, money)
                world.begun(trade)
            else:
                trade.offer(there, money)
            if link.spoils is with_more:
                world.cheated.add(trade.trade_id)
        except TradeError:
            # Confirmed already, or a commit of it is on its way.
            pass
        link.spoils = lambda frame: frame
        self.run_worlds()

    @rule(guid=SIDES, cheats=st.integers(0, 9))
    def confirm(self, guid: int, cheats: int) -> None:
        """Whatever is offered goes where there is room."""
        world = self.worlds[guid]
        trade = world.trade
        if trade is None or world.link is None:
            return
        taken = set(world.operations.submitted(guid).items["slot"].tolist())
        taken -= set(trade.mine.items["slot"].tolist())
        items = trade.theirs.items.copy()
        items["slot"] = [slot for slot in range(40) if slot not in taken][: len(items)]
        if not cheats and len(items):
            world.link.spoils = with_another_item
            world.cheated.add(trade.trade_id)
        with suppress(TradeError):
            trade.confirm(items)
        # A half that waits behind a commit is honest.
        self.run_worlds()
        if world.link is not None:
            world.link.spoils = lambda frame: frame

    @rule(guid=SIDES)
    def cancel(self, guid: int) -> None:
        world = self.worlds[guid]
        if world.trade is not None:
            if world.trade.state is TradeState.OPEN:
                world.cancelled_first.add(world.trade.trade_id)
            world.trade.cancel()
        self.run_worlds()

    @rule(guid=SIDES, source=st.sampled_from(SLOTS), goal=st.sampled_from(SLOTS))
    def commit(self, guid: int, source: int, goal: int) -> None:
        self.worlds[guid].commit(source, goal)
        self.run_worlds()

    @rule(
        guid=SIDES,
        picks=st.tuples(PICKS, PICKS),
        steps=st.integers(3, 8),
        cheats=st.integers(0, 9),
        crosses=st.booleans(),
        move=st.tuples(st.sampled_from(SLOTS), st.sampled_from(SLOTS)),
    )
    def deal(
        self,
        guid: int,
        picks: tuple[set[int], set[int]],
        steps: int,
        cheats: int,
        crosses: bool,
        move: tuple[int, int],
    ) -> None:
        """A trade as it should be, up to a step of it; and one who changes his mind while the other
        confirms, or goes on playing behind his own half."""
        other = A + B - guid
        for each in (A, B):
            self.connect(each)
        self.write_all()
        self.carry_all()
        acts: list[Callable[[], None]] = [
            lambda: self.offer(guid, picks[0], 1, cheats),
            self.carry_all,
            lambda: self.offer(other, picks[1], 0, cheats - 1),
            self.carry_all,
            lambda: self.confirm(guid, cheats - 2),
            self.carry_all,
            lambda: self.confirm(other, cheats - 3),
            self.carry_all,
        ]
        if crosses:
            acts.insert(5, lambda: self.offer(other, picks[0], 0, 9))
        else:
            acts.insert(5, lambda: self.commit(guid, *move))
        for act in acts[:steps]:
            act()

    # What the network does

    @rule(guid=SIDES)
    def carry_up(self, guid: int) -> None:
        link = self.links.get(guid)
        if link is not None and link.up:
            self.to_realm(link, link.up.pop(0))
            self.run_worlds()

    @rule(guid=SIDES)
    def carry_down(self, guid: int) -> None:
        world = self.worlds[guid]
        if world.link is not None and world.link.down:
            world.receive(world.link.down.pop(0))
            self.run_worlds()

    @rule()
    def carry_all(self) -> None:
        """Until nothing moves any more; what waits for the writer waits."""
        moved = True
        while moved:
            moved = False
            self.sync(False)
            for guid in (A, B):
                link, world = self.links.get(guid), self.worlds[guid]
                while link is not None and link.up:
                    moved = True
                    self.to_realm(link, link.up.pop(0))
                while world.link is not None and world.link.down:
                    moved = True
                    world.receive(world.link.down.pop(0))
                self.run_worlds()

    @rule(guid=SIDES, arrives=st.booleans(), is_late=st.booleans())
    def cut(self, guid: int, arrives: bool, is_late: bool) -> None:
        """What goes down is lost; what goes up may arrive, and the realm may notice late."""
        world, link = self.worlds[guid], self.links.get(guid)
        if world.link is None or link is None:
            return
        world.lose_link()
        while link.up:
            frame = link.up.pop(0)
            if arrives:
                self.to_realm(link, frame)
        if not is_late:
            self.realm_notices(guid)
        self.run_worlds()

    def realm_notices(self, guid: int) -> None:
        link = self.links.pop(guid, None)
        if link is not None:
            self.realm.link_lost(link)

    @rule(guid=SIDES)
    def connect(self, guid: int) -> None:
        world = self.worlds[guid]
        if world.link is None:
            self.realm_notices(guid)
            link = self.links[guid] = Link(guid)
            world.gain_link(link)
            self.run_worlds()

    @rule(guid=SIDES)
    def try_again(self, guid: int) -> None:
        later, self.worlds[guid].loop.later = self.worlds[guid].loop.later, []
        for act in later:
            act()
        self.run_worlds()

    @rule(fails=st.booleans())
    def sync(self, fails: bool) -> None:
        disk = self.worlds[B].disk
        assert disk is not None
        disk.sync(fails)
        self.run_worlds()

    @rule(arrives=st.booleans(), is_late=st.booleans(), luck=st.integers(0, 2))
    def crash(self, arrives: bool, is_late: bool, luck: int) -> None:
        """A world dies; what its next process finds is what was synced."""
        old = self.worlds[B]
        if luck or old.disk is None or not old.is_joined:
            return
        if old.link is not None:
            self.cut(B, arrives, is_late)
        new = self.worlds[B] = World(B, self.database, old.process + 1, old.disk.frames)
        new.disk.frames = dict(new.left)  # type: ignore[union-attr]
        new.seen, new.cheated, new.cancelled_first = old.seen, old.cheated, old.cancelled_first
        new.lost = old.lost | {one.trade_id for one in old.seen.values() if not one.is_over}
        self.must_be_applied |= {
            number for number, frame in new.left.items() if frame[0] == Opcode.COMMIT_INVENTORY
        }

    @rule(step_s=st.sampled_from((1, 1, 1, 150, 1500)))
    def let_time_pass(self, step_s: int) -> None:
        self.now_s += step_s
        self.realm.tick(self.now_s)

    # What the realm does

    def to_realm(self, link: Link, frame: bytes) -> None:
        body = frame[FRAME_HEADER_SIZE:]
        match frame[0]:
            case Opcode.TRADE_OFFER:
                self.realm.receive_offer(link, TradeOffer.decode(body))
            case Opcode.TRADE_CONFIRM:
                self.realm.receive_confirm(link, TradeConfirm.decode(body))
            case Opcode.TRADE_CANCEL:
                self.realm.receive_cancel(link, TradeCancel.decode(body))
            case _:
                commits, _ = codec.decode_commits(frame)
                number = int(commits.operations["operation_id"][0])
                guid = int(commits.participants["character_guid"][0])

                def answered(_: int, outcome: CommitOutcome) -> None:
                    version = int(outcome.versions[0])
                    link.answer_half(number, int(outcome.statuses[0]), [(guid, version)], "")

                self.queue.append((commits, answered))

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), fate=st.integers(0, 9))
    def write(self, data: st.DataObject, fate: int) -> None:
        """Any entry that waits; now and then the database is gone, before or after it committed."""
        commits, answer = self.queue.pop(data.draw(st.integers(0, len(self.queue) - 1)))
        if fate < 2:
            if fate:
                self.database.run(commits)
            count = len(commits.operations), len(commits.participants)
            gone = np.full(count[0], Verdict.DATABASE_UNAVAILABLE, np.uint8)
            answer(0, CommitOutcome(gone, np.zeros(count[1], np.uint64), {}))
        else:
            answer(0, self.database.run(commits))

    @rule()
    def write_all(self) -> None:
        while self.queue:
            commits, answer = self.queue.pop(0)
            answer(0, self.database.run(commits))

    def run_worlds(self) -> None:
        for world in self.worlds.values():
            world.loop.run()

    # What always holds

    def check_consent(self, trade_id: int, guids: list[int], commits: Commits) -> None:
        """At the moment of the commit each side has confirmed exactly what it gives and gets."""
        for place, guid in enumerate(guids):
            world = self.worlds[guid]
            trade = world.seen[trade_id]
            assert trade.state is TradeState.CONFIRMED or trade_id in world.lost
            assert trade_id not in world.cancelled_first
            assert trade.half is not None
            if any(trade_id in each.cheated for each in self.worlds.values()):
                continue
            participant = commits.participants[place]
            saves = np.sort(_span(participant, "item", commits.items), order="slot")
            assert saves.tobytes() == trade.half.saves.tobytes()
            deletes = np.sort(_span(participant, "delete", commits.deletes))
            assert deletes.tolist() == trade.half.deletes.tolist()

    @invariant()
    def nothing_is_lost_or_doubled_or_another(self) -> None:
        now = [record for records in self.database.items.values() for record in records.values()]
        assert {record.item_guid: what(record) for record in now} == self.first_items
        assert sum(self.database.gold.values()) == 20

    @invariant()
    def only_who_cheats_is_told_that_something_is_wrong(self) -> None:
        cheated = set().union(*(world.cheated for world in self.worlds.values()))
        for world in self.worlds.values():
            for trade_id, trade in world.seen.items():
                if trade.is_over and trade_id not in cheated:
                    error = trade.outcome.exception
                    assert error is None or isinstance(error, TradeError | OutboxWriteError), error
                    reason = getattr(error, "reason", None)
                    assert reason is not TradeEnd.INVALID, error

    @invariant()
    def what_is_offered_is_as_it_was(self) -> None:
        """Whatever commits there are, they do not touch it."""
        for world in self.worlds.values():
            if world.trade is not None and world.trade.state is TradeState.OPEN:
                there = world.operations.submitted(world.guid).items
                offered = world.trade.mine.items
                kept = there[np.isin(there["slot"], offered["slot"])]
                assert kept.tobytes() == offered.tobytes()

    def teardown(self) -> None:
        """In the end all links are there, everything is answered, and everybody knows the same."""
        self.come_to_rest()
        sides = self.worlds.values()
        for trade_id in {number for world in sides for number in world.seen}:
            known = [
                world.seen[trade_id]
                for world in sides
                if trade_id in world.seen and trade_id not in world.lost
            ]
            if any(trade.is_over for trade in known):
                # Also without any time passing.
                assert all(trade.is_over for trade in known), known
        for world in sides:
            if world.trade is not None:
                world.trade.cancel()
        self.come_to_rest()
        assert not len(self.realm)
        assert self.must_be_applied <= self.database.applied
        for world in sides:
            assert world.trade is None
            assert world.is_joined
            for handle in world.commits:
                # Nothing is refused but for a disk, or behind a cheat.
                error = handle.exception
                if error is not None and not isinstance(error, OutboxWriteError):
                    assert world.cheated or self.other(world).cheated, error
            assert not len(world.operations)
            for trade_id, trade in world.seen.items():
                if trade_id in world.lost:
                    continue
                is_applied = trade_id in self.database.applied
                expected = TradeState.COMMITTED if is_applied else TradeState.OVER
                assert trade.state is expected, trade
            assert world.character.version == self.database.versions[world.guid]
            assert world.character.items.tobytes() == self.database.batch(world.guid).tobytes()
            assert world.character.balances[GOLD] == self.database.gold[world.guid]

    def other(self, world: World) -> World:
        return self.worlds[A + B - world.guid]

    def come_to_rest(self) -> None:
        for _ in range(12):
            for guid in (A, B):
                self.connect(guid)
                self.try_again(guid)
            self.carry_all()
            self.write_all()
            self.carry_all()


def what(record: InventoryItemData) -> tuple[int, ...]:
    """All of an item but where it is."""
    return tuple(record._replace(slot=0, contained=0))
