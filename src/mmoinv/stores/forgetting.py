"""Forgets applied operations and the ledger once they are old, and keeps what it forgot in mind.

Plain functions of an open SQLAlchemy connection, inside of a transaction of whoever calls; the
same on every database.
"""

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from mmoinv.stores.tables import APPLIED, LEDGER, META, spans

FORGOTTEN_EPOCH = "forgotten_epoch"
LAST = (1 << 64) - 1


def forget_operations(
    connection: Connection, applied_before_s: int, after: int | None, limit: int
) -> tuple[int | None, int]:
    """Delete what is old of the next ``limit`` applied operations: where to go on (None: all were
    looked at), and the highest node epoch that was ever forgotten."""
    # Read again each time: another realm may have forgotten some.
    known = forgotten_epoch(connection)
    start = 0 if after is None else after + 1
    number = APPLIED.c.operation_id
    # In the order of the column, whatever that makes of large numbers.
    ordered = select(number).order_by(number).limit(limit)
    last = None
    for span in spans(connection, APPLIED, start, LAST, number):
        looked_at = connection.execute(ordered.where(span)).scalars().all()
        if looked_at:
            last = looked_at[-1]
            break
    if last is None:
        return None, known
    highest = 0
    for span in spans(connection, APPLIED, start, last, number):
        old = and_(span, APPLIED.c.applied_at < applied_before_s)
        found = connection.execute(select(func.max(number)).where(old)).scalar()
        if found is not None:
            highest = max(highest, int(found))
            connection.execute(delete(APPLIED).where(old))
    epoch = highest >> 32
    if epoch > known:
        _keep_forgotten_epoch(connection, epoch)
    return last if last < LAST else None, max(known, epoch)


def forgotten_epoch(connection: Connection) -> int:
    """The highest node epoch among the operations that were ever forgotten, 0 for none."""
    value = select(META.c.value).where(META.c.name == FORGOTTEN_EPOCH)
    return int(connection.execute(value).scalar() or 0)


def _keep_forgotten_epoch(connection: Connection, epoch: int) -> None:
    is_it = META.c.name == FORGOTTEN_EPOCH
    if connection.execute(select(META.c.value).where(is_it)).scalar() is None:
        connection.execute(insert(META).values(name=FORGOTTEN_EPOCH, value=epoch))
    else:
        lower = and_(is_it, META.c.value < epoch)
        connection.execute(update(META).where(lower).values(value=epoch))


def forget_ledger(connection: Connection, committed_before_s: int, limit: int) -> bool:
    """Delete up to ``limit`` of the oldest rows of the ledger if they are old; whether there may
    be more."""
    number = LEDGER.c.ledger_id
    oldest = connection.execute(
        select(number, LEDGER.c.committed_at).order_by(number).limit(limit)
    ).all()
    old = [ledger_id for ledger_id, at_s in oldest if at_s < committed_before_s]
    if old:
        connection.execute(
            delete(LEDGER).where(
                and_(number <= old[-1], LEDGER.c.committed_at < committed_before_s)
            )
        )
    return len(old) == limit
