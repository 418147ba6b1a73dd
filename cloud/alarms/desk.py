"""The alarm desk: turns changes of alerts into alarms that a person answers."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection

from cloud.alarms import moves, store
from cloud.alarms.alarm_state import Verb
from cloud.alarms.rows import feed_data, to_alarm
from cloud.model.alarm import Alarm, OutOfService
from cloud.model.alarm_terms import AlarmTerms, load_terms
from cloud.model.database import Database, Work, take_turn
from cloud.model.principal import EVERYTHING, Scope
from cloud.model.transition import Transition
from protocols.clock import Clock, iso
from protocols.errors import RefuseInput

T = TypeVar("T")
BY_CHARS_MAX = 64
NOTE_CHARS_MAX = 2_000
SYSTEM = "system"
"""Who did what a deadline does."""
TURN = "alarms"
"""Of all processes one at a time changes alarms and appends to the feed: an alarm is never changed
by two, and no offset becomes visible before a lower one."""
DUE_MAX = 200
"""Deadlines dealt with in one transaction: alarms of lifts wait for its end."""


class AlarmDesk:
    """Alarms in the state database; each change of state is one item of the feed.

    Args:
        database: the state database.
        clock: for the time of what people do.
        append_feed: writes one feed item (event, data) inside a transaction.
        on_commit: called after a transaction of the desk's own that appended to the feed.
        follow: told of each change of an alarm inside its transaction, with the change's word:
            that of the alert, or acknowledged, shelved, unshelved, reset, repeated,
            out_of_service, returned_to_service.
        terms: how alarms are managed; None: as it is shipped.

    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        append_feed: Callable[[Connection, str, str], int],
        on_commit: Callable[[], None],
        follow: Callable[[Connection, Alarm, str], None] | None = None,
        terms: AlarmTerms | None = None,
    ) -> None:
        self._database, self._clock, self._follow = database, clock, follow
        self._append_feed, self._on_commit = append_feed, on_commit
        self.terms = terms or load_terms()

    # --- what alerts do -----------------------------------------------------------------------

    def apply(self, connection: Connection, transitions: Sequence[Transition]) -> None:
        """Carry out changes of alerts, in order, inside the caller's transaction."""
        take_turn(connection, TURN)
        for transition in transitions:
            alarm = store.find_open(connection, transition.asset, transition.alert)
            ordinary = alarm is None and transition.severity != "emergency"
            out = ordinary and store.is_out(connection, transition.asset)
            moved = moves.follow(alarm, transition, self.terms, out=out)
            if moved is not None:
                self._write(connection, alarm, moved, transition.change, transition.at)

    # --- what people do -----------------------------------------------------------------------

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
            before = self._take(connection, alarm_id, scope)
            moved = self._acknowledged(connection, before, by, note)
            if moved is None:
                raise RefuseInput("not_acknowledgeable", f"the alarm is {before.state}")
            return moved

        return await self._do(work, also)

    def acknowledge_in(
        self, connection: Connection, alarm_id: int, by: str, note: str = ""
    ) -> Alarm | None:
        """Acknowledge inside the caller's transaction; None: there is nothing to acknowledge.

        The caller wakes the feed's listeners after its commit.
        """
        take_turn(connection, TURN)
        alarm = store.get(connection, alarm_id)
        return None if alarm is None else self._acknowledged(connection, alarm, by, note)

    async def shelve(
        self,
        alarm_id: int,
        *,
        until_ms: int,
        reason: str,
        by: str,
        scope: Scope = EVERYTHING,
        also: Sequence[Work] = (),
    ) -> Alarm:
        """Put an alarm aside until a moment; it comes back by itself.

        Raises:
            RefuseInput: `not_found`; `bad_request`: no reason, or a moment that is past or later
                than its severity allows; `never_held`: an emergency; `shelved_too_often`;
                `wrong_state`.

        """

        def work(connection: Connection) -> Alarm:
            alarm, now_ms = self._take(connection, alarm_id, scope), self._clock.wall_ms()
            self._check_shelving(alarm, until_ms, reason, now_ms)
            shelved = replace(
                alarm,
                shelved_at=now_ms,
                shelve_ends_at=until_ms,
                shelved_by=by[:BY_CHARS_MAX],
                shelve_reason=reason[:NOTE_CHARS_MAX],
                shelvings=alarm.shelvings + 1,
            )
            return self._act(connection, alarm, shelved, "shelve", "shelved")

        return await self._do(work, also)

    async def unshelve(
        self, alarm_id: int, *, scope: Scope = EVERYTHING, also: Sequence[Work] = ()
    ) -> Alarm:
        """Take an alarm back before its time; RefuseInput `not_found`, `wrong_state`."""

        def work(connection: Connection) -> Alarm:
            alarm = self._take(connection, alarm_id, scope)
            return self._act(connection, alarm, alarm, "unshelve", "unshelved")

        return await self._do(work, also)

    async def reset(
        self, alarm_id: int, *, scope: Scope = EVERYTHING, also: Sequence[Work] = ()
    ) -> Alarm:
        """End the latch of an alarm whose process is back; RefuseInput as for `unshelve`."""

        def work(connection: Connection) -> Alarm:
            alarm = self._take(connection, alarm_id, scope)
            return self._act(connection, alarm, alarm, "reset", "reset")

        return await self._do(work, also)

    async def take_out_of_service(
        self,
        asset: str,
        *,
        reason: str,
        by: str,
        return_expected_at: int | None = None,
        also: Sequence[Work] = (),
    ) -> OutOfService:
        """Let no alarm of an asset but emergencies ask for anybody; again: say something new.

        Raises:
            RefuseInput: `bad_request`: no reason, or an expected return that is past.

        """
        now_ms = self._clock.wall_ms()
        if not reason.strip():
            raise RefuseInput("bad_request", "reason: expected why, found nothing")
        if return_expected_at is not None and return_expected_at <= now_ms:
            found = iso(return_expected_at)
            raise RefuseInput("bad_request", f"until: expected a time to come, found {found}")
        word = OutOfService(
            asset=asset,
            began_at=now_ms,
            began_by=by[:BY_CHARS_MAX],
            reason=reason.strip()[:NOTE_CHARS_MAX],
            return_expected_at=return_expected_at,
        )

        def work(connection: Connection) -> OutOfService:
            take_turn(connection, TURN)
            store.begin_out(connection, word)
            self._all_of(connection, asset, "take_out_of_service", "out_of_service", now_ms)
            return store.out_now(connection, EVERYTHING, asset)[0]

        return await self._do(work, also)

    async def return_to_service(self, asset: str, *, by: str, also: Sequence[Work] = ()) -> None:
        """Let the alarms of an asset ask again; RefuseInput `not_found`: it was not out."""
        now_ms = self._clock.wall_ms()

        def work(connection: Connection) -> None:
            take_turn(connection, TURN)
            if not store.end_out(connection, asset, by[:BY_CHARS_MAX], now_ms):
                raise RefuseInput("not_found", f"{asset} is not out of service")
            self._all_of(connection, asset, "return_to_service", "returned_to_service", now_ms)

        await self._do(work, also)

    # --- what deadlines do --------------------------------------------------------------------

    def fire_due(self, connection: Connection) -> int:
        """Do what fell due, in the caller's transaction; return how many there were."""
        now_ms = self._clock.wall_ms()
        take_turn(connection, TURN)
        found = store.due(connection, now_ms, DUE_MAX)
        for alarm in found:
            shelved = alarm.state == "shelved"
            verb: Verb = "unshelve" if shelved else "repeat"
            moved = moves.act(alarm, verb, now_ms, self.terms)
            change = "unshelved" if shelved else "repeated"
            if moved is None:  # nothing is due of an alarm in this state
                store.write(connection, replace(alarm, due_at=None))
            else:
                self._write(connection, alarm, moved, change, now_ms)
        return len(found)

    async def fire(self) -> int:
        """Do some of what fell due; return how many there were."""
        found = await self._database.write(self.fire_due)
        if found:
            self._on_commit()
        return found

    async def next_due(self) -> int | None:
        """Return the next deadline, None when there is none."""
        return await self._database.read(store.next_due)

    # --- what is asked ------------------------------------------------------------------------

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
        query = store.matching(scope, states, asset, before_id, limit)
        return await self._database.read(
            lambda connection: [to_alarm(row) for row in connection.execute(query)]
        )

    async def get(self, alarm_id: int, *, scope: Scope = EVERYTHING) -> Alarm | None:
        """Return one alarm that the scope admits."""
        return await self._database.read(lambda connection: store.get(connection, alarm_id, scope))

    async def out_of_service(
        self, *, scope: Scope = EVERYTHING, asset: str | None = None
    ) -> list[OutOfService]:
        """Return what is out of service, or whether that asset is; the longest first."""
        return await self._database.read(lambda c: store.out_now(c, scope, asset))

    # --- inside -------------------------------------------------------------------------------

    async def _do(self, work: Callable[[Connection], T], also: Sequence[Work]) -> T:
        done = await self._database.write(work, *also)
        self._on_commit()
        return done

    def _take(self, connection: Connection, alarm_id: int, scope: Scope) -> Alarm:
        take_turn(connection, TURN)
        alarm = store.get(connection, alarm_id, scope)
        if alarm is None:
            raise RefuseInput("not_found", f"no alarm {alarm_id}")
        return alarm

    def _acknowledged(
        self, connection: Connection, alarm: Alarm, by: str, note: str
    ) -> Alarm | None:
        now_ms = self._clock.wall_ms()
        moved = moves.act(alarm, "acknowledge", now_ms, self.terms)
        if moved is None:
            return None
        moved = replace(
            moved,
            acknowledged_at=now_ms,
            acknowledged_by=by[:BY_CHARS_MAX],
            note=note[:NOTE_CHARS_MAX] or None,
        )
        self._write(connection, alarm, moved, "acknowledged", now_ms)
        store.note_answer(connection, alarm.id, now_ms)
        return moved

    def _check_shelving(self, alarm: Alarm, until_ms: int, reason: str, now_ms: int) -> None:
        terms = self.terms.shelf(alarm.severity)
        if terms is None or alarm.severity == "emergency":
            raise RefuseInput("never_held", "an emergency is never shelved")
        if not reason.strip():
            raise RefuseInput("bad_request", "reason: expected why, found nothing")
        most_ms = now_ms + terms.minutes_max * 60_000
        if not now_ms < until_ms <= most_ms:
            expected = f"a moment to come, {iso(most_ms)} at the latest"
            raise RefuseInput("bad_request", f"until: expected {expected}, found {iso(until_ms)}")
        if alarm.shelvings >= terms.times_max:
            raise RefuseInput(
                "shelved_too_often",
                f"it was shelved {alarm.shelvings} times since it was last normal, as often as "
                f"one of severity {alarm.severity} may be",
            )

    def _act(
        self, connection: Connection, before: Alarm, alarm: Alarm, verb: Verb, change: str
    ) -> Alarm:
        now_ms = self._clock.wall_ms()
        moved = moves.act(alarm, verb, now_ms, self.terms)
        if moved is None:
            raise RefuseInput("wrong_state", f"{verb}: the alarm is {before.state}")
        self._write(connection, before, moved, change, now_ms)
        return moved

    def _all_of(
        self, connection: Connection, asset: str, verb: Verb, change: str, now_ms: int
    ) -> None:
        for alarm in store.open_of(connection, asset):
            moved = moves.act(alarm, verb, now_ms, self.terms)
            if moved is not None:
                self._write(connection, alarm, moved, change, now_ms)

    def _write(
        self, connection: Connection, before: Alarm | None, alarm: Alarm, change: str, at: int
    ) -> None:
        if before is None:
            alarm = replace(alarm, id=store.add(connection, alarm))
        else:
            store.write(connection, alarm)
        if moves.asks_anew(before, alarm):
            store.note_raise(connection, alarm, at)
        if moves.is_silent(before, alarm):
            return
        self._append_feed(connection, "alarm", feed_data(alarm, change))
        if self._follow is not None:
            self._follow(connection, alarm, change)
