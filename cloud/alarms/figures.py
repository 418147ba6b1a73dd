"""The figures of EEMUA 191 and ISA-18.2, counted in the database when somebody asks."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, func, select

from cloud.alarms.base import Actor, Figures, StaleAlarm
from cloud.model.alarm import SEVERITIES, Severity
from cloud.model.alarm_tables import alarm_raise, out_of_service
from cloud.model.alarm_terms import AlarmTerms, FigureTerms
from cloud.model.database import Database
from cloud.model.principal import Scope
from cloud.model.tables import alarm
from cloud.model.visible import sees_asset
from protocols.clock import Clock

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
CHATTERING_MAX = 100
STALE_SHOWN_MAX = 100
_raise = alarm_raise.c
_alarm = alarm.c


class FigureBook:
    """Counts what was asked of the operators."""

    def __init__(self, database: Database, clock: Clock, terms: AlarmTerms) -> None:
        self._database, self._clock, self.terms = database, clock, terms

    async def figures(self, window_h: int, scope: Scope) -> Figures:
        """Return the figures of the last hours, of what the scope admits."""
        now_ms = self._clock.wall_ms()
        return await self._database.read(
            lambda c: _figures(c, self.terms.figures, now_ms, window_h * HOUR_MS, scope)
        )


def _figures(
    connection: Connection, terms: FigureTerms, now_ms: int, window_ms: int, scope: Scope
) -> Figures:
    from_ms = now_ms - window_ms
    here = (
        sees_asset(scope, _raise.asset),
        _raise.raised_at > from_ms,
        _raise.raised_at <= now_ms,
    )
    by_severity = _by_severity(connection, here)
    total = sum(by_severity.values())
    top = _most_frequent(connection, here, terms.top)
    states = _states(connection, scope)
    seen, p50_ms, p95_ms = _answers(connection, here)
    stale, stale_total = _stale(connection, now_ms - terms.stale_h * HOUR_MS, scope)
    return Figures(
        from_at=from_ms,
        to_at=now_ms,
        total=total,
        per_day=total / terms.operators / (window_ms / (24 * HOUR_MS)),
        per_10_minutes=total / terms.operators / (window_ms / (10 * MINUTE_MS)),
        **_rates(connection, here, terms, now_ms, window_ms),
        chattering=_chattering(connection, here, terms),
        stale=stale,
        stale_total=stale_total,
        top=top,
        top_percent=100 * sum(one.count for one in top) / total if total else 0.0,
        by_severity=by_severity,
        acknowledged=seen,
        acknowledge_p50_s=None if p50_ms is None else p50_ms / 1000,
        acknowledge_p95_s=None if p95_ms is None else p95_ms / 1000,
        open=sum(states.values()),
        shelved=states["shelved"],
        suppressed=states["suppressed_by_design"],
        out_of_service=_out(connection, scope),
    )


Here = Sequence[ColumnElement[bool]]


def _rates(
    connection: Connection, here: Here, terms: FigureTerms, now_ms: int, window_ms: int
) -> dict[str, Any]:
    """Count by stretches that end now, so that the last one is whole."""
    stretch_ms = terms.flood_minutes * MINUTE_MS
    back = (now_ms - _raise.raised_at) // stretch_ms
    query = select(back, func.count()).where(*here).group_by(back)
    counts = {int(number): int(count) for number, count in connection.execute(query)}
    each = {number: -(-count // terms.operators) for number, count in counts.items()}
    flooded = sum(count > terms.flood_count for count in each.values())
    busiest = max(each, key=lambda number: (each[number], -number), default=None)
    return {
        "busiest_10_minutes": 0 if busiest is None else each[busiest],
        "busiest_at": None if busiest is None else now_ms - (busiest + 1) * stretch_ms,
        "last_10_minutes": each.get(0, 0),
        "flood": each.get(0, 0) > terms.flood_count,
        "flood_percent": 100 * flooded * stretch_ms / max(window_ms, stretch_ms),
    }


def _by_severity(connection: Connection, here: Here) -> dict[Severity, int]:
    query = select(_raise.severity, func.count()).where(*here).group_by(_raise.severity)
    found = {row[0]: int(row[1]) for row in connection.execute(query)}
    return {severity: found.get(severity, 0) for severity in SEVERITIES}


def _most_frequent(connection: Connection, here: Here, most: int) -> list[Actor]:
    count = func.count()
    query = (
        select(_raise.asset, _raise.alert, count)
        .where(*here)
        .group_by(_raise.asset, _raise.alert)
        .order_by(count.desc(), _raise.asset, _raise.alert)
        .limit(most)
    )
    return [Actor(asset=row[0], alert=row[1], count=row[2]) for row in connection.execute(query)]


def _chattering(connection: Connection, here: Here, terms: FigureTerms) -> list[Actor]:
    """Find those raised so often within the seconds, by the moment of the one so many before."""
    of, by = (_raise.asset, _raise.alert), (_raise.raised_at, _raise.id)
    lag = func.lag(_raise.raised_at, terms.chattering_count - 1)
    earlier = lag.over(partition_by=of, order_by=by)
    raised = select(
        _raise.asset, _raise.alert, (_raise.raised_at - earlier).label("within_ms")
    ).where(*here)
    inner = raised.subquery().c
    close = func.min(inner.within_ms) <= terms.chattering_s * 1000
    query = (
        select(inner.asset, inner.alert, func.count())
        .group_by(inner.asset, inner.alert)
        .having(close)
        .order_by(func.count().desc(), inner.asset, inner.alert)
        .limit(CHATTERING_MAX)
    )
    return [Actor(asset=row[0], alert=row[1], count=row[2]) for row in connection.execute(query)]


def _answers(connection: Connection, here: Here) -> tuple[int, float | None, float | None]:
    """Return how many were acknowledged, and how long half and 95 of 100 of them took."""
    took = _raise.acknowledged_at - _raise.raised_at
    seen = (*here, _raise.acknowledged_at.is_not(None))
    count = int(connection.execute(select(func.count()).where(*seen)).scalar_one())

    def percentile(percent: int) -> float | None:
        at = max(0, -(-count * percent // 100) - 1)
        query = select(took).where(*seen).order_by(took).limit(1).offset(at)
        return cast("float | None", connection.execute(query).scalar())

    return count, percentile(50), percentile(95)


def _stale(connection: Connection, before_ms: int, scope: Scope) -> tuple[list[StaleAlarm], int]:
    standing = (
        sees_asset(scope, _alarm.asset),
        _alarm.open == "y",
        _alarm.state.in_(("unacknowledged", "acknowledged")),
        _alarm.raised_at < before_ms,
    )
    total = int(connection.execute(select(func.count()).where(*standing)).scalar_one())
    query = select(_alarm.id, _alarm.asset, _alarm.alert, _alarm.severity, _alarm.raised_at)
    query = query.where(*standing).order_by(_alarm.raised_at, _alarm.id).limit(STALE_SHOWN_MAX)
    rows = connection.execute(query).mappings()
    return [StaleAlarm(**row) for row in rows], total


def _states(connection: Connection, scope: Scope) -> Counter[str]:
    query = select(_alarm.state, func.count()).group_by(_alarm.state)
    query = query.where(_alarm.open == "y", sees_asset(scope, _alarm.asset))
    return Counter({row[0]: int(row[1]) for row in connection.execute(query)})


def _out(connection: Connection, scope: Scope) -> int:
    out = out_of_service.c
    query = select(func.count()).where(out.open == "y", sees_asset(scope, out.asset))
    return int(connection.execute(query).scalar_one())
