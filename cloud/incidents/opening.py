"""How a rescue begins: by an alarm, by a call; what comes to one that is open joins it."""

from msgspec.structs import replace
from sqlalchemy import Connection

from cloud.incidents import deadlines
from cloud.incidents.book import Book
from cloud.incidents.draft import SYSTEM, Draft
from cloud.incidents.escalate import Escalation
from cloud.incidents.units import Place, place_of
from cloud.model.alarm import Alarm
from cloud.model.incident import Call, CallOutcome, Incident, Source
from cloud.model.rescue_policy import RescueRules

HELD_BACK = frozenset(("shelved", "suppressed_by_design", "out_of_service"))
"""States of alarms that nobody is to act on."""
BEGINS = frozenset(("fired", "upgraded", "unsuppressed"))


class Opening:
    """Opens and joins inside the caller's transaction."""

    def __init__(self, book: Book, escalation: Escalation, rules: RescueRules) -> None:
        self._book, self._escalation, self._rules = book, escalation, rules

    def follow(self, connection: Connection, alarm: Alarm, change: str, now_ms: int) -> None:
        """Take a change of an alarm; whoever changes alarms has the turn already.

        An alarm that ends is noted and ends no rescue: only people do, who have seen the freed.
        """
        if alarm.alert not in self._rules.opening:
            return
        if change in BEGINS and alarm.state not in HELD_BACK:
            self._alarmed(connection, alarm, change, now_ms)
        elif change == "repeated" and not self._book.has_since(connection, alarm):
            self._alarmed(connection, alarm, change, now_ms)  # what failed when it was raised
        elif change in ("resolved", "acknowledged"):
            found = self._book.open_of(connection, alarm.asset)
            if found is None:
                return
            draft = Draft(found, now_ms)
            if change == "resolved":
                draft.enter("alarm_ended", at=min(alarm.changed_at, now_ms), note=_about(alarm))
            elif not found.operator:
                self._taken(draft, alarm)
            if draft.entries:
                self._book.save(connection, draft)

    def take_call(
        self, connection: Connection, asset_id: str, call: Call, *, by: str, now_ms: int
    ) -> tuple[Incident, CallOutcome]:
        """Open an incident for a call, or join it to the open one.

        A drill never joins what is real: then the outcome is `refused` and nothing was changed.
        """
        found = self._book.open_of(connection, asset_id)
        if found is None and not call.drill:
            found = self._book.merged_of(connection, asset_id)
        if found is not None and found.drill and not call.drill:
            self._end_drill(connection, found, "a real call came", now_ms)
            found = None
        if found is not None and call.drill and not found.drill:
            return found, "refused"
        if found is not None:
            return self._join_call(connection, found, call, by, now_ms), "joined"
        place = place_of(connection, asset_id)
        source: Source = "drill" if call.drill else "call"
        incident = Incident(
            id=0,
            number="",
            asset=asset_id,
            state="detected",
            source=source,
            drill=call.drill,
            people=call.people,
            caller_name=call.caller_name,
            caller_phone=call.caller_phone,
            detected_at=now_ms,
            changed_at=now_ms,
        )
        draft = self._begin(connection, incident, place, now_ms)
        draft.enter("opened", by=by, note=call.note)
        return self._book.save(connection, draft), "opened"

    def _taken(self, draft: Draft, alarm: Alarm) -> None:
        """Whoever acknowledges the alarm has seen the rescue, and works on it."""
        by = alarm.acknowledged_by or SYSTEM
        draft.set(operator=by)
        draft.settle("acknowledge")
        draft.enter("take", by=by, note=_about(alarm))

    def _alarmed(self, connection: Connection, alarm: Alarm, change: str, now_ms: int) -> None:
        found = self._book.open_of(connection, alarm.asset)
        if found is None:
            found = self._book.merged_of(connection, alarm.asset)
        if found is not None and found.drill:
            self._end_drill(connection, found, f"a real alarm came: {_about(alarm)}", now_ms)
            found = None
        if found is not None and found.state == "released" and change != "upgraded":
            self._close_released(connection, found, alarm, now_ms)
            found = None
        if found is not None:
            draft = Draft(found, now_ms)
            if found.alarm is None:
                draft.set(alarm=alarm.id, alert=alarm.alert, trapped_at=alarm.observed_at)
            draft.set(evidence=alarm.evidence or found.evidence)
            draft.enter("joined", at=min(alarm.changed_at, now_ms), note=_about(alarm))
            self._book.save(connection, draft)
            return
        detected_at = min(alarm.changed_at, now_ms)
        incident = Incident(
            id=0,
            number="",
            asset=alarm.asset,
            state="detected",
            source="alarm",
            alarm=alarm.id,
            alert=alarm.alert,
            evidence=alarm.evidence,
            trapped_at=alarm.observed_at,
            detected_at=detected_at,
            changed_at=now_ms,
        )
        place = place_of(connection, alarm.asset)
        draft = self._begin(connection, incident, place, now_ms)
        draft.enter("opened", at=detected_at, note=_about(alarm))
        self._book.save(connection, draft)

    def _begin(
        self, connection: Connection, incident: Incident, place: Place, now_ms: int
    ) -> Draft:
        policy = self._escalation.policy_of(incident, place)
        running = deadlines.at_opening(policy, incident.detected_at)
        return self._book.begin(connection, replace(incident, deadlines=running), place, now_ms)

    def _join_call(
        self, connection: Connection, found: Incident, call: Call, by: str, now_ms: int
    ) -> Incident:
        draft = Draft(found, now_ms)
        draft.set(
            people=found.people if call.people is None else call.people,
            caller_name=call.caller_name or found.caller_name,
            caller_phone=call.caller_phone or found.caller_phone,
        )
        draft.enter("joined", by=by, note=call.note or "call")
        return self._book.save(connection, draft)

    def _end_drill(self, connection: Connection, drill: Incident, why: str, now_ms: int) -> None:
        draft = Draft(drill, now_ms)
        draft.set(state="cancelled", ended_at=now_ms)
        draft.enter("cancel", by=SYSTEM, note=why)
        self._book.save(connection, draft)

    def _close_released(
        self, connection: Connection, freed: Incident, alarm: Alarm, now_ms: int
    ) -> None:
        """End what was released and not closed yet: somebody is trapped anew in the same lift."""
        draft = Draft(freed, now_ms)
        draft.set(state="closed", ended_at=now_ms)
        note = f"a new alarm came: {_about(alarm)}; its cause may still be filed"
        draft.enter("close", by=SYSTEM, note=note)
        self._book.save(connection, draft)


def _about(alarm: Alarm) -> str:
    evidence = f", {alarm.evidence}" if alarm.evidence else ""
    return f"alarm {alarm.id} {alarm.alert}{evidence}"
