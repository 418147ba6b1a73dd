"""What is asked of filling stations: a young snapshot, and a scan for each filling."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from cloud.cylinders.watch.cases import GATEWAY, Raised, end_cases
from cloud.cylinders.watch.filled import GAS_IN, STATION_CHARS
from cloud.cylinders.watch.sightings import local_day
from cloud.model.fill_tables import cylinder_fill
from cloud.model.watch_tables import cylinder_case, cylinder_sighting, station_snapshot
from protocols.cylinders.watch import (
    AFTER_MS,
    BEFORE_MS,
    HOUR_MS,
    CaseKind,
    Entry,
    StationTerms,
    is_stale,
    unread,
)

STALE: CaseKind = "snapshot_stale"
UNREAD: CaseKind = "fills_without_scans"
ASKED_EVERY_MS = 300_000
"""So often at most it is written down that a gateway asked for a snapshot it has."""


def note_snapshot(
    connection: Connection, gateway: str, station: str, number: int, now_ms: int
) -> None:
    """Write down which snapshot a gateway of a station has; 0: none."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    told = {"station": station[:STATION_CHARS], "number": number, "asked_at": now_ms}
    statement: Any = dialect.insert(station_snapshot)
    statement = statement.values(gateway=gateway, **told)
    statement = statement.on_conflict_do_update(index_elements=("gateway",), set_=told)
    connection.execute(statement)


def judge_snapshots(
    connection: Connection, now_ms: int, terms: StationTerms, zone: ZoneInfo
) -> list[Raised]:
    """Tell which gateways have too old a snapshot; its number is the second of its issue, or later.

    One that never had any does not count: it fills nothing, and tells so itself.
    """
    rows = connection.execute(select(station_snapshot).where(station_snapshot.c.number > 0)).all()
    return [
        Raised(
            f"{GATEWAY}{row.gateway}",
            Entry(STALE, str(row.number), local_day(row.number * 1_000, zone)),
            row.station,
            {"snapshot": row.number, "asked_at": row.asked_at},
        )
        for row in rows
        if is_stale(row.number * 1_000, now_ms, terms)
    ]


def end_stale(connection: Connection, stale: list[Raised], now_ms: int) -> None:
    """End the cases of gateways that have a younger snapshot now."""
    case, keys = cylinder_case.c, sorted(one.entry.key for one in stale)
    end_cases(connection, (case.kind == STALE) & case.key.not_in(keys), now_ms)


def is_settled(day: date, now_ms: int, terms: StationTerms, zone: ZoneInfo) -> bool:
    """Tell whether all that was read and filled on a day should have come by now."""
    end = datetime.combine(day + timedelta(days=1), time(), zone).timestamp() * 1_000
    return now_ms >= end + terms.count_after_h * HOUR_MS


def judge_day(
    connection: Connection, day: date, zone: ZoneInfo, gateways: frozenset[str] | None = None
) -> Iterator[Raised]:
    """Count the fillings of a settled day against its scans, gateway by gateway; None: of all."""
    first = int(datetime.combine(day, time(), zone).timestamp() * 1_000)
    last = int(datetime.combine(day + timedelta(days=1), time(), zone).timestamp() * 1_000)
    fill = cylinder_fill.c
    query = select(fill.gateway, fill.asset_id, fill.began_at, fill.filler)
    query = query.where(fill.began_at >= first, fill.began_at < last, fill.state.in_(GAS_IN))
    query = query.where(fill.time_unknown.is_(False))
    if gateways is not None:
        query = query.where(fill.gateway.in_(sorted(gateways)))
    by_gateway: dict[str, list[Any]] = {}
    for row in connection.execute(query):
        by_gateway.setdefault(row.gateway, []).append(row)
    for gateway, rows in sorted(by_gateway.items()):
        scans = _scans(connection, gateway, first, last)
        missing = unread([(row.asset_id, row.began_at) for row in rows], scans)
        if missing:
            station = next((row.filler for row in rows if row.filler), "")[:STATION_CHARS]
            facts = {"fills": len(rows), "without": missing}
            entry = Entry(UNREAD, day.isoformat(), day)
            yield Raised(f"{GATEWAY}{gateway}", entry, station, facts)


def _scans(connection: Connection, gateway: str, first: int, last: int) -> dict[str, list[int]]:
    seen = cylinder_sighting.c
    query = select(seen.subject, seen.observed_at).where(
        seen.gateway == gateway,
        seen.observed_at >= first - BEFORE_MS,
        seen.observed_at < last + AFTER_MS,
        seen.by_scan.is_(True),
    )
    found: dict[str, list[int]] = {}
    for row in connection.execute(query):
        found.setdefault(row.subject, []).append(row.observed_at)
    return found


def end_read(connection: Connection, zone: ZoneInfo, now_ms: int) -> None:
    """End the cases of days whose scans have come after all."""
    case = cylinder_case.c
    query = select(case.id, case.subject, case.key).where(case.kind == UNREAD, case.open == "y")
    for row in connection.execute(query).all():
        gateway = frozenset({row.subject.removeprefix(GATEWAY)})
        if not any(judge_day(connection, date.fromisoformat(row.key), zone, gateway)):
            end_cases(connection, case.id == row.id, now_ms)
