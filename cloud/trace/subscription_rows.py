"""Rows of subscriptions."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, select, update

from cloud.model.database import take_turn
from cloud.model.rows import insert_rows
from cloud.model.trace_delivery_tables import trace_subscription as table
from cloud.trace.base import Subscription
from protocols.errors import RefuseInput

OF_ONE_MAX = 100
"""Subscriptions of one organisation."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription and how far it has come."""

    subscription: Subscription
    sealed: str
    """The secret; empty when none was given."""
    passed_no: int
    due_no: int | None
    next_at_ms: int | None
    retry_at_ms: int | None
    failures: int
    batch: int


def insert_subscription(connection: Connection, new: Standing) -> None:
    """Write a new one; RefuseInput `quota_reached`."""
    one = new.subscription
    take_turn(connection, f"trace subscriptions {one.organisation}")
    here = select(func.count()).where(table.c.organisation == one.organisation)
    if (connection.scalar(here.select_from(table)) or 0) >= OF_ONE_MAX:
        raise RefuseInput("quota_reached", f"an organisation has at most {OF_ONE_MAX}")
    insert_rows(connection, table, [_row(new)])


def find_subscriptions(
    connection: Connection, organisation: str, query_name: str, after: str, limit: int
) -> list[Subscription]:
    """Return those of a query by id, those behind `after`."""
    here = table.c.organisation == organisation, table.c.query_name == query_name
    query = select(table).where(*here, table.c.subscription_id > after)
    rows = connection.execute(query.order_by(table.c.subscription_id).limit(limit))
    return [_standing(row).subscription for row in rows]


def find_subscription(
    connection: Connection, organisation: str, query_name: str, subscription_id: str
) -> Subscription:
    """Return one; RefuseInput `not_found`."""
    row = connection.execute(select(table).where(*_one(organisation, query_name, subscription_id)))
    found = row.first()
    if found is None:
        raise RefuseInput("not_found", "no such subscription")
    return _standing(found).subscription


def delete_subscription(
    connection: Connection, organisation: str, query_name: str, subscription_id: str
) -> None:
    """Forget one; RefuseInput `not_found`."""
    gone = delete(table).where(*_one(organisation, query_name, subscription_id))
    if connection.execute(gone).rowcount == 0:
        raise RefuseInput("not_found", "no such subscription")


def delete_of_query(connection: Connection, organisation: str, query_name: str) -> None:
    """Forget all of a query."""
    here = table.c.organisation == organisation, table.c.query_name == query_name
    connection.execute(delete(table).where(*here))


def active(connection: Connection) -> list[Standing]:
    """Return all that go on."""
    query = select(table).where(table.c.state == "active").order_by(table.c.subscription_id)
    return [_standing(row) for row in connection.execute(query)]


def advance(connection: Connection, standing: Standing, **changed: Any) -> bool:
    """Change one that is still where it was; False when it is not, or no more."""
    here = (
        table.c.subscription_id == standing.subscription.subscription_id,
        table.c.passed_no == standing.passed_no,
    )
    return connection.execute(update(table).where(*here).values(**changed)).rowcount == 1


def _one(organisation: str, query_name: str, subscription_id: str) -> tuple[Any, ...]:
    return (
        table.c.organisation == organisation,
        table.c.query_name == query_name,
        table.c.subscription_id == subscription_id,
    )


def _row(new: Standing) -> dict[str, Any]:
    row = msgspec.structs.asdict(new.subscription)
    schedule = row["schedule"]
    row["schedule"] = msgspec.json.encode(schedule).decode() if schedule else ""
    return {
        **row,
        "secret": new.sealed,
        "passed_no": new.passed_no,
        "due_no": new.due_no,
        "next_at_ms": new.next_at_ms,
        "retry_at_ms": new.retry_at_ms,
        "failures": new.failures,
        "batch": new.batch,
    }


def _standing(row: Row[Any]) -> Standing:
    fields = {name: getattr(row, name) for name in Subscription.__struct_fields__}
    fields["schedule"] = msgspec.json.decode(row.schedule) if row.schedule else {}
    return Standing(
        subscription=Subscription(**fields),
        sealed=row.secret,
        passed_no=row.passed_no,
        due_no=row.due_no,
        next_at_ms=row.next_at_ms,
        retry_at_ms=row.retry_at_ms,
        failures=row.failures,
        batch=row.batch,
    )
