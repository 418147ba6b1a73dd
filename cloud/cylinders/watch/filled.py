"""What fillings bring upon the lists, each judged by what was known of its day."""

from collections.abc import Iterator, Sequence
from datetime import date
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, select

from cloud.cylinders.facts import read_facts
from cloud.cylinders.watch.cases import Raised
from cloud.cylinders.watch.sightings import local_day
from cloud.model.cylinder_fill import CylinderFill, FillState
from cloud.model.cylinder_records import AS_REGISTERED
from cloud.model.cylinder_tables import cylinder_inspection
from protocols.cylinders.base import Cylinder, MarkedDate
from protocols.cylinders.book import RuleBook
from protocols.cylinders.due import due_on, life_ends_on
from protocols.cylinders.watch import Filled, fill_entries

GAS_IN: tuple[FillState, ...] = ("filled", "interrupted", "without_verdict")
"""States in which gas came in, or may have."""
STATION_CHARS = 32


def judge_fills(
    connection: Connection, fills: Sequence[CylinderFill], book: RuleBook, zone: ZoneInfo
) -> Iterator[Raised]:
    """Tell what fillings bring upon the lists; those that are still open bring nothing yet."""
    for fill in fills:
        one = read_facts(connection, fill.asset_id) if fill.known else None
        on = day_of(fill, zone)
        if fill.state not in GAS_IN or one is None or on is None:
            continue
        judged = _as_of(connection, one, on)
        filled = Filled(
            station=fill.filler[:STATION_CHARS],
            owner=one.filler,
            in_vehicle=one.vehicle is not None,
            on=on,
            due_on=due_on(judged, book, on),
            life_ends_on=life_ends_on(judged, book, on),
            overfilled="overfilled" in fill.faults,
        )
        facts = _facts(fill, filled)
        for entry in fill_entries(filled, str(fill.id)):
            yield Raised(one.code, entry, filled.station, facts)


def day_of(fill: CylinderFill, zone: ZoneInfo) -> date | None:
    """Return the local day of a filling; None: nobody knows it."""
    if (told := fill.filled_on or fill.judged_on) is not None:
        return date.fromisoformat(told)
    return None if fill.time_unknown else local_day(fill.began_at, zone)


def _as_of(connection: Connection, one: Cylinder, on: date) -> Cylinder:
    """Return a cylinder as inspected by a day: what was inspected later made no filling good."""
    if one.inspected_on is None or one.inspected_on.last <= on:
        return one
    table = cylinder_inspection.c
    query = select(table.inspected_on, table.next_due_on).where(
        table.asset_id == one.code,
        table.open == "y",
        table.result == "passed",
        table.kind.in_(("periodic", AS_REGISTERED)),
        table.inspected_on <= on.isoformat(),
    )
    row = connection.execute(query.order_by(table.inspected_on.desc())).first()
    return msgspec.structs.replace(
        one,
        inspected_on=MarkedDate.parse(row.inspected_on) if row else None,
        inspection_due_on=MarkedDate.parse(row.next_due_on) if row and row.next_due_on else None,
    )


def _facts(fill: CylinderFill, filled: Filled) -> dict[str, object]:
    told = {
        "fill": fill.id,
        "gateway": fill.gateway,
        "gate": fill.gate,
        "owner": filled.owner,
        "due_on": filled.due_on and filled.due_on.isoformat(),
        "life_ends_on": filled.life_ends_on and filled.life_ends_on.isoformat(),
        "after_kg": fill.after_kg,
        "limit_kg": fill.limit_kg,
    }
    return {name: value for name, value in told.items() if value not in (None, "")}
