"""Where people with handhelds saw cylinders: scans, counts, inspections, tags that were put on."""

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from cloud.cylinders.watch.sightings import Seen
from cloud.model.cylinder_tables import cylinder
from cloud.model.handheld_tables import handheld_record as table
from protocols.handheld import Count, Inspection, Record, Scan, Tag

PREFIX = "handheld:"
RECORDS_MAX = 50
"""In one transaction; a count tells of 200 cylinders at most."""
STEPS = {Scan: "hand_scan", Count: "hand_count", Inspection: "hand_inspection", Tag: "hand_tag"}
"""Words of their own: a handheld moves, so none is a step that is done at one place."""
_record = msgspec.json.Decoder(Record)


def read_handhelds(connection: Connection, after: int) -> tuple[list[Seen], int]:
    """Return what records after a number tell of cylinders, and the number of the last of them.

    Of a person that is known here, and of a time that can be: a clock in doubt proves nothing.
    """
    column = table.c
    query = select(column.id, column.store, column.received_at, column.outcome, column.body)
    query = query.add_columns(column.account, column.time_source, column.observed_at)
    query = query.where(column.id > after).order_by(column.id).limit(RECORDS_MAX)
    rows = connection.execute(query).all()
    told = [(row, asset) for row in rows if _counts(row) for asset in _cylinders(row)]
    known = _known(connection, {asset for _, (asset, _) in told})
    seen = [
        Seen(
            subject=asset,
            observed_at=row.observed_at,
            gateway=f"{PREFIX}{row.store}",
            place=f"{PREFIX}{row.store}",
            step=step,
            by_scan=True,
            received_at=row.received_at,
        )
        for row, (asset, step) in told
        if asset in known
    ]
    return seen, rows[-1].id if rows else after


def _counts(row: Any) -> bool:
    """Tell whether a record proves that somebody was there then; a conflict may do so, too."""
    sure = row.time_source in ("service", "device") and row.observed_at is not None
    settled = row.account is not None and row.outcome in ("taken", "conflict")
    return sure and settled and row.observed_at <= row.received_at


def _cylinders(row: Any) -> Iterator[tuple[str, str]]:
    try:
        what = _record.decode(row.body).what
    except (msgspec.DecodeError, RecursionError):  # of a release that knew it otherwise
        return
    step = STEPS[type(what)]
    if isinstance(what, Count):
        yield from ((one, step) for one in dict.fromkeys((*what.found, *what.unexpected)))
    elif what.asset is not None:
        yield what.asset, step


def _known(connection: Connection, assets: set[str]) -> set[str]:
    found, named = set[str](), sorted(assets)
    for start in range(0, len(named), 400):
        query = select(cylinder.c.asset_id)
        query = query.where(cylinder.c.asset_id.in_(named[start : start + 400]))
        found |= set(connection.execute(query).scalars())
    return found
