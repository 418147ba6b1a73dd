"""Cylinders that left a station and were read nowhere since."""

from zoneinfo import ZoneInfo

from sqlalchemy import Connection, exists, or_, select

from cloud.cylinders.watch.cases import Raised, end_cases
from cloud.cylinders.watch.sightings import local_day
from cloud.model.cylinder_tables import cylinder
from cloud.model.watch_tables import cylinder_case
from cloud.model.watch_tables import cylinder_sighting as table
from protocols.cylinders.watch import HOUR_MS, CaseKind, DeliveryTerms, Entry, is_missing

MISSING: CaseKind = "missing"
LATE_MS = 24 * HOUR_MS
"""What was received so long before the last look may have been taken from the log after it."""
FOUND_MAX = 5_000
"""So many come upon the lists in one look; the next goes on."""


def judge_missing(
    connection: Connection, since_ms: int, now_ms: int, terms: DeliveryTerms, zone: ZoneInfo
) -> list[Raised]:
    """Tell what has been missing since a moment at which one looked before.

    Looks at departures whose term has ended since, and at those that were told of since.
    """
    column, later = table.c, table.alias().c
    term_ms = terms.missing_after_h * HOUR_MS
    read_since = exists().where(
        later.subject == column.subject, later.observed_at > column.observed_at
    )
    query = (
        select(column.subject, column.observed_at, column.place, column.gateway)
        .join(cylinder, cylinder.c.asset_id == column.subject)
        .where(
            column.step.in_(terms.leaves),
            column.observed_at <= now_ms - term_ms,
            column.observed_at > now_ms - terms.forget_after_days * 24 * HOUR_MS,
            or_(column.observed_at > since_ms - term_ms, column.received_at > since_ms - LATE_MS),
            cylinder.c.state == "in_use",
            ~read_since,
        )
        .order_by(column.observed_at)
        .limit(FOUND_MAX)
    )
    return [
        Raised(
            row.subject,
            Entry(MISSING, str(row.observed_at), local_day(row.observed_at, zone)),
            row.place[:32] if row.place != row.gateway else "",
            {"left_at": row.observed_at, "gateway": row.gateway},
        )
        for row in connection.execute(query)
        if is_missing(row.observed_at, now_ms, terms)
    ]


def end_found(connection: Connection, now_ms: int) -> None:
    """End the cases of cylinders that were read since they left, or that nobody looks for now."""
    case, column = cylinder_case.c, table.c
    query = select(case.id, case.subject, case.key).where(case.kind == MISSING, case.open == "y")
    for row in connection.execute(query).all():
        later = select(column.subject).where(
            column.subject == row.subject, column.observed_at > int(row.key)
        )
        used = select(cylinder.c.state).where(cylinder.c.asset_id == row.subject)
        read = connection.execute(later.limit(1)).first() is not None
        if read or connection.execute(used).scalar() != "in_use":
            end_cases(connection, case.id == row.id, now_ms)
