"""Rescues in the state database: each change is one row, its entries, and as many feed items."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, bindparam, insert, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.incidents.deadlines import waits
from cloud.incidents.draft import Draft
from cloud.incidents.rows import (
    COLUMNS,
    ENTRY,
    deadline_row,
    feed_data,
    to_deadline,
    to_entry,
    to_incident,
    to_row,
)
from cloud.incidents.units import Place
from cloud.model.alarm import Alarm
from cloud.model.incident import Deadline, Entry, Incident, RescueUnit
from cloud.model.incident_tables import incident as table
from cloud.model.incident_tables import incident_deadline, incident_entry, incident_unit
from cloud.model.principal import Scope
from cloud.model.visible import sees_asset
from protocols.errors import RefuseInput

AppendFeed = Callable[[Connection, str, str], int]
FED = "incident"
"""Event of the feed."""
_row, _line, _one = table.c, incident_entry.c, incident_deadline.c
_COLUMNS = [_row[name] for name in COLUMNS]
# made once: SQLAlchemy takes longer to make them than SQLite to carry them out
_BEGIN = insert(table).returning(_row.id)
_GET = select(*_COLUMNS).where(_row.id == bindparam("wanted"))
_DEADLINES = select(incident_deadline).where(_one.incident == bindparam("wanted"))
_DEADLINES = _DEADLINES.order_by(_one.position)
_OPEN = select(*_COLUMNS).where(_row.asset == bindparam("wanted"), _row.open == "y")
_LAST = select(incident_entry).where(_line.incident == bindparam("wanted"))
_LAST = _LAST.order_by(_line.id.desc()).limit(1)
_UPDATE = update(table).where(_row.id == bindparam("wanted"), _row.version == bindparam("seen"))
_UPDATE_DEADLINE = update(incident_deadline).where(
    _one.incident == bindparam("of"), _one.position == bindparam("at_position")
)
_INSERT_DEADLINE, _INSERT_ENTRY = insert(incident_deadline), insert(incident_entry)


def seen(scope: Scope) -> ColumnElement[bool]:
    """Hold for rescues of assets that a scope admits, and those that its own units were asked for.

    A station that is asked is no party of the lift, and must see what it is asked for.
    """
    if scope.everything:
        return true()
    of_asset = sees_asset(scope, _row.asset)
    if not scope.organisations:
        return of_asset
    asked = incident_unit.c
    mine = select(asked.incident).where(asked.organisation.in_(sorted(scope.organisations)))
    return or_(of_asset, _row.id.in_(mine))


class Book:
    """Reads and writes inside the caller's transaction.

    Args:
        append_feed: writes one feed item.
        turn: waits for the turn of alarms and feed; whoever changes a rescue takes it first.
        zone: of the city, whose days number the rescues.

    """

    def __init__(
        self, append_feed: AppendFeed, turn: Callable[[Connection], None], zone: ZoneInfo
    ) -> None:
        self._append_feed, self.turn, self.zone = append_feed, turn, zone
        self.on_saved: list[Callable[[Connection, Incident, Sequence[Entry]], object]] = []
        """Told of each change of a rescue, with its new entries, inside the transaction."""

    def get(self, connection: Connection, incident_id: int, scope: Scope) -> Incident:
        """Return one; RefuseInput `not_found`."""
        query = _GET if scope.everything else _GET.where(seen(scope))
        row = connection.execute(query, {"wanted": incident_id}).mappings().first()
        if row is None:
            raise RefuseInput("not_found", f"no incident {incident_id}")
        return to_incident(row, self._deadlines(connection, incident_id))

    def open_of(self, connection: Connection, asset_id: str) -> Incident | None:
        """Return the rescue of an asset that has not ended."""
        row = connection.execute(_OPEN, {"wanted": asset_id}).mappings().first()
        return None if row is None else to_incident(row, self._deadlines(connection, row["id"]))

    def merged_of(self, connection: Connection, asset_id: str) -> Incident | None:
        """Return the open rescue that the last one of an asset was merged into."""
        query = select(_row.state, _row.merged_into).where(_row.asset == asset_id)
        last = connection.execute(query.order_by(_row.id.desc()).limit(1)).first()
        if last is None or last.state != "merged" or last.merged_into is None:
            return None
        row = connection.execute(_GET, {"wanted": last.merged_into}).mappings().first()
        if row is None:
            return None
        found = to_incident(row, self._deadlines(connection, row["id"]))
        return found if found.open else None

    def has_since(self, connection: Connection, alarm: Alarm) -> bool:
        """Tell whether a rescue began, or was changed, since an alarm was raised."""
        query = select(_row.changed_at).where(_row.asset == alarm.asset)
        last = connection.execute(query.order_by(_row.id.desc()).limit(1)).scalar()
        return last is not None and last >= alarm.raised_at

    def record(self, connection: Connection, incident_id: int) -> list[Entry]:
        """Return all entries of one, oldest first."""
        query = select(incident_entry).where(_line.incident == incident_id).order_by(_line.id)
        return [to_entry(row) for row in connection.execute(query).mappings()]

    def last_entry(self, connection: Connection, incident_id: int) -> Entry | None:
        """Return the newest entry of one."""
        row = connection.execute(_LAST, {"wanted": incident_id}).mappings().first()
        return None if row is None else to_entry(row)

    def begin(self, connection: Connection, incident: Incident, place: Place, now_ms: int) -> Draft:
        """Write a new rescue, numbered; its entries follow with `save`."""
        day = datetime.fromtimestamp(incident.detected_at / 1_000, self.zone).strftime("%Y%m%d")
        row = to_row(incident) | {
            "number": self._next_number(connection, day),
            "day": day,
            "firm": place.parties.get("maintainer", "")[:32],
            "brand": place.text("manufacturer"),
            "site_type": place.text("site_type"),
            "district": place.district,
        }
        made = connection.execute(_BEGIN, row).scalar_one()
        draft = Draft(incident, now_ms)
        draft.set(id=made, number=row["number"], deadlines=())
        draft.before = draft.incident
        draft.set(deadlines=incident.deadlines)
        return draft

    def save(self, connection: Connection, draft: Draft) -> Incident:
        """Write what became of it; each entry is one item of the feed."""
        draft.finish()
        before, after = draft.before, draft.incident
        seen_version = {"wanted": after.id, "seen": before.version}
        changed = connection.execute(_UPDATE, {**to_row(after), **seen_version})
        if changed.rowcount != 1:
            raise RefuseInput("changed", f"incident {after.id} was changed by another process")
        self._write_deadlines(connection, after.id, before.deadlines, after.deadlines)
        rows = [
            {name: getattr(entry, name) for name in ENTRY if name != "id"}
            for entry in draft.entries
        ]
        if rows:
            connection.execute(_INSERT_ENTRY, rows)
        for entry in draft.entries:
            self._append_feed(connection, FED, feed_data(after, entry))
        for follow in self.on_saved:
            follow(connection, after, draft.entries)
        return after

    def note_asked(
        self, connection: Connection, draft: Draft, unit: RescueUnit, level: int
    ) -> None:
        """Note that a unit was asked, again if it was before."""
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        row = {
            "incident": draft.incident.id,
            "unit": unit.unit,
            "organisation": unit.organisation or "",
            "level": level,
            "asked_at": draft.now_ms,
            "refused_at": None,
        }
        statement: Any = dialect.insert(incident_unit).values(row)
        again = {name: row[name] for name in ("organisation", "level", "asked_at", "refused_at")}
        connection.execute(
            statement.on_conflict_do_update(index_elements=("incident", "unit"), set_=again)
        )

    def note_refused(self, connection: Connection, draft: Draft, unit: str) -> None:
        """Note that a unit cannot come."""
        of_it = incident_unit.c
        here = (of_it.incident == draft.incident.id, of_it.unit == unit)
        connection.execute(update(incident_unit).where(*here).values(refused_at=draft.now_ms))

    def _deadlines(self, connection: Connection, incident_id: int) -> list[Deadline]:
        rows = connection.execute(_DEADLINES, {"wanted": incident_id}).mappings()
        return [to_deadline(row) for row in rows]

    def _write_deadlines(
        self,
        connection: Connection,
        incident_id: int,
        before: Sequence[Deadline],
        after: Sequence[Deadline],
    ) -> None:
        for position, one in enumerate(after[: len(before)]):
            if one != before[position]:
                values = {
                    "fired_at": one.fired_at,
                    "settled_at": one.settled_at,
                    "waiting": "y" if waits(one) else None,
                }
                where = {"of": incident_id, "at_position": position}
                connection.execute(_UPDATE_DEADLINE, {**values, **where})
        new = [
            deadline_row(incident_id, position, one)
            for position, one in enumerate(after)
            if position >= len(before)
        ]
        if new:
            connection.execute(_INSERT_DEADLINE, new)

    def _next_number(self, connection: Connection, day: str) -> str:
        query = select(_row.number).where(_row.day == day).order_by(_row.id.desc()).limit(1)
        last = connection.execute(query).scalar()
        count = int(last.rpartition("-")[2]) if last else 0
        return f"R{day}-{count + 1:04d}"
