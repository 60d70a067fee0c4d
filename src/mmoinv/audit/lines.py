"""Histories and holdings as lines for people, and as plain values for JSON.

Knows no database.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mmoinv.audit.history import Holdings
from mmoinv.audit.restoration import Plan, Step
from mmoinv.commits import OwnReason
from mmoinv.stores.ledger import LedgerEntry

FIELDS = (
    "entry",
    "stack_count",
    "creator",
    "contained",
    "durability",
    "random_property_index",
    "random_suffix_index",
    "item_flags",
    "item_guid",
)


def moment(seconds: int) -> str:
    """Seconds since 1970 as a time of UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def place(slot: int) -> str:
    """An absolute slot as people write it: bag and slot in it."""
    return f"{slot >> 8}:{slot & 0xFF}"


def heading(entry: LedgerEntry, worlds: Mapping[int, str]) -> str:
    """When, whose and which operation."""
    world = worlds.get(entry.world_id, f"world {entry.world_id}")
    return (
        f"{moment(entry.committed_at)}  character {entry.character_guid}  version {entry.version}"
        f"  {world}  operation {entry.operation_id:#x}  reason {reason_text(entry.reason)}"
    )


def reason_text(reason: int) -> str:
    """The game's own number; those of mmoinv's tools with what they mean."""
    ours = reason in OwnReason.__members__.values()
    return f"{reason} ({OwnReason(reason).name.lower().replace('_', ' ')})" if ours else str(reason)


def entry_lines(entry: LedgerEntry, worlds: Mapping[int, str]) -> Iterator[str]:
    """One operation: a line for it, and one for each change."""
    yield heading(entry, worlds)
    for before, after in zip(entry.before, entry.after, strict=True):
        yield f"    {change_text(before, after)}"
    for currency_id, amount, balance in entry.money.tolist():
        yield f"    currency {currency_id}: {amount:+}, then {balance}"
    for guid, version in entry.partners.tolist():
        yield f"    together with character {guid} (version {version})"


def change_text(before: Any, after: Any) -> str:
    """What became of one slot."""
    old, new = bool(before["entry"]), bool(after["entry"])
    slot = place(int((after if new else before)["slot"]))
    if old and new and before["item_guid"] == after["item_guid"]:
        changed = [
            f"{name} {before[name]} -> {after[name]}"
            for name in FIELDS
            if before[name] != after[name]
        ]
        return f"{slot:>7}  {item_text(after, with_stack=False)}: {', '.join(changed) or 'same'}"
    parts = [f"- {item_text(before)}"] * old + [f"+ {item_text(after)}"] * new
    return f"{slot:>7}  {'; '.join(parts)}"


def item_text(record: Any, with_stack: bool = True) -> str:
    """One item in a few words."""
    stack = f" x{record['stack_count']}" if with_stack else ""
    return f"entry {record['entry']}{stack} (item {record['item_guid']})"


def holdings_lines(held: Holdings) -> Iterator[str]:
    """What a character holds: a line an item."""
    state = "online" if held.online else "offline"
    yield (
        f"character {held.character_guid}: version {held.version}, session epoch {held.epoch} "
        f"({state} now), {len(held.items)} items"
    )
    for record in held.items:
        more = [
            f"{name} {record[name]}"
            for name in FIELDS[2:-1]
            if record[name] and name not in ("contained",)
        ]
        tail = f"  {', '.join(more)}" if more else ""
        yield f"    {place(int(record['slot'])):>7}  {item_text(record)}{tail}"
    for currency_id, balance in sorted(held.balances.items()):
        yield f"    currency {currency_id}: {balance}"


def entry_values(entry: LedgerEntry, worlds: Mapping[int, str]) -> dict[str, Any]:
    """One operation for JSON. Numbers of 64 bits are numbers: read them as such."""
    return {
        "character_guid": entry.character_guid,
        "version": entry.version,
        "operation_id": entry.operation_id,
        "committed_at": entry.committed_at,
        "world": worlds.get(entry.world_id, ""),
        "reason": entry.reason,
        "changes": [
            {
                "slot": int((after if after["entry"] else before)["slot"]),
                "before": record_values(before),
                "after": record_values(after),
            }
            for before, after in zip(entry.before, entry.after, strict=True)
        ],
        "money": [
            {"currency_id": currency_id, "amount": amount, "balance": balance}
            for currency_id, amount, balance in entry.money.tolist()
        ],
        "partners": [
            {"character_guid": guid, "version": version}
            for guid, version in entry.partners.tolist()
        ],
    }


def record_values(record: Any) -> dict[str, int] | None:
    """A record by field; None where there is none."""
    return {name: int(record[name]) for name in FIELDS} if record["entry"] else None


def holdings_values(held: Holdings) -> dict[str, Any]:
    """What a character holds, for JSON."""
    return {
        "character_guid": held.character_guid,
        "version": held.version,
        "session_epoch": held.epoch,
        "online": held.online,
        "items": [
            {"slot": int(record["slot"])} | (record_values(record) or {}) for record in held.items
        ],
        "balances": {str(currency): balance for currency, balance in held.balances.items()},
    }


def plan_lines(plan: Plan) -> Iterator[str]:
    """What a restoration would do, and what it would leave."""
    yield (
        f"character {plan.now.character_guid}, from version {plan.now.version} back to "
        f"{plan.to_version}:"
    )
    for step in plan.steps:
        what = step.text
        if step.item is not None:
            what = f"{place(step.item.slot):>7}  {item_text(step.item._asdict())}"
            what += f": {step.text}" if step.text else ""
        yield f"{step.kind:>14}  {what}"
    if not plan.steps:
        yield "    nothing is missing."


def plan_values(plan: Plan, operation_id: int | None) -> dict[str, Any]:
    """A restoration for JSON; ``operation_id`` of what was done, None if nothing was."""
    return {
        "character_guid": plan.now.character_guid,
        "version": plan.now.version,
        "to_version": plan.to_version,
        "operation_id": operation_id,
        "complete": not plan.left,
        "steps": [_step_values(step) for step in plan.steps],
    }


def _step_values(step: Step) -> dict[str, Any]:
    item = None if step.item is None else step.item._asdict()
    return {"kind": step.kind.name.lower(), "item": item, "text": step.text}
