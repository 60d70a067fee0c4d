"""What every repository that decides by itself refuses: what is not conserved, money that is not
there. Knows change sets; not where anything is kept.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from mmoinv.errors import InsufficientFundsError, InvalidOperationError, NotConservedError
from mmoinv.records import Batch
from mmoinv.repository.changes import CharacterChanges
from mmoinv.repository.operation import OperationHandle


def check_conserved(
    changes: Sequence[CharacterChanges],
    before: Sequence[Batch],
    after: Sequence[Batch],
    handle: OperationHandle,
) -> None:
    """Raise `NotConservedError` if something would come into being, or be gone."""
    sums: Counter[tuple[str, int]] = Counter()
    for sign, inventories in ((1, after), (-1, before)):
        for items in inventories:
            for entry, count in zip(
                items["entry"].tolist(), items["stack_count"].tolist(), strict=True
            ):
                sums["entry", entry] += sign * count
    for change in changes:
        for currency_id, amount in change.money:
            sums["currency", currency_id] += amount
    for (kind, number), rest in sums.items():
        if rest:
            raise NotConservedError(
                f"of {kind} {number} there would be {abs(rest)} "
                f"{'more' if rest > 0 else 'fewer'} than before; nothing is saved.",
                handle.operation_id,
                handle.character_guids,
            )


def new_balances(
    change: CharacterChanges, balances: Mapping[int, int], handle: OperationHandle
) -> dict[int, int]:
    """A character's balances afterwards; raises if money is not there, or too much."""
    result = dict(balances)
    for currency_id, amount in change.money:
        before = result.get(currency_id, 0)
        result[currency_id] = before + amount
        if 0 <= before + amount < 2**63:
            continue
        kind = InsufficientFundsError if amount < 0 else InvalidOperationError
        raise kind(
            f"character {change.character_guid} has {before} of currency {currency_id}: "
            f"{amount:+} cannot be; nothing is saved.",
            handle.operation_id,
            handle.character_guids,
        )
    return result
