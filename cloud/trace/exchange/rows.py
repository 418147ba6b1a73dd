"""Rows of partners and receipts."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from cloud.model.database import Database, Work, take_turn
from cloud.model.exchange_tables import trace_partner as table
from cloud.model.exchange_tables import trace_receipt as receipts
from cloud.model.rows import insert_rows
from cloud.model.trace_tables import trace_event, trace_job
from cloud.trace.exchange.base import (
    Kind,
    Outcome,
    Partner,
    Pull,
    Pulling,
    Push,
    Pushing,
    Receipt,
    Subscribed,
)
from protocols.errors import RefuseInput

OF_ONE_MAX = 100
"""Partners of one organisation."""
FAULTS_MAX = 100
"""Kept in a receipt."""
_JSON: dict[str, Any] = {
    "pull": Pull,
    "push": Push,
    "pulling": Pulling,
    "pushing": Pushing,
    "subscribed": Subscribed,
}


class Overtaken(Exception):
    """The partner was changed, or another process goes on with it: stop, and write nothing."""


def insert_partner(connection: Connection, new: Partner) -> None:
    """Write a new one; RefuseInput `quota_reached`."""
    take_turn(connection, f"trace partners {new.organisation}")
    here = select(func.count()).where(table.c.organisation == new.organisation)
    if (connection.scalar(here.select_from(table)) or 0) >= OF_ONE_MAX:
        raise RefuseInput("quota_reached", f"an organisation has at most {OF_ONE_MAX}")
    insert_rows(connection, table, [_values(msgspec.structs.asdict(new))])


def find_partner(connection: Connection, partner_id: str) -> Partner | None:
    """Return one."""
    row = connection.execute(select(table).where(table.c.partner_id == partner_id)).first()
    return _partner(row) if row is not None else None


def find_partners(connection: Connection, organisation: str) -> list[Partner]:
    """Return an organisation's, by name."""
    query = select(table).where(table.c.organisation == organisation)
    rows = connection.execute(query.order_by(table.c.name, table.c.partner_id))
    return [_partner(row) for row in rows]


def at_work(connection: Connection) -> list[Partner]:
    """Return all that something may have to be done for."""
    query = select(table).where(table.c.state != "paused").order_by(table.c.partner_id)
    return [_partner(row) for row in connection.execute(query)]


def move(connection: Connection, seen: Partner, **changed: Any) -> Partner:
    """Change one that is still as it was seen, and return it; Overtaken when it is not."""
    here = (table.c.partner_id == seen.partner_id, table.c.turn == seen.turn)
    values = {**changed, "turn": seen.turn + 1}
    done = connection.execute(update(table).where(*here).values(_values(values)))
    if done.rowcount != 1:
        raise Overtaken
    return msgspec.structs.replace(seen, **values)


def check_turn(connection: Connection, seen: Partner) -> None:
    """Make sure that one is still as it was seen; Overtaken."""
    turn = select(table.c.turn).where(table.c.partner_id == seen.partner_id)
    if connection.scalar(turn.with_for_update()) != seen.turn:
        raise Overtaken


class Hand:
    """A partner, for as long as it is this process's turn."""

    def __init__(self, database: Database, partner: Partner) -> None:
        self._database, self.partner = database, partner

    async def move(self, *also: Work, **changed: Any) -> None:
        """Change it, and do what stands or falls with that; Overtaken."""
        seen = self.partner
        self.partner = await self._database.write(lambda c: move(c, seen, **changed), *also)


def set_free(connection: Connection, partner_id: str, **changed: Any) -> None:
    """Change what nobody's turn depends on."""
    connection.execute(update(table).where(table.c.partner_id == partner_id).values(changed))


def drop(connection: Connection, seen: Partner) -> None:
    """Forget one that is still as it was seen; Overtaken."""
    here = (table.c.partner_id == seen.partner_id, table.c.turn == seen.turn)
    if connection.execute(delete(table).where(*here)).rowcount != 1:
        raise Overtaken


def insert_receipt(
    connection: Connection,
    partner: Partner,
    kind: Kind,
    *,
    at_ms: int,
    url: str,
    events: int,
    capture_id: str | None = None,
    **more: Any,
) -> None:
    """Write a new one.

    Args:
        connection: of the transaction.
        partner: whose.
        kind: what was done.
        at_ms: now.
        url: of the job.
        events: how many.
        capture_id: of our own job.
        more: columns of one that has ended at once.

    """
    job = None
    if capture_id is not None:
        found = select(trace_job.c.job).where(trace_job.c.capture_id == capture_id)
        job = connection.scalar(found)
    row = {
        "partner_id": partner.partner_id,
        "organisation": partner.organisation,
        "kind": kind,
        "begun_at_ms": at_ms,
        "state": "running",
        "url": url,
        "job": job,
        "events": events,
        "stored": 0,
        "duplicates": 0,
        "refused": 0,
        "faults": "[]",
        **more,
    }
    connection.execute(insert(receipts).values(row))


def end_pushed(
    connection: Connection, partner: Partner, state: Outcome, *, at_ms: int, **more: Any
) -> None:
    """Write how what is under way to a partner ended; it is one document at a time."""
    here = (receipts.c.partner_id == partner.partner_id, receipts.c.kind == "pushed")
    change = update(receipts).where(*here, receipts.c.ended_at_ms.is_(None))
    connection.execute(change.values(state=state, ended_at_ms=at_ms, **more))


def settle(connection: Connection, at_ms: int) -> None:
    """Write into open receipts what became of our capture jobs that have ended."""
    job = trace_job.c
    query = select(
        receipts.c.receipt, job.success, job.stored, job.duplicates, job.refused, job.faults
    ).where(
        receipts.c.ended_at_ms.is_(None), receipts.c.job == job.job, job.ended_at_ms.is_not(None)
    )
    for row in connection.execute(query).all():
        change = update(receipts).where(receipts.c.receipt == row.receipt)
        ended = change.values(
            state="done" if row.success else "refused",
            ended_at_ms=at_ms,
            faults=faults_text(msgspec.json.decode(row.faults)),
            stored=row.stored,
            duplicates=row.duplicates,
            refused=row.refused,
        )
        connection.execute(ended)


def any_pulled_open(connection: Connection, partner_id: str) -> bool:
    """Tell whether a job of something fetched from a partner has not ended."""
    query = select(receipts.c.receipt).where(
        receipts.c.ended_at_ms.is_(None),
        receipts.c.partner_id == partner_id,
        receipts.c.kind == "pulled",
    )
    return connection.execute(query.limit(1)).first() is not None


def any_unsettled(connection: Connection) -> bool:
    """Tell whether a receipt waits for what becomes of a job of ours."""
    query = select(receipts.c.receipt).where(
        receipts.c.ended_at_ms.is_(None), receipts.c.job.is_not(None)
    )
    return connection.execute(query.limit(1)).first() is not None


def find_receipts(
    connection: Connection, organisation: str, partner_id: str, before: int | None, limit: int
) -> list[Receipt]:
    """Return receipts, the newest first."""
    here = (receipts.c.partner_id == partner_id, receipts.c.organisation == organisation)
    query = select(receipts).where(*here).order_by(receipts.c.receipt.desc()).limit(limit)
    if before is not None:
        query = query.where(receipts.c.receipt < before)
    names = Receipt.__struct_fields__
    return [
        Receipt(**{name: getattr(row, name) for name in names if name != "faults"}, faults=faults)
        for row in connection.execute(query)
        for faults in [msgspec.json.decode(row.faults)]
    ]


def came_from(connection: Connection, partner_id: str, numbers: list[int]) -> set[int]:
    """Return which of some events a partner brought."""
    event = trace_event.c
    theirs = select(receipts.c.job).where(
        receipts.c.job == event.job, receipts.c.partner_id == partner_id
    )
    query = select(event.event_no).where(event.event_no.in_(numbers), theirs.exists())
    return set(connection.scalars(query))


def faults_text(faults: list[Any]) -> str:
    """Return faults as they are kept."""
    return msgspec.json.encode(faults[:FAULTS_MAX]).decode()


def _values(fields: dict[str, Any]) -> dict[str, Any]:
    def written(name: str, value: Any) -> Any:
        if name not in _JSON:
            return value
        return "" if value is None else msgspec.json.encode(value).decode()

    return {name: written(name, value) for name, value in fields.items()}


def _partner(row: Row[Any]) -> Partner:
    fields = {name: getattr(row, name) for name in Partner.__struct_fields__}
    for name, type_ in _JSON.items():
        fields[name] = msgspec.json.decode(fields[name], type=type_) if fields[name] else None
    return Partner(**fields)
