"""The alarm desk: turns changes of alerts into alarms that a person answers."""

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Connection, bindparam, insert, select, update

from cloud.alarms.alarm_state import VERBS, next_state
from cloud.alarms.rows import feed_data, to_alarm, to_row
from cloud.model import tables
from cloud.model.alarm import Alarm, AlarmState
from cloud.model.database import Database, Work, take_turn
from cloud.model.principal import EVERYTHING, Scope
from cloud.model.transition import Transition
from cloud.model.visible import sees_asset
from protocols.clock import Clock
from protocols.errors import RefuseInput

FIND_LIMIT_MAX = 10_000
BY_CHARS_MAX = 64
NOTE_CHARS_MAX = 2_000

# made once: SQLAlchemy takes longer to make them than SQLite to carry them out
_OPEN = select(tables.alarm).where(
    tables.alarm.c.alert == bindparam("wanted_alert"),
    tables.alarm.c.asset == bindparam("wanted_asset"),
    tables.alarm.c.open == "y",
)
_INSERT = insert(tables.alarm)
_UPDATE = update(tables.alarm).where(tables.alarm.c.id == bindparam("wanted_id"))
TURN = "alarms"
"""Of all processes one at a time changes alarms and appends to the feed: an alarm is never changed
by two, and no offset becomes visible before a lower one."""


class AlarmDesk:
    """Alarms in the state database; each change of state is one item of the feed.

    Args:
        database: the state database.
        clock: for the time of an acknowledgement.
        append_feed: writes one feed item (event, data) inside a transaction.
        on_commit: called after a transaction of the desk's own that appended to the feed.
        follow: told of each change of an alarm inside its transaction, with the change's word.

    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        append_feed: Callable[[Connection, str, str], int],
        on_commit: Callable[[], None],
        follow: Callable[[Connection, Alarm, str], None] | None = None,
    ) -> None:
        self._database, self._clock, self._follow = database, clock, follow
        self._append_feed, self._on_commit = append_feed, on_commit

    def apply(self, connection: Connection, transitions: Sequence[Transition]) -> None:
        """Carry out changes of alerts, in order, inside the caller's transaction."""
        take_turn(connection, TURN)
        for transition in transitions:
            alarm = _find_open(connection, transition.asset, transition.alert)
            state = next_state(alarm.state if alarm else "normal", VERBS[transition.change])
            if state is not None:
                self._move(connection, alarm, state, transition)

    async def acknowledge(
        self,
        alarm_id: int,
        *,
        by: str,
        note: str = "",
        scope: Scope = EVERYTHING,
        also: Sequence[Work] = (),
    ) -> Alarm:
        """Note that a person has seen the alarm; it closes if the process is back to normal.

        Raises:
            RefuseInput: `not_found`, or `not_acknowledgeable` in its present state.

        """

        def work(connection: Connection) -> Alarm:
            take_turn(connection, TURN)
            alarm = _get(connection, alarm_id, scope)
            if alarm is None:
                raise RefuseInput("not_found", f"no alarm {alarm_id}")
            state = next_state(alarm.state, "acknowledge")
            if state is None:
                raise RefuseInput("not_acknowledgeable", f"the alarm is {alarm.state}")
            now_ms = self._clock.wall_ms()
            alarm = msgspec.structs.replace(
                alarm,
                state=state,
                changed_at=now_ms,
                acknowledged_at=now_ms,
                acknowledged_by=by[:BY_CHARS_MAX],
                note=note[:NOTE_CHARS_MAX] or None,
            )
            self._write(connection, alarm, "acknowledged")
            return alarm

        alarm = await self._database.write(work, *also)
        self._on_commit()
        return alarm

    async def find(
        self,
        *,
        scope: Scope = EVERYTHING,
        states: Sequence[str] | None = None,
        asset: str | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> list[Alarm]:
        """Return alarms, newest (largest id) first, with id < `before_id`; None: no such filter."""
        seen = sees_asset(scope, tables.alarm.c.asset)
        query = select(tables.alarm).where(seen).order_by(tables.alarm.c.id.desc())
        if states is not None:
            query = query.where(tables.alarm.c.state.in_(list(states)))
        if asset is not None:
            query = query.where(tables.alarm.c.asset == asset)
        if before_id is not None:
            query = query.where(tables.alarm.c.id < before_id)
        query = query.limit(max(0, min(limit, FIND_LIMIT_MAX)))
        return await self._database.read(
            lambda connection: [to_alarm(row) for row in connection.execute(query)]
        )

    async def get(self, alarm_id: int, *, scope: Scope = EVERYTHING) -> Alarm | None:
        """Return one alarm that the scope admits."""
        return await self._database.read(lambda connection: _get(connection, alarm_id, scope))

    def _move(
        self,
        connection: Connection,
        alarm: Alarm | None,
        state: AlarmState,
        transition: Transition,
    ) -> None:
        if alarm is None:
            self._tell(connection, _raise(connection, transition, state), transition.change)
            return
        moved = msgspec.structs.replace(alarm, state=state, changed_at=transition.at)
        match transition.change:
            case "fired" | "unsuppressed":
                moved = _renew(moved, transition)
            case "upgraded":
                moved = _prove(moved, transition)
            case "resolved":
                moved = msgspec.structs.replace(moved, returned_at=transition.at)
            case "suppressed":
                pass
        self._write(connection, moved, transition.change)

    def _write(self, connection: Connection, alarm: Alarm, change: str) -> None:
        connection.execute(_UPDATE, {"wanted_id": alarm.id, **to_row(alarm)})
        self._tell(connection, alarm, change)

    def _tell(self, connection: Connection, alarm: Alarm, change: str) -> None:
        self._append_feed(connection, "alarm", feed_data(alarm, change))
        if self._follow is not None:
            self._follow(connection, alarm, change)


def _raise(connection: Connection, transition: Transition, state: AlarmState) -> Alarm:
    alarm = Alarm(
        id=0,
        alert=transition.alert,
        asset=transition.asset,
        severity=transition.severity,
        state=state,
        raised_at=transition.at,
        observed_at=transition.observed_at,
        changed_at=transition.at,
        annotations=transition.annotations,
    )
    alarm = _prove(alarm, transition)
    result = connection.execute(_INSERT, to_row(alarm))
    alarm_id = result.inserted_primary_key[0]  # type: ignore[index]  # an insert has one
    return msgspec.structs.replace(alarm, id=alarm_id)


def _renew(alarm: Alarm, transition: Transition) -> Alarm:
    """Raise an open alarm again: who saw it before has not seen this."""
    return msgspec.structs.replace(
        _prove(alarm, transition),
        raised_at=transition.at,
        observed_at=transition.observed_at,
        acknowledged_at=None,
        acknowledged_by=None,
        note=None,
        returned_at=None,
    )


def _prove(alarm: Alarm, transition: Transition) -> Alarm:
    return msgspec.structs.replace(
        alarm,
        evidence=transition.evidence,
        late=transition.late,
        stale=transition.stale,
        values=dict(transition.values),
    )


def _find_open(connection: Connection, asset: str, alert: str) -> Alarm | None:
    row = connection.execute(_OPEN, {"wanted_alert": alert, "wanted_asset": asset}).first()
    return None if row is None else to_alarm(row)


def _get(connection: Connection, alarm_id: int, scope: Scope) -> Alarm | None:
    alarm = tables.alarm
    query = select(alarm).where(alarm.c.id == alarm_id, sees_asset(scope, alarm.c.asset))
    row = connection.execute(query).first()
    return None if row is None else to_alarm(row)
