"""Alarms, and what lies beside them, in the state database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, select, update

from cloud.alarms.rows import to_alarm, to_row
from cloud.model import tables
from cloud.model.alarm import Alarm, OutOfService
from cloud.model.alarm_tables import alarm_raise, out_of_service
from cloud.model.principal import EVERYTHING, Scope
from cloud.model.visible import sees_asset

FIND_LIMIT_MAX = 10_000
_alarm = tables.alarm.c

# made once: SQLAlchemy takes longer to make them than SQLite to carry them out
_OPEN = select(tables.alarm).where(
    _alarm.alert == bindparam("wanted_alert"),
    _alarm.asset == bindparam("wanted_asset"),
    _alarm.open == "y",
)
_INSERT = insert(tables.alarm)
_UPDATE = update(tables.alarm).where(_alarm.id == bindparam("wanted_id"))
_RAISED = insert(alarm_raise)
_ANSWERED = (
    update(alarm_raise)
    .where(
        alarm_raise.c.alarm == bindparam("wanted_alarm"), alarm_raise.c.acknowledged_at.is_(None)
    )
    .values(acknowledged_at=bindparam("at"))
)
_OF_ASSET = select(tables.alarm).where(
    _alarm.asset == bindparam("wanted_asset"), _alarm.open == "y"
)
_DUE = (
    select(tables.alarm)
    .where(_alarm.due_at <= bindparam("now"))
    .order_by((_alarm.severity == "emergency").desc(), _alarm.due_at)
    .limit(bindparam("most"))
)
_NEXT = select(func.min(_alarm.due_at))
_OUT = select(out_of_service).where(
    out_of_service.c.asset == bindparam("wanted_asset"), out_of_service.c.open == "y"
)


def find_open(connection: Connection, asset: str, alert: str) -> Alarm | None:
    """Return the one open alarm of an alert."""
    row = connection.execute(_OPEN, {"wanted_alert": alert, "wanted_asset": asset}).first()
    return None if row is None else to_alarm(row)


def open_of(connection: Connection, asset: str) -> list[Alarm]:
    """Return the open alarms of an asset."""
    return [to_alarm(row) for row in connection.execute(_OF_ASSET, {"wanted_asset": asset})]


def get(connection: Connection, alarm_id: int, scope: Scope = EVERYTHING) -> Alarm | None:
    """Return one alarm that the scope admits."""
    query = select(tables.alarm).where(_alarm.id == alarm_id, sees_asset(scope, _alarm.asset))
    row = connection.execute(query).first()
    return None if row is None else to_alarm(row)


def matching(
    scope: Scope,
    states: Sequence[str] | None,
    asset: str | None,
    before_id: int | None,
    limit: int,
) -> Select[Any]:
    """Return the query for alarms, newest first."""
    query = select(tables.alarm).where(sees_asset(scope, _alarm.asset)).order_by(_alarm.id.desc())
    if states is not None:
        query = query.where(_alarm.state.in_(list(states)))
        if "normal" not in states:  # few of many: the database begins with those that are open
            query = query.where(_alarm.open == "y")
    if asset is not None:
        query = query.where(_alarm.asset == asset)
    if before_id is not None:
        query = query.where(_alarm.id < before_id)
    return query.limit(max(0, min(limit, FIND_LIMIT_MAX)))


def add(connection: Connection, alarm: Alarm) -> int:
    """Write a new alarm; return its id."""
    result = connection.execute(_INSERT, to_row(alarm))
    return int(result.inserted_primary_key[0])  # type: ignore[index]  # an insert has one


def write(connection: Connection, alarm: Alarm) -> None:
    """Write an alarm that is there."""
    connection.execute(_UPDATE, {"wanted_id": alarm.id, **to_row(alarm)})


def note_raise(connection: Connection, alarm: Alarm, at: int) -> None:
    """Note that an alarm asks for an operator."""
    row = {"alarm": alarm.id, "asset": alarm.asset, "alert": alarm.alert}
    connection.execute(_RAISED, row | {"severity": alarm.severity, "raised_at": at})


def note_answer(connection: Connection, alarm_id: int, at: int) -> None:
    """Note that an operator saw it."""
    connection.execute(_ANSWERED, {"wanted_alarm": alarm_id, "at": at})


def due(connection: Connection, now_ms: int, most: int) -> list[Alarm]:
    """Return alarms whose deadline fell, emergencies first."""
    return [to_alarm(row) for row in connection.execute(_DUE, {"now": now_ms, "most": most})]


def next_due(connection: Connection) -> int | None:
    """Return the next deadline of all alarms."""
    return connection.execute(_NEXT).scalar()


def is_out(connection: Connection, asset: str) -> bool:
    """Tell whether an asset is out of service."""
    return connection.execute(_OUT, {"wanted_asset": asset}).first() is not None


def out_now(connection: Connection, scope: Scope, asset: str | None = None) -> list[OutOfService]:
    """Return what is out of service now, the longest first."""
    out = out_of_service.c
    query = select(out_of_service).where(out.open == "y", sees_asset(scope, out.asset))
    if asset is not None:
        query = query.where(out.asset == asset)
    query = query.order_by(out.began_at, out.id).limit(FIND_LIMIT_MAX)
    return [
        OutOfService(
            asset=row.asset,
            began_at=row.began_at,
            began_by=row.began_by,
            reason=row.reason,
            return_expected_at=row.return_expected_at,
        )
        for row in connection.execute(query)
    ]


def begin_out(connection: Connection, word: OutOfService) -> None:
    """Note that an asset is out of service, or what is said of it now."""
    said = {"reason": word.reason, "return_expected_at": word.return_expected_at}
    here = out_of_service.c
    changed = update(out_of_service).where(here.asset == word.asset, here.open == "y")
    if connection.execute(changed.values(**said)).rowcount == 0:
        who = {"asset": word.asset, "began_at": word.began_at, "began_by": word.began_by}
        connection.execute(insert(out_of_service).values(**who, **said, open="y"))


def end_out(connection: Connection, asset: str, by: str, at: int) -> bool:
    """Note that an asset is back; tell whether it was out."""
    here = out_of_service.c
    back = update(out_of_service).where(here.asset == asset, here.open == "y")
    return connection.execute(back.values(open=None, ended_at=at, ended_by=by)).rowcount > 0
