"""The daily watch over lifts: opens a case and raises an alarm for what is overdue, and ends both.

A lift is looked at once a day, and again after each change of its file or its record. What was
found, its cases and its alarms are one transaction, so whenever the process ends, nothing is raised
twice and nothing is lost: a lift that was not written down as looked at is looked at again.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from cloud.lifts.rows import columns_of_plan, json_text, plan_of
from cloud.model.database import Database
from cloud.model.lift_tables import lift, lift_case
from cloud.model.transition import Transition
from protocols.clock import Clock
from protocols.errors import RetryLater
from protocols.lifts.due_types import Duty
from protocols.lifts.rules import CalendarRules
from protocols.lifts.watch import CaseKind, LiftTerms

logger = logging.getLogger("suyuan.cloud")
POLL_S = 5.0
PAGE = 200
"""Lifts looked at in one transaction: nobody else writes the state meanwhile."""
DAY_MS = 86_400_000
Apply = Callable[[Connection, Sequence[Transition]], None]
"""The alarm desk's."""
_case = lift_case.c


class LiftWatch:
    """Looks until cancelled; one process at a time may."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        zone: ZoneInfo,
        rules: CalendarRules,
        terms: LiftTerms,
        apply: Apply,
        on_commit: Callable[[], None],
    ) -> None:
        """Build it.

        Args:
            database: the state.
            clock: of the service.
            zone: in which days are counted.
            rules: of calendars.
            terms: what is a case, and what an alarm.
            apply: carries out changes of alarms inside a transaction.
            on_commit: called after alarms were changed.

        """
        self._database, self._clock, self._zone = database, clock, zone
        self._rules, self._terms, self._apply = rules, terms, apply
        self._on_commit = on_commit

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except RetryLater as error:
                logger.warning("the watch over lifts waits: %s", error)
            await asyncio.sleep(POLL_S)

    async def look(self) -> int:
        """Look at all lifts that were not looked at since they changed, or today; count them."""
        seen = 0
        while await self._database.read(lambda c: bool(self._waiting(c))):
            found = await self._database.write(self._look_at_page)
            if found is None:
                break
            lifts, alarms = found
            seen += lifts
            if alarms:
                self._on_commit()
            await asyncio.sleep(0)
        return seen

    def _look_at_page(self, connection: Connection) -> tuple[int, int] | None:
        """Look at some; None: there are none. Returns how many, and how many alarms changed."""
        now_ms, today = self._clock.wall_ms(), self._today()
        rows = self._waiting(connection)
        if not rows:
            return None
        open_cases = _open_cases(connection, [row["asset_id"] for row in rows])
        changes: list[Transition] = []
        room = self._room(connection, now_ms)
        for row in rows:
            asset_id = row["asset_id"]
            made = plan_of(row, self._rules, today)
            told = {**columns_of_plan(made), "judged_on": today.isoformat()}
            connection.execute(update(lift).where(lift.c.asset_id == asset_id).values(**told))
            found, standing = self._terms.overdue(made), open_cases.get(asset_id, {})
            changes += self._end(connection, asset_id, standing, found, now_ms)
            changes += self._begin(connection, asset_id, standing, found, now_ms, room)
        if changes:
            self._apply(connection, changes)
        return len(rows), len(changes)

    def _today(self) -> date:
        now = datetime.fromtimestamp(self._clock.wall_ms() / 1_000, UTC)
        return now.astimezone(self._zone).date()

    def _waiting(self, connection: Connection) -> Sequence[RowMapping]:
        """Return some lifts that were not looked at today, or changed since."""
        column = lift.c
        query = select(lift).where(column.judged_on < self._today().isoformat())
        query = query.order_by(column.judged_on, column.asset_id).limit(PAGE)
        return connection.execute(query).mappings().all()

    def _begin(
        self,
        connection: Connection,
        asset_id: str,
        standing: Mapping[str, bool],
        found: Mapping[CaseKind, Duty],
        now_ms: int,
        room: dict[CaseKind, int],
    ) -> list[Transition]:
        changes = []
        for kind, duty in found.items():
            if kind in standing:
                _keep_day(connection, asset_id, kind, duty)
                continue
            alarm = room[kind] > 0
            room[kind] -= alarm
            connection.execute(insert(lift_case).values(_row(asset_id, kind, duty, now_ms, alarm)))
            if alarm:
                changes.append(self._fired(asset_id, kind, duty, now_ms))
        return changes

    def _end(
        self,
        connection: Connection,
        asset_id: str,
        standing: Mapping[str, bool],
        found: Mapping[CaseKind, Duty],
        now_ms: int,
    ) -> list[Transition]:
        changes = []
        for words in self._terms.cases:
            if words.id not in standing or words.id in found:
                continue
            here = (_case.asset_id == asset_id, _case.kind == words.id, _case.open == "y")
            ended = {"open": None, "ended_at": now_ms}
            connection.execute(update(lift_case).where(*here).values(**ended))
            if standing[words.id]:
                resolved = Transition(
                    asset=asset_id,
                    alert=words.alert,
                    severity=words.severity,
                    change="resolved",
                    at=now_ms,
                    observed_at=now_ms,
                )
                changes.append(resolved)
        return changes

    def _room(self, connection: Connection, now_ms: int) -> dict[CaseKind, int]:
        """Return how many more alarms there may be of each kind within 24 hours."""
        query = select(_case.kind, func.count()).where(_case.raised_at > now_ms - DAY_MS)
        counted = connection.execute(query.where(_case.alarm).group_by(_case.kind))
        raised = {row[0]: row[1] for row in counted}
        return {
            one.id: self._terms.alarms_a_day - raised.get(one.id, 0) for one in self._terms.cases
        }

    def _fired(self, asset_id: str, kind: CaseKind, duty: Duty, now_ms: int) -> Transition:
        words = self._terms.words(kind)
        return Transition(
            asset=asset_id,
            alert=words.alert,
            severity=words.severity,
            change="fired",
            at=now_ms,
            observed_at=now_ms,
            annotations={
                "summary": f"{words.title}: due {duty.due_on}",
                "summary_zh": f"{words.title_zh}：应于{duty.due_on}前完成",
                "cause": words.cause,
                "cause_zh": words.cause_zh,
                "consequence": words.consequence,
                "consequence_zh": words.consequence_zh,
                "response": words.acts,
                "response_zh": words.acts_zh,
            },
        )


def _open_cases(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, bool]]:
    """Return whether an open case is an alarm, by lift and kind."""
    found: dict[str, dict[str, bool]] = {}
    query = select(_case.asset_id, _case.kind, _case.alarm)
    for row in connection.execute(query.where(_case.asset_id.in_(ids), _case.open == "y")):
        found.setdefault(row.asset_id, {})[row.kind] = row.alarm
    return found


def _keep_day(connection: Connection, asset_id: str, kind: str, duty: Duty) -> None:
    """Write on a case that stands what is the longest overdue now."""
    day = duty.due_on.isoformat()
    here = (_case.asset_id == asset_id, _case.kind == kind, _case.open == "y", _case.day != day)
    values = {"day": day, "facts": json_text(_facts(duty))}
    connection.execute(update(lift_case).where(*here).values(**values))


def _row(asset_id: str, kind: str, duty: Duty, now_ms: int, alarm: bool) -> dict[str, Any]:
    return {
        "asset_id": asset_id,
        "kind": kind,
        "day": duty.due_on.isoformat(),
        "facts": json_text(_facts(duty)),
        "raised_at": now_ms,
        "alarm": alarm,
        "open": "y",
    }


def _facts(duty: Duty) -> dict[str, Any]:
    """Return what a person is told of what is overdue."""
    told: dict[str, str | int | date | None] = {
        "duty": duty.kind,
        "level": duty.level or None,
        "year": duty.year,
        "reason": duty.reason,
        "last_on": duty.done_on,
    }
    return {name: value for name, value in told.items() if value is not None}
