"""Where cylinders were read and filled, and what two sightings of one say together."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from cloud.cylinders.watch.cases import Raised
from cloud.model.cylinder_fill import CylinderFill
from cloud.model.cylinder_tables import cylinder_code
from cloud.model.tables import scan
from cloud.model.watch_tables import cylinder_sighting as table
from cloud.model.watch_tables import station_snapshot
from protocols.cylinders.watch import Entry, PlaceTerms, Sighting, too_soon, went_back
from protocols.records import Code, Verdict

FILLING = "filling"
FORGED = frozenset({"bad_signature", "bad_sun"})
"""Findings of a reading that a copied chip leaves."""
CLONE = "clone_suspected"
OTHERS_MAX = 500
"""So many sightings of one cylinder are compared; those nearest in time."""
SCANS_MAX = 500
_codes = msgspec.json.Decoder(tuple[Code, ...]).decode
_words = msgspec.json.Decoder(tuple[str, ...]).decode
_verdict = msgspec.json.Decoder(Verdict).decode
_READ = ("id", "gateway", "step", "observed_at", "received_at", "codes", "findings", "verdict")


class Seen(Struct, frozen=True, kw_only=True):
    """A cylinder, read or filled somewhere."""

    subject: str
    observed_at: int
    gateway: str
    place: str
    step: str
    by_scan: bool
    received_at: int
    counter: int | None = None
    suspected: bool = False
    """The reading itself says that the tag may be a copy."""

    def sighting(self) -> Sighting:
        """Return it as it is judged."""
        return Sighting(self.observed_at, self.place, self.counter)


def local_day(at_ms: int, zone: ZoneInfo) -> date:
    """Return the local day of a moment."""
    return datetime.fromtimestamp(at_ms / 1_000, UTC).astimezone(zone).date()


def read_scans(connection: Connection, after: int) -> tuple[list[Seen], int]:
    """Return what scans after a number tell of cylinders, and the number of the last of them.

    Those at an unknown time prove nothing about time, and are left out.
    """
    query = select(*(scan.c[name] for name in _READ)).where(scan.c.id > after)
    query = query.where(scan.c.time_unknown.is_(False)).order_by(scan.c.id).limit(SCANS_MAX)
    rows = connection.execute(query).all()
    told = [(row, _codes(row.codes)) for row in rows]
    owners = _owners(connection, {(one.scheme, one.value) for _, codes in told for one in codes})
    places = places_of(connection, {row.gateway for row in rows})
    seen = [
        Seen(
            subject=subject,
            observed_at=row.observed_at,
            gateway=row.gateway,
            place=places.get(row.gateway, row.gateway),
            step=(row.step or "")[:32],
            by_scan=True,
            received_at=row.received_at,
            counter=_counter(codes),
            suspected=_suspected(row),
        )
        for row, codes in told
        for subject in sorted(
            {owners[one.scheme, one.value] for one in codes if _key(one) in owners}
        )
    ]
    return seen, rows[-1].id if rows else after


def seen_of_fill(fill: CylinderFill, places: dict[str, str]) -> Seen:
    """Return where a filling saw its cylinder."""
    return Seen(
        subject=fill.asset_id,
        observed_at=fill.began_at,
        gateway=fill.gateway,
        place=places.get(fill.gateway, fill.gateway),
        step=FILLING,
        by_scan=False,
        received_at=fill.received_at,
    )


def places_of(connection: Connection, gateways: Iterable[str]) -> dict[str, str]:
    """Return the stations of gateways that proved where they are."""
    query = select(station_snapshot.c.gateway, station_snapshot.c.station)
    query = query.where(station_snapshot.c.gateway.in_(sorted(gateways)))
    return {row.gateway: row.station for row in connection.execute(query)}


def keep_sightings(connection: Connection, seen: Sequence[Seen]) -> None:
    """Keep sightings; one that is kept already stays as it is."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = [msgspec.structs.asdict(one) for one in seen]
    for row in rows:
        del row["suspected"]
    if rows:
        statement: Any = dialect.insert(table)
        connection.execute(
            statement.on_conflict_do_nothing(
                index_elements=[one.name for one in table.primary_key]
            ),
            rows,
        )


def judge_sightings(
    connection: Connection, seen: Sequence[Seen], terms: PlaceTerms, zone: ZoneInfo
) -> Iterator[Raised]:
    """Tell what sightings, which are kept, bring upon the lists together with the earlier ones."""
    for one in seen:
        if one.suspected:
            yield _raised(one, CLONE, local_day(one.observed_at, zone), {"gateway": one.gateway})
        if one.counter is not None:
            for back in went_back(one.sighting(), _others(connection, one, counted=True)):
                counted = {"counter": back.counter, "place": back.place}
                yield _raised(one, CLONE, local_day(back.at_ms, zone), counted)
        if one.step in terms.steps:
            others = _others(connection, one, steps=terms.steps)
            for first, second in too_soon(one.sighting(), others, terms):
                facts = {
                    "places": [first.place, second.place],
                    "at": [first.at_ms, second.at_ms],
                }
                yield _raised(one, "two_places", local_day(first.at_ms, zone), facts)


def _raised(one: Seen, kind: Any, day: date, facts: dict[str, Any]) -> Raised:
    entry = Entry(kind, day.isoformat(), day)
    return Raised(one.subject, entry, _station(one), facts)


def _station(one: Seen) -> str:
    """Return the organisation where it was seen; empty: only its gateway is known."""
    return one.place[:32] if one.place != one.gateway else ""


def _others(
    connection: Connection, one: Seen, *, counted: bool = False, steps: Sequence[str] = ()
) -> list[Sighting]:
    column = table.c
    query = select(column.observed_at, column.place, column.counter)
    query = query.where(column.subject == one.subject)
    query = query.where(column.counter.is_not(None)) if counted else query
    query = query.where(column.step.in_(steps)) if steps else query
    half = OTHERS_MAX // 2
    before = query.where(column.observed_at <= one.observed_at)
    after = query.where(column.observed_at > one.observed_at)
    rows = [
        *connection.execute(before.order_by(column.observed_at.desc()).limit(half)),
        *connection.execute(after.order_by(column.observed_at).limit(half)),
    ]
    return [Sighting(*row) for row in rows]


def _owners(connection: Connection, codes: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the cylinders that codes tell of."""
    found, pairs, code = dict[tuple[str, str], str](), sorted(codes), cylinder_code.c
    for start in range(0, len(pairs), 400):
        named = tuple_(code.scheme, code.value).in_(pairs[start : start + 400])
        query = select(code.scheme, code.value, code.asset_id).where(named)
        found |= {(row.scheme, row.value): row.asset_id for row in connection.execute(query)}
    return found


def _key(one: Code) -> tuple[str, str]:
    return one.scheme, one.value


def _counter(codes: Sequence[Code]) -> int | None:
    told = next((one.value for one in codes if one.scheme == "sun_counter"), "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 16 else None


def _suspected(row: Any) -> bool:
    if FORGED.intersection(_words(row.findings)):
        return True
    return row.verdict is not None and CLONE in _verdict(row.verdict).reasons
