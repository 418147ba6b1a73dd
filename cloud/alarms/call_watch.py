"""Test calls of the cars' alarm devices (EN 81-28): when each was seen, and which are missing."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from sqlalchemy import Connection, and_, case, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.model.alarm_tables import test_call
from cloud.model.alarm_terms import AlarmTerms
from cloud.model.database import Database
from cloud.model.logged import LoggedBatch
from cloud.model.tables import asset
from cloud.model.transition import Change, Transition
from protocols.clock import Clock
from protocols.ids import scheme_of

NAME = "test_calls"
"""Of the follower that notes them."""
POINT, KIND = "message_code", "elevator"
ATTRIBUTE = "test_calls"
"""Of a registered lift: `true` when its device is known to test itself."""
PAGE = 200
REGISTERED_MS = 60_000
"""So often one looks which lifts were registered as testing themselves."""
APART_MS = 300_000
"""A code that is seen again within so long never went: one that stands for ever is one call."""
NEVER = 2**62
"""Due, of a lift of which no call is expected any more."""
_call = test_call.c


def mark(terms: AlarmTerms) -> bytes:
    """Return what stands in each batch that may hold a test call."""
    return f'"{terms.test_call.code}"'.encode()


def keep(terms: AlarmTerms) -> Callable[[Connection, Sequence[LoggedBatch]], None]:
    """Return what notes the test calls of batches; the same ones again change nothing."""

    def note(connection: Connection, batches: Sequence[LoggedBatch]) -> None:
        stood: dict[str, set[int]] = {}
        for batch in batches:
            for name, at in _calls(batch, terms.test_call.code):
                stood.setdefault(name, set()).add(at)
        for name, moments in sorted(stood.items()):
            for began, until in runs(sorted(moments)):
                _note(connection, name, began, until, terms.test_call_ms)

    return note


def runs(moments: Sequence[int]) -> list[tuple[int, int]]:
    """Join moments in order to calls, each (first, last); snapshots repeat a code that stands."""
    found: list[tuple[int, int]] = []
    for at in moments:
        if found and at - found[-1][1] <= APART_MS:
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
    return found


def _calls(batch: LoggedBatch, code: str) -> Iterator[tuple[str, int]]:
    """Yield (asset, when it was seen); a clock that runs ahead is placed at the receipt."""
    for reading in batch.readings():
        column = reading.columns().get(POINT)
        if column is None or scheme_of(reading.asset) != KIND:
            continue
        for at, value in zip(reading.at, column, strict=True):
            if isinstance(value, list) and code in value:
                when = reading.received_at if reading.time_unknown else at
                yield reading.asset, min(when, reading.received_at)


def _note(connection: Connection, name: str, began: int, until: int, term_ms: int) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = {"seen_at": began, "still_at": until, "due_at": began + term_ms}
    statement = dialect.insert(test_call).values(asset=name, watched_at=began, missing=False, **new)
    another = or_(_call.still_at.is_(None), _call.still_at < began - APART_MS)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["asset"],
            set_={
                "seen_at": case((another, began), else_=_call.seen_at),
                "still_at": until,
                "due_at": case((another, began + term_ms), else_=_call.due_at),
            },
            where=or_(_call.still_at.is_(None), _call.still_at < until),
        )
    )


class CallWatch:
    """Raises an alarm for a lift whose test call is missing, and ends it when one came."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        terms: AlarmTerms,
        *,
        apply: Callable[[Connection, Sequence[Transition]], None],
        on_commit: Callable[[], None],
    ) -> None:
        """Build it.

        Args:
            database: the state.
            clock: of the service.
            terms: when one is missing.
            apply: the alarm desk's.
            on_commit: called after a transaction with changes of alarms.

        """
        self._database, self._clock, self._terms = database, clock, terms
        self._apply, self._on_commit = apply, on_commit
        self._registered_ms = -(2**62)

    async def look(self) -> None:
        """Look at all lifts whose word is due, or came after all."""
        now_ms = self._clock.wall_ms()
        if abs(now_ms - self._registered_ms) >= REGISTERED_MS:
            self._registered_ms = now_ms
            await self._look_at_registered(now_ms)
        while await self._database.read(lambda c: self._found(c, now_ms)):
            await self._database.write(lambda c: self._tell(c, now_ms))
            self._on_commit()

    async def _look_at_registered(self, now_ms: int) -> None:
        """Expect calls of lifts that are registered as testing themselves, and of no others."""
        registered, rows = await self._database.read(_read)
        said = {name for name, tests in registered.items() if tests}
        due = dict.fromkeys(said - rows.keys(), now_ms + self._terms.test_call_ms)
        for name, (seen_at, due_at) in rows.items():
            denied = registered.get(name, seen_at is not None) is False
            if denied and due_at < NEVER:
                due[name] = NEVER
            elif name in said and due_at == NEVER:
                due[name] = now_ms + self._terms.test_call_ms
        if due:
            new = due.keys() - rows.keys()
            await self._database.write(lambda c: _expect(c, due, new, now_ms))

    def _found(self, connection: Connection, now_ms: int) -> list[tuple[str, bool]]:
        """Return (asset, whether its call is missing) of those whose word changed."""
        late = _call.due_at <= now_ms
        changed = or_(and_(~_call.missing, late), and_(_call.missing, ~late))
        query = select(_call.asset, late).where(changed).order_by(_call.due_at).limit(PAGE)
        return [(row[0], bool(row[1])) for row in connection.execute(query)]

    def _tell(self, connection: Connection, now_ms: int) -> None:
        found = self._found(connection, now_ms)
        terms = self._terms.test_call
        told: list[Transition] = []
        for name, missing in found:
            change: Change = "fired" if missing else "resolved"
            told.append(
                Transition(
                    asset=name,
                    alert=terms.alert,
                    severity=terms.severity,
                    change=change,
                    at=now_ms,
                    observed_at=now_ms,
                    annotations=terms.texts,
                )
            )
            row = update(test_call).where(_call.asset == name)
            connection.execute(row.values(missing=missing))
        self._apply(connection, told)


def _read(
    connection: Connection,
) -> tuple[dict[str, bool], dict[str, tuple[int | None, int]]]:
    """Read what lifts are registered with, where it is said, and (seen_at, due_at) of each."""
    here = asset.c
    said = here.attributes.like(f'%"{ATTRIBUTE}":true%')
    denied = here.attributes.like(f'%"{ATTRIBUTE}":false%')
    query = select(here.asset_id, said).where(here.kind == KIND, or_(said, denied))
    registered = {row[0]: bool(row[1]) for row in connection.execute(query)}
    known = select(_call.asset, _call.seen_at, _call.due_at)
    return registered, {row[0]: (row[1], row[2]) for row in connection.execute(known)}


def _expect(
    connection: Connection, due: Mapping[str, int], new: Collection[str], now_ms: int
) -> None:
    rows = [
        {"asset": name, "watched_at": now_ms, "due_at": due[name], "missing": False}
        for name in sorted(new)
    ]
    if rows:
        connection.execute(insert(test_call), rows)
    for name in sorted(due.keys() - set(new)):
        connection.execute(update(test_call).where(_call.asset == name).values(due_at=due[name]))
