"""Who is asked next and who is told, when something was refused or did not happen in time."""

from sqlalchemy import Connection

from cloud.incidents import deadlines
from cloud.incidents.book import Book
from cloud.incidents.draft import SYSTEM, Draft
from cloud.incidents.units import Place, asked, candidates, place_of
from cloud.model.incident import Deadline, DeadlineKind, Incident, RescueUnit
from cloud.model.rescue_policy import Case, Policy, RescueRules
from protocols.ids import scheme_of


class Escalation:
    """Asks and tells by the policies; writes into drafts, never by itself."""

    def __init__(self, book: Book, rules: RescueRules) -> None:
        self._book, self._rules = book, rules

    def policy_of(self, incident: Incident, place: Place) -> Policy:
        """Return the policy of an incident."""
        case = Case(
            alert=incident.alert,
            kind=scheme_of(incident.asset),
            source=incident.source,
            district=place.district,
            drill=incident.drill,
        )
        return self._rules.policies.choose(case)

    def ask(
        self,
        connection: Connection,
        draft: Draft,
        place: Place,
        unit: RescueUnit,
        *,
        level: int,
        by: str = SYSTEM,
        at: int | None = None,
        note: str = "",
    ) -> None:
        """Ask a unit: it is the one of the incident from now on, and must accept in time."""
        at = draft.now_ms if at is None else at
        draft.settle("accept")
        if level > draft.incident.level:
            draft.settle("next_level")
        draft.set(
            state="dispatched",
            unit=unit.unit,
            level=level,
            dispatched_at=at,
            accepted_at=None,
            on_the_way_at=None,
            eta_at=None,
        )
        policy = self.policy_of(draft.incident, place)
        draft.add(*deadlines.at_asking(policy, level, at))
        self._book.note_asked(connection, draft, unit, level)
        draft.enter("dispatch", by=by, at=at, unit=unit.unit, note=note)

    def go_on(self, connection: Connection, draft: Draft, place: Place, *, same: bool) -> bool:
        """Ask the next best unit: of the same level first, else of the next one.

        A level at which nobody is left is said and passed; tell whether anybody was asked.
        """
        policy, before = self.policy_of(draft.incident, place), draft.incident.level
        asked_before = asked(connection, draft.incident.id)
        first = before if same else before + 1
        for level in range(first, policy.last_level + 1):
            found = candidates(connection, place, level, self._rules.levels)
            left = [unit for unit, _ in found if unit.unit not in asked_before]
            if left:
                self.ask(connection, draft, place, left[0], level=level)
                return True
            why = "every unit was asked" if found else "no unit is known or on duty"
            draft.nobody(f"level {level}: {why}", level=level)
        if first > policy.last_level:
            draft.nobody(f"no level after {before} is asked without the desk", level=before)
        return False

    def tell(self, draft: Draft, place: Place, kind: DeadlineKind) -> None:
        """Tell everybody whom the policy names for a deadline that passed."""
        policy = self.policy_of(draft.incident, place)
        words = policy.tell.get(kind)
        if words is None:  # the policy tells nobody of it, on purpose
            return
        if kind == "acknowledge" and policy.acknowledge_times > 1:
            words = words[: _times(draft)]
        told = self._rules.levels.told(words, place.parties)
        for one in told:
            draft.enter("tell", to=one[:64], note=f"due_{kind}")
        if not told:
            named = ", ".join(words) or "an empty list"
            draft.nobody(f"nobody to be told of {kind}: {named}")

    def fire_due(self, connection: Connection, incident: Incident, now_ms: int) -> Draft:
        """Fire all deadlines of an incident that are due, the earliest first."""
        draft, place = Draft(incident, now_ms), place_of(connection, incident.asset)
        while positions := deadlines.due(draft.incident, now_ms):
            one = draft.incident.deadlines[positions[0]]
            draft.incident = deadlines.fire(draft.incident, positions[0], now_ms)
            draft.enter(f"due_{one.kind}", at=one.due_at, level=one.level, unit=_unit(draft, one))
            self.tell(draft, place, one.kind)
            if one.kind == "acknowledge":
                self._again(draft, place, one)
            self._act_on(connection, draft, place, one.kind)
        return draft

    def _again(self, draft: Draft, place: Place, one: Deadline) -> None:
        """Let it fall due once more, as long after the last time as that was after the first."""
        policy = self.policy_of(draft.incident, place)
        if _times(draft) < policy.acknowledge_times:
            due_at = one.due_at + policy.acknowledge_s * 1_000
            draft.add(Deadline(kind="acknowledge", level=0, due_at=due_at))

    def _act_on(
        self, connection: Connection, draft: Draft, place: Place, kind: DeadlineKind
    ) -> None:
        incident = draft.incident
        if kind == "accept":
            self.go_on(connection, draft, place, same=True)
        elif kind == "next_level":
            nobody_yet = not asked(connection, incident.id)
            self.go_on(connection, draft, place, same=nobody_yet)
        elif kind == "acknowledge":
            policy = self.policy_of(incident, place)
            if incident.unit is None and policy.unacknowledged_asks:
                self.go_on(connection, draft, place, same=True)


def _times(draft: Draft) -> int:
    """Return how often nobody had taken it in time."""
    fired = [one for one in draft.incident.deadlines if one.fired_at is not None]
    return sum(one.kind == "acknowledge" for one in fired)


def _unit(draft: Draft, one: Deadline) -> str | None:
    return draft.incident.unit if one.kind == "accept" else None
