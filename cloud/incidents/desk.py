"""The desk of rescues: `Incidents` in the state database."""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Select, false, literal, select, true
from sqlalchemy.dialects import postgresql, sqlite

from cloud.incidents.acting import Acting
from cloud.incidents.book import Book, seen
from cloud.incidents.calls import check_call, fill_from, find_calls, keep_call
from cloud.incidents.draft import Found
from cloud.incidents.escalate import Escalation
from cloud.incidents.figures import read_figures
from cloud.incidents.opening import Opening
from cloud.incidents.rows import COLUMNS, UNIT, to_deadline, to_incident
from cloud.incidents.steps import check_fields, possible
from cloud.incidents.units import all_units, candidates, place_of
from cloud.model.alarm import Alarm
from cloud.model.database import Database, Work
from cloud.model.incident import (
    Act,
    Call,
    CallOutcome,
    Deadline,
    Entry,
    Incident,
    KeptCall,
    RescueUnit,
    Verb,
    WantedIncidents,
)
from cloud.model.incident_tables import incident as table
from cloud.model.incident_tables import incident_deadline, rescue_unit
from cloud.model.principal import BY_CHARS_MAX, EVERYTHING, Granted, Scope
from cloud.model.rescue_figures import FiguresBy, RescueFigures
from cloud.model.rescue_policy import RescueRules
from cloud.model.visible import sees_asset
from protocols.clock import Clock
from protocols.errors import RefuseInput

LIMIT_MAX = 1_001
"""One more than a list shows, to know whether there is more."""
FIRED_MAX = 20
"""So many incidents' deadlines fire in one transaction: alarms are written to the same database."""
_row = table.c


class IncidentDesk:
    """Rescues as people, alarms and the clock change them.

    Args:
        database: the state database.
        clock: of the service.
        book: reads and writes them.
        rules: policies, levels and causes.
        find_code: returns the assets with a rescue code.
        find: tells that somebody should look at something: asset, reason, detail, ms.
        on_commit: called after a transaction that appended to the feed.

    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        book: Book,
        rules: RescueRules,
        *,
        find_code: Callable[[str], Sequence[str]],
        find: Callable[[str, str, str, int], None],
        on_commit: Callable[[], None],
    ) -> None:
        self._database, self._clock, self._book, self.rules = database, clock, book, rules
        self._find_code, self._find, self._on_commit = find_code, find, on_commit
        self.on_saved = book.on_saved
        """Told of each change of a rescue, with its new entries, inside the transaction."""
        self._escalation = Escalation(book, rules)
        self._opening = Opening(book, self._escalation, rules)
        self._acting = Acting(book, self._escalation, rules)

    def follow(self, connection: Connection, alarm: Alarm, change: str) -> None:
        """Take a change of an alarm, inside its transaction, which has the turn."""
        self._opening.follow(connection, alarm, change, self._clock.wall_ms())

    async def find(self, wanted: WantedIncidents, scope: Scope = EVERYTHING) -> list[Incident]:
        """Return incidents, newest or most urgent first."""
        query = _within(wanted, scope)
        return await self._database.read(lambda c: _read(c, query))

    async def get(self, incident_id: int, scope: Scope = EVERYTHING) -> Incident:
        """Return one; RefuseInput `not_found`."""
        return await self._database.read(lambda c: self._book.get(c, incident_id, scope))

    async def record(self, incident_id: int, scope: Scope = EVERYTHING) -> list[Entry]:
        """Return the whole record of one, oldest first; RefuseInput `not_found`."""

        def work(connection: Connection) -> list[Entry]:
            self._book.get(connection, incident_id, scope)
            return self._book.record(connection, incident_id)

        return await self._database.read(work)

    async def open_call(
        self, call: Call, *, granted: Granted, also: Sequence[Work] = ()
    ) -> Incident:
        """Open an incident for a call, or join it; see `Incidents`."""
        check_call(call)
        codes = self._assets_of(call.rescue_code) if call.asset is None else []
        now_ms, by = self._clock.wall_ms(), granted.by[:BY_CHARS_MAX]

        def work(connection: Connection) -> tuple[CallOutcome, Incident | None]:
            self._book.turn(connection)
            whole = fill_from(connection, call, granted.scope)
            incident: Incident | None = None
            asset, outcome = _located(connection, whole, codes, granted.scope)
            if asset is not None:
                incident, outcome = self._opening.take_call(
                    connection, asset, whole, by=by, now_ms=now_ms
                )
            keep_call(
                connection,
                whole,
                asset=asset,
                incident=incident.id if incident is not None else None,
                outcome=outcome,
                by=by,
                now_ms=now_ms,
            )
            return outcome, incident

        outcome, incident = await self._database.write(work, *also)
        self._on_commit()
        if incident is None or outcome not in ("opened", "joined"):
            raise self._refusal(outcome, call)
        return incident

    async def calls(
        self, scope: Scope, *, unplaced: bool = False, before_id: int | None = None, limit: int
    ) -> list[KeptCall]:
        """Return calls, newest first."""
        limit = max(1, min(limit, LIMIT_MAX))
        return await self._database.read(
            lambda c: find_calls(c, scope, unplaced=unplaced, before_id=before_id, limit=limit)
        )

    async def act(
        self,
        incident_id: int,
        verb: Verb,
        act: Act,
        *,
        granted: Granted,
        also: Sequence[Work] = (),
    ) -> Incident:
        """Do something; see `Incidents`."""
        check_fields(verb, act)

        def work(connection: Connection) -> tuple[Incident, list[Found]]:
            self._book.turn(connection)
            now_ms = self._clock.wall_ms()  # in its turn, so that the record's times rise
            draft = self._acting.act(connection, incident_id, verb, act, granted, now_ms)
            if not draft.entries:
                return draft.before, []
            return self._book.save(connection, draft), draft.found

        incident, found = await self._database.write(work, *also)
        self._tell(found)
        self._on_commit()
        return incident

    def verbs(self, incident: Incident) -> list[Verb]:
        """Return what may be done with it now, the next expected step first."""
        return possible(incident)

    async def units(self, incident: Incident, level: int) -> list[tuple[RescueUnit, float | None]]:
        """Return who could be sent at a level, the best first."""
        levels = self.rules.levels
        return await self._database.read(
            lambda c: candidates(c, place_of(c, incident.asset), level, levels)
        )

    async def figures(
        self, scope: Scope, *, from_at: int, to_at: int, by: FiguresBy
    ) -> RescueFigures:
        """Return the figures of rescues detected from `from_at` until before `to_at`."""
        asked: dict[str, Any] = {"from_at": from_at, "to_at": to_at, "by": by}
        zone = self._book.zone
        return await self._database.read(
            lambda c: read_figures(c, scope, **asked, rules=self.rules, zone=zone)
        )

    async def put_unit(self, unit: RescueUnit, also: Sequence[Work] = ()) -> RescueUnit:
        """Register or change a unit."""
        row = {name: getattr(unit, name) for name in UNIT}

        def work(connection: Connection) -> None:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            statement: Any = dialect.insert(rescue_unit).values(row)
            changed = {name: value for name, value in row.items() if name != "unit"}
            connection.execute(
                statement.on_conflict_do_update(index_elements=("unit",), set_=changed)
            )

        await self._database.write(work, *also)
        return unit

    async def all_units(self) -> list[RescueUnit]:
        """Return all units, by name."""
        return await self._database.read(lambda c: all_units(c, self.rules.levels))

    async def fire_due(self) -> int:
        """Fire deadlines that are due, each once; return how many incidents had one."""
        fired, found = await self._database.write(self._fire)
        if fired:
            self._tell(found)
            self._on_commit()
        return fired

    async def next_due(self) -> int | None:
        """Return when the next deadline is due, None when none waits."""
        return await self._database.read(_next_due)

    def _fire(self, connection: Connection) -> tuple[int, list[Found]]:
        self._book.turn(connection)
        now_ms, one = self._clock.wall_ms(), incident_deadline.c
        query = select(one.incident).where(one.waiting == "y", one.due_at <= now_ms)
        rows = connection.execute(query.order_by(one.due_at).limit(FIRED_MAX)).scalars()
        found, waiting = list[Found](), list(dict.fromkeys(rows))
        for incident_id in waiting:
            incident = self._book.get(connection, incident_id, EVERYTHING)
            draft = self._escalation.fire_due(connection, incident, now_ms)
            self._book.save(connection, draft)
            found += draft.found
        return len(waiting), found

    def _tell(self, found: Sequence[Found]) -> None:
        now_ms = self._clock.wall_ms()
        for asset, reason, detail in found:
            self._find(asset, reason, detail, now_ms)

    def _assets_of(self, code: str) -> Sequence[str]:
        plain = plain_code(code)
        return self._find_code(plain) if plain else []

    def _refusal(self, outcome: CallOutcome, call: Call) -> RefuseInput:
        code = plain_code(call.rescue_code)[:20]
        if outcome == "ambiguous_code":
            detail = f"several lifts have the code {code!r}: name the asset; the call is kept"
            return RefuseInput("ambiguous_code", detail)
        if outcome == "refused":
            detail = "there is a real rescue at this lift: no drill can begin; the call is kept"
            return RefuseInput("wrong_state", detail)
        digits = " or ".join(map(str, self.rules.policies.code_digits))
        expected = f"no lift has the code {code!r} (expected {digits} digits)"
        return RefuseInput("unknown_code", f"{expected}; the call is kept: place it by its asset")


def plain_code(text: str) -> str:
    """Return a rescue code without what people write between digits, in plain digits."""
    return "".join(c for c in unicodedata.normalize("NFKC", text) if c.isalnum())


def _located(
    connection: Connection, call: Call, codes: Sequence[str], scope: Scope
) -> tuple[str | None, CallOutcome]:
    """Return the lift of a call among those that the scope admits."""
    if call.asset is not None:
        if not _admits(connection, call.asset, scope):
            raise RefuseInput("not_found", f"no asset {call.asset[:97]!r}")
        return call.asset, "opened"
    found = [one for one in codes if _admits(connection, one, scope)]
    if len(found) == 1:
        return found[0], "opened"
    return None, "ambiguous_code" if found else "unknown_code"


def _admits(connection: Connection, asset_id: str, scope: Scope) -> bool:
    return bool(connection.execute(select(sees_asset(scope, literal(asset_id)))).scalar())


def _within(wanted: WantedIncidents, scope: Scope) -> Select[Any]:
    query = select(*(_row[name] for name in COLUMNS)).where(seen(scope))
    if wanted.open is not None:
        query = query.where(_row.open == "y" if wanted.open else _row.open.is_(None))
    if wanted.states:
        query = query.where(_row.state.in_(wanted.states))
    for column, value in ((_row.asset, wanted.asset), (_row.unit, wanted.unit)):
        if value is not None:
            query = query.where(column == value)
    if wanted.drill is not None:
        query = query.where(_row.drill == (true() if wanted.drill else false()))
    if wanted.from_at is not None:
        query = query.where(_row.detected_at >= wanted.from_at)
    if wanted.to_at is not None:
        query = query.where(_row.detected_at < wanted.to_at)
    if wanted.before_id is not None:
        query = query.where(_row.id < wanted.before_id)
    order = (_row.drill, _row.urgent_at, _row.id) if wanted.urgent else (_row.id.desc(),)
    return query.order_by(*order).limit(max(1, min(wanted.limit, LIMIT_MAX)))


def _read(connection: Connection, query: Select[Any]) -> list[Incident]:
    rows = connection.execute(query).mappings().all()
    if not rows:
        return []
    of: dict[int, list[Deadline]] = {row["id"]: [] for row in rows}
    one = incident_deadline.c
    which = select(incident_deadline).where(one.incident.in_(list(of)))
    for row in connection.execute(which.order_by(one.incident, one.position)).mappings():
        of[row["incident"]].append(to_deadline(row))
    return [to_incident(row, of[row["id"]]) for row in rows]


def _next_due(connection: Connection) -> int | None:
    one = incident_deadline.c
    query = select(one.due_at).where(one.waiting == "y").order_by(one.due_at).limit(1)
    return connection.execute(query).scalar()
