"""The lists as people ask for them: pages of cases, closing one, calendar, figures."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, true

from cloud.cylinders.watch.alarms import CaseAlarms
from cloud.cylinders.watch.cases import end_cases, facts_of
from cloud.cylinders.watch.sightings import local_day
from cloud.cylinders.watch.stations import ASKED_EVERY_MS, note_snapshot
from cloud.model.cylinder_case import (
    CylinderCase,
    DayCount,
    Figures,
    FiguresBy,
    WantedCases,
)
from cloud.model.cylinder_tables import cylinder
from cloud.model.database import Database, Work
from cloud.model.principal import BY_CHARS_MAX, Granted, Scope
from cloud.model.tables import asset
from cloud.model.visible import sees_asset, sees_organisation
from cloud.model.watch_tables import cylinder_case
from protocols.clock import Clock
from protocols.cylinders.watch import TERMS, Watch
from protocols.errors import RefuseInput

FIGURES_MAX = 1_000
"""Rows of figures; those with the most cylinders."""
_case, _cylinder, _asset = cylinder_case.c, cylinder.c, asset.c
_JOINED = cylinder_case.outerjoin(cylinder, _cylinder.asset_id == _case.subject).outerjoin(
    asset, _asset.asset_id == _case.subject
)
_OWN = tuple(name for name in CylinderCase.__struct_fields__ if name in _case)
_GROUPS: dict[FiguresBy, ColumnElement[str]] = {
    "filler": _cylinder.filler,
    "kind": _cylinder.kind,
    "district": _asset.district,
}


class CaseDesk:
    """`Cases` in the state database."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        zone: ZoneInfo,
        watch: Watch,
        alarms: CaseAlarms,
        on_commit: Callable[[], None],
    ) -> None:
        """Build it.

        Args:
            database: the state.
            clock: of the service.
            zone: in which days are counted.
            watch: the terms.
            alarms: ends the alarm of a case that is closed.
            on_commit: called after that.

        """
        self._database, self._clock, self._zone = database, clock, zone
        self.watch, self._alarms, self._on_commit = watch, alarms, on_commit
        self._asked: dict[str, tuple[int, int]] = {}

    def today(self) -> date:
        """Return the local day."""
        return local_day(self._clock.wall_ms(), self._zone)

    async def find(self, scope: Scope, wanted: WantedCases) -> list[CylinderCase]:
        """Return cases by their day, the earliest first."""
        query = _within(_cases(), scope, wanted)
        if wanted.after is not None:
            day, number = wanted.after
            query = query.where(
                _case.day >= day, or_(_case.day > day, and_(_case.day == day, _case.id > number))
            )
        query = query.order_by(_case.day, _case.id).limit(wanted.limit)
        return await self._database.read(lambda c: [_read(row) for row in _rows(c, query)])

    async def get(self, case_id: int, scope: Scope) -> CylinderCase:
        """Return one; RefuseInput `not_found`."""
        return await self._database.read(lambda c: _get(c, case_id, scope))

    async def close(
        self, granted: Granted, case_id: int, note: str, *, also: Sequence[Work] = ()
    ) -> CylinderCase:
        """Close one; RefuseInput `not_found`, `wrong_state`."""
        now_ms, by = self._clock.wall_ms(), granted.by[:BY_CHARS_MAX]

        def work(connection: Connection) -> CylinderCase:
            one = _get(connection, case_id, granted.scope)
            if one.kind in TERMS:
                raise RefuseInput("wrong_state", "an inspection, or the end of its use, ends it")
            if not end_cases(connection, _case.id == case_id, now_ms, by=by, note=note):
                raise RefuseInput("wrong_state", f"case {case_id} has ended")
            if one.alarm:
                self._alarms.end(connection, one.kind, one.subject, now_ms)
            return _get(connection, case_id, granted.scope)

        closed = await self._database.write(work, *also)
        self._on_commit()
        return closed

    async def calendar(self, scope: Scope, wanted: WantedCases) -> list[DayCount]:
        """Count open cases by day and kind."""
        counted = func.count().label("total")
        query = select(_case.day, _case.kind, counted).select_from(_JOINED)
        query = _within(query, scope, wanted).group_by(_case.day, _case.kind)
        query = query.order_by(_case.day, _case.kind)
        return await self._database.read(
            lambda c: [
                DayCount(day=row.day, kind=row.kind, count=row.total) for row in c.execute(query)
            ]
        )

    async def figures(self, scope: Scope, by: FiguresBy) -> list[Figures]:
        """Count cylinders in use and open cases."""
        return await self._database.read(lambda c: _figures(c, scope, by))

    async def note_snapshot(self, gateway: str, station: str, number: int) -> None:
        """Note which snapshot a gateway has, when it is another or the last note is old."""
        now_ms, (before, at_ms) = self._clock.wall_ms(), self._asked.get(gateway, (-1, 0))
        if before != number or now_ms - at_ms >= ASKED_EVERY_MS:
            await self._database.write(lambda c: note_snapshot(c, gateway, station, number, now_ms))
            self._asked[gateway] = (number, now_ms)


def seen(scope: Scope) -> ColumnElement[bool]:
    """Hold for cases of cylinders that a scope admits, and of stations of its own."""
    if scope.everything:
        return true()
    here = and_(_case.station != "", sees_organisation(scope, _case.station))
    return or_(sees_asset(scope, _case.subject), here)


def _cases() -> Select[Any]:
    told = (_cylinder.filler, _cylinder.kind.label("shell"), _cylinder.gas, _asset.district)
    return select(*(_case[name] for name in _OWN), *told).select_from(_JOINED)


def _rows(connection: Connection, query: Select[Any]) -> Sequence[Any]:
    return connection.execute(query).mappings().all()


def _read(row: Any) -> CylinderCase:
    told = {name: row[name] or "" for name in ("filler", "shell", "gas", "district")}
    own = {name: row[name] for name in _OWN}
    return CylinderCase(**{**own, **told, "facts": facts_of(row["facts"])})


def _get(connection: Connection, case_id: int, scope: Scope) -> CylinderCase:
    row = connection.execute(_cases().where(_case.id == case_id, seen(scope))).mappings().first()
    if row is None:
        raise RefuseInput("not_found", f"no case {case_id}")
    return _read(row)


def _within(query: Select[Any], scope: Scope, wanted: WantedCases) -> Select[Any]:
    is_open = _case.open == "y" if wanted.state == "open" else _case.open.is_(None)
    query = query.where(is_open, seen(scope))
    asked: dict[ColumnElement[Any], Any] = {
        _case.kind: wanted.kind,
        _case.subject: wanted.subject,
        _case.station: wanted.station,
        _cylinder.filler: wanted.filler,
        _cylinder.kind: wanted.shell,
        _asset.district: wanted.district,
    }
    for column, value in asked.items():
        query = query if value is None else query.where(column == value)
    if wanted.within_days is not None:
        query = query.where(_case.stage_days <= wanted.within_days)
    if wanted.from_day is not None:
        query = query.where(_case.day >= wanted.from_day)
    return query if wanted.to_day is None else query.where(_case.day <= wanted.to_day)


def _figures(connection: Connection, scope: Scope, by: FiguresBy) -> list[Figures]:
    group = _GROUPS[by]
    counted = func.count().label("total")
    cylinders = select(group.label("name"), counted).select_from(
        cylinder.join(asset, _asset.asset_id == _cylinder.asset_id)
    )
    cylinders = cylinders.where(_cylinder.state == "in_use", sees_asset(scope, _cylinder.asset_id))
    cylinders = cylinders.group_by(group).order_by(counted.desc(), group).limit(FIGURES_MAX)
    totals = {row.name: row.total for row in connection.execute(cylinders)}
    of = func.coalesce(group, _case.station) if by == "filler" else group
    cases = select(of.label("name"), _case.kind, _case.stage_days, counted).select_from(_JOINED)
    cases = cases.where(_case.open == "y", seen(scope), of.is_not(None))
    cases = cases.group_by(of, _case.kind, _case.stage_days)
    found: dict[str, dict[str, int]] = {name: {} for name in totals}
    for row in connection.execute(cases):
        word = row.kind if row.stage_days is None else f"{row.kind}_{row.stage_days}"
        found.setdefault(row.name, {})[word] = row.total
    return [
        Figures(name=name, cylinders=totals.get(name, 0), open=counts)
        for name, counts in found.items()
    ][:FIGURES_MAX]
