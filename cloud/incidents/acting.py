"""What people do with a rescue: at the desk, and as the unit that was asked."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, select

from cloud.incidents.book import Book
from cloud.incidents.draft import Draft
from cloud.incidents.escalate import Escalation
from cloud.incidents.steps import (
    OF_UNIT,
    SETS,
    TAKES_NOTE_OF,
    check_act,
    lacks,
    moment,
)
from cloud.incidents.units import Asked, asked, candidates, find_unit, place_of
from cloud.model.incident import Act, Incident, IncidentState, RescueUnit, Verb
from cloud.model.incident_tables import incident as table
from cloud.model.principal import BY_CHARS_MAX, Granted
from cloud.model.rescue_policy import RescueRules
from cloud.model.visible import sees_asset
from protocols.errors import RefuseInput

DESK = "incidents.act"
"""Who may this is of the desk, and speaks for any unit."""
TWICE_MS = 60_000
"""The same note by the same person within so long is a request that was sent again."""


class Acting:
    """Carries verbs out inside the caller's transaction."""

    def __init__(self, book: Book, escalation: Escalation, rules: RescueRules) -> None:
        self._book, self._escalation, self._rules = book, escalation, rules
        self._slack_ms = rules.policies.ahead_max_s * 1_000

    def act(
        self,
        connection: Connection,
        incident_id: int,
        verb: Verb,
        act: Act,
        granted: Granted,
        now_ms: int,
    ) -> Draft:
        """Do something; a draft without entries was done already and is not to be saved.

        Raises:
            RefuseInput: see `Incidents.act`.

        """
        incident = self._book.get(connection, incident_id, granted.scope)
        said = _Said(connection, Draft(incident, now_ms), verb, act, granted)
        said.find_unit()
        if self._is_done(said):
            return said.draft
        after = check_act(incident, verb, act)
        said.at = moment(said.bounds(), verb, act.at, now_ms, self._slack_ms)
        _DOES[verb](self, said, after)
        if verb in TAKES_NOTE_OF:
            said.draft.settle("acknowledge")
            if not said.draft.incident.operator:
                said.draft.set(operator=said.by)
        if not said.draft.incident.open and incident.open:
            said.draft.set(ended_at=now_ms)
        return said.draft

    def _is_done(self, said: "_Said") -> bool:
        incident, act = said.draft.incident, said.act
        check = _DONE.get(said.verb)
        if check is not None:
            return check(incident, act, said)
        last = self._book.last_entry(said.connection, incident.id)  # note, tell
        if last is None or said.draft.now_ms - last.recorded_at > TWICE_MS:
            return False
        same = (last.what, last.by, last.to, last.note)
        return same == (said.verb, said.by, act.to, act.note)

    def _plain(self, said: "_Said", after: IncidentState) -> None:
        """Set the state, its time, and what the verb carries."""
        act, name = said.act, SETS.get(said.verb)
        values: dict[str, Any] = {"state": after}
        if name is not None and getattr(said.draft.incident, name) is None:
            values[name] = said.at
        carried: dict[Verb, dict[str, Any]] = {
            "verify": {} if act.people is None else {"people": act.people},
            "release": {"released_people": act.people, "injured": act.injured},
            "call_back": {"satisfaction": act.satisfaction},
            "take": {"operator": said.by},
            "hand_over": {"operator": act.to},
        }
        said.draft.set(**values, **carried.get(said.verb, {}))
        said.enter(note=_told(act))

    def _dispatch(self, said: "_Said", after: IncidentState) -> None:
        del after
        incident, act, connection = said.draft.incident, said.act, said.connection
        place = place_of(connection, incident.asset)
        levels = self._rules.levels
        if act.unit is not None:
            unit = find_unit(connection, act.unit, place, levels)
            if unit is None:
                raise RefuseInput("bad_request", f"unit: no unit {act.unit[:64]!r}")
        else:
            wanted = act.level or incident.level
            unit = _best(candidates(connection, place, wanted, levels), said.asked)
            if unit is None:
                raise RefuseInput("bad_request", f"unit: nobody of level {wanted} is left to ask")
        level = act.level or unit.level
        self._escalation.ask(
            connection, said.draft, place, unit, level=level, by=said.by, at=said.at, note=act.note
        )

    def _answer(self, said: "_Said", after: IncidentState) -> None:
        """Take what a unit says of itself: accept, set out, arrive."""
        draft, act, verb = said.draft, said.act, said.verb
        unit = said.unit_row
        other = unit["unit"] != draft.incident.unit
        ahead = draft.incident.state != "dispatched" and verb != "arrive"
        if (other and ahead) or (verb == "arrive" and draft.incident.state == "arrived"):
            last = self._book.last_entry(said.connection, draft.incident.id)
            if last is None or (last.what, last.unit, last.note) != (verb, said.unit, _told(act)):
                said.enter(note=_told(act))  # somebody else is at work already: told, no more
            return
        if other:
            draft.set(unit=unit["unit"], level=unit["level"], accepted_at=None, on_the_way_at=None)
        incident = draft.incident
        values: dict[str, Any] = {"state": after}
        if verb == "arrive":
            values["arrived_at"] = incident.arrived_at or said.at
        if verb == "set_out":
            values["on_the_way_at"] = incident.on_the_way_at or said.at
        values["accepted_at"] = incident.accepted_at or said.at
        values["responded_at"] = incident.responded_at or said.at
        if act.eta_s is not None:
            values["eta_at"] = said.at + act.eta_s * 1_000
        draft.set(**values)
        said.enter(note=_told(act))

    def _refuse(self, said: "_Said", after: IncidentState) -> None:
        draft, unit = said.draft, said.unit_row
        self._book.note_refused(said.connection, draft, unit["unit"])
        said.enter(note=said.act.note)
        if unit["unit"] != draft.incident.unit:
            return  # another one is at work already
        draft.set(state=after, unit=None, accepted_at=None, on_the_way_at=None, eta_at=None)
        place = place_of(said.connection, draft.incident.asset)
        self._escalation.go_on(said.connection, draft, place, same=True)

    def _release(self, said: "_Said", after: IncidentState) -> None:
        if said.unit is not None and said.unit in said.asked:
            said.draft.set(unit=said.unit, level=said.asked[said.unit]["level"])
        self._plain(said, after)

    def _close(self, said: "_Said", after: IncidentState) -> None:
        if said.act.cause is not None:
            self._set_cause(said)
        missing = lacks(said.draft.incident, self._rules.policies.close_needs)
        if missing:
            raise RefuseInput("wrong_state", f"before it is closed: {', '.join(missing)}")
        self._tell_story(said)
        self._plain(said, after)

    def _file_cause(self, said: "_Said", after: IncidentState) -> None:
        self._set_cause(said)
        self._tell_story(said)
        said.draft.set(state=after)
        said.enter(note=f"{said.act.cause}: {said.act.note}" if said.act.note else said.act.cause)

    def _merge(self, said: "_Said", after: IncidentState) -> None:
        incident, into = said.draft.incident, said.act.into or 0  # it was checked to be there
        if into == incident.id:
            raise RefuseInput("bad_request", "into: expected another incident")
        target = self._book.get(said.connection, into, said.granted.scope)
        if not target.open or target.drill != incident.drill:
            raise RefuseInput("bad_request", f"into: incident {into} has ended, or is a drill")
        said.draft.set(state=after, merged_into=into)
        said.enter(note=said.act.note or target.number)
        joined = Draft(target, said.draft.now_ms)
        joined.enter("joined", by=said.by, note=f"incident {incident.number}: {said.act.note}")
        self._book.save(said.connection, joined)

    def _set_cause(self, said: "_Said") -> None:
        cause = said.act.cause or ""
        if not self._rules.causes.knows(cause):
            known = ", ".join(one.id for one in self._rules.causes.cause)
            raise RefuseInput("bad_request", f"cause: expected one of {known}, found {cause[:32]}")
        said.draft.set(cause=cause)

    def _tell_story(self, said: "_Said") -> None:
        if said.act.note:
            said.draft.set(narrative=said.act.note)


class _Said:
    """One verb as somebody says it, and for which unit."""

    at: int

    def __init__(
        self, connection: Connection, draft: Draft, verb: Verb, act: Act, granted: Granted
    ) -> None:
        self.connection, self.draft, self.verb, self.act = connection, draft, verb, act
        self.granted, self.by = granted, granted.by[:BY_CHARS_MAX]
        self.unit: str | None = None
        self.asked: Asked = {}

    @property
    def unit_row(self) -> Mapping[str, Any]:
        """Return what is known of the unit that speaks, which `find_unit` found."""
        row: Mapping[str, Any] = self.asked[self.unit or ""]
        return row

    def bounds(self) -> Incident:
        """Return the incident with the times of the unit that speaks, as far as they are known."""
        incident = self.draft.incident
        if self.unit is None or self.unit == incident.unit or self.unit not in self.asked:
            return incident
        asked_at = self.asked[self.unit]["asked_at"]
        return replace(incident, dispatched_at=asked_at, accepted_at=None, on_the_way_at=None)

    def enter(self, note: str | None = "") -> None:
        """Add the verb to the record."""
        unit = self.draft.incident.unit if self.unit is None else self.unit
        level = self.asked[unit]["level"] if unit and unit in self.asked else None
        self.draft.enter(
            self.verb,
            by=self.by,
            at=self.at,
            level=level,
            unit=unit,
            to=self.act.to,
            note=note or "",
        )

    def find_unit(self) -> None:
        """Learn who was asked, and which of them speaks; RefuseInput `forbidden`, `bad_request`."""
        if self.verb not in (*OF_UNIT, "release", "note", "dispatch"):
            return
        self.asked = asked(self.connection, self.draft.incident.id)
        if self.verb == "dispatch":
            return
        if self._is_of_the_desk():
            self._of_any_unit()
        else:
            self._of_own_unit()
        if self.has_refused() and self.verb not in ("refuse", "note"):
            raise RefuseInput("wrong_state", f"{self.unit} has refused; the desk may ask it again")

    def has_refused(self) -> bool:
        """Tell whether the unit that speaks said that it cannot come."""
        row = self.asked.get(self.unit or "")
        return row is not None and row["refused_at"] is not None

    def _of_any_unit(self) -> None:
        unit = self.act.unit or self.draft.incident.unit
        if self.verb in OF_UNIT or self.act.unit is not None:
            if unit is None and self.draft.incident.open:
                raise RefuseInput("wrong_state", "nobody is asked at present: dispatch somebody")
            if unit is not None and unit not in self.asked:
                known = ", ".join(self.asked) or "nobody"
                raise RefuseInput("bad_request", f"unit: expected one that was asked: {known}")
        self.unit = unit

    def _of_own_unit(self) -> None:
        own, wanted = self.granted.principal.organisation, self.act.unit
        mine = [
            row
            for row in self.asked.values()
            if (own and row["organisation"] == own and wanted in (None, row["unit"]))
            or (self.granted.principal.kind == "link" and wanted == row["unit"])
        ]
        if not mine and self.verb == "note" and wanted is None:
            return
        if not mine:
            raise RefuseInput("forbidden", "only the unit that was asked says so, or the desk")
        mine.sort(key=lambda row: (row["unit"] == self.draft.incident.unit, row["asked_at"]))
        self.unit = mine[-1]["unit"]

    def _is_of_the_desk(self) -> bool:
        scope = self.granted.principal.scope(DESK)
        if scope.everything or not scope:
            return scope.everything
        query = select(table.c.id).where(table.c.id == self.draft.incident.id)
        here = query.where(sees_asset(scope, table.c.asset))
        return self.connection.execute(here).first() is not None


def _told(act: Act) -> str:
    """Return the note, with the figures that an entry has no column for."""
    figures = {
        "people": act.people,
        "injured": act.injured,
        "satisfaction": act.satisfaction,
        "eta_s": act.eta_s,
    }
    told = ", ".join(f"{name} {value}" for name, value in figures.items() if value is not None)
    return ": ".join(part for part in (told, act.note) if part)


def _best(found: list[tuple[RescueUnit, float | None]], before: Asked) -> RescueUnit | None:
    left = [unit for unit, _ in found if unit.unit not in before]
    return left[0] if left else None


_DOES: Mapping[Verb, Callable[[Acting, _Said, IncidentState], None]] = {
    **dict.fromkeys(
        ("verify", "call_back", "false_alarm", "cancel", "take", "hand_over", "note", "tell"),
        Acting._plain,  # noqa: SLF001 - the table of the class above
    ),
    **dict.fromkeys(("accept", "set_out", "arrive"), Acting._answer),  # noqa: SLF001
    "dispatch": Acting._dispatch,  # noqa: SLF001
    "refuse": Acting._refuse,  # noqa: SLF001
    "release": Acting._release,  # noqa: SLF001
    "close": Acting._close,  # noqa: SLF001
    "file_cause": Acting._file_cause,  # noqa: SLF001
    "merge": Acting._merge,  # noqa: SLF001
}


def _same(value: Any, wanted: Any) -> bool:
    return wanted is None or value == wanted


def _dispatched(one: Incident, act: Act, _said: _Said) -> bool:
    at_work = one.state in ("dispatched", "accepted", "on_the_way") and one.unit is not None
    return at_work and _same(one.unit, act.unit) and _same(one.level, act.level)


def _answered(time: str) -> Callable[[Incident, Act, _Said], bool]:
    def check(one: Incident, act: Act, said: _Said) -> bool:
        later = act.eta_s is not None and said.verb != "arrive"
        return said.unit == one.unit and getattr(one, time) is not None and not later

    return check


def _arrived(one: Incident, _act: Act, said: _Said) -> bool:
    return one.state in ("arrived", "released") and said.unit == one.unit


def _refused(_one: Incident, _act: Act, said: _Said) -> bool:
    return said.has_refused()


def _ended(state: IncidentState) -> Callable[[Incident, Act, _Said], bool]:
    return lambda one, act, _said: one.state == state and _same(one.merged_into, act.into)


_DONE: Mapping[Verb, Callable[[Incident, Act, _Said], bool]] = {
    "verify": lambda one, act, _: one.verified_at is not None and _same(one.people, act.people),
    "dispatch": _dispatched,
    "accept": _answered("accepted_at"),
    "set_out": _answered("on_the_way_at"),
    "arrive": _arrived,
    "refuse": _refused,
    "release": lambda one, act, _: (
        one.state in ("released", "closed")
        and _same(one.released_people, act.people)
        and _same(one.injured, act.injured)
    ),
    "call_back": lambda one, act, _: (
        one.called_back_at is not None and _same(one.satisfaction, act.satisfaction)
    ),
    "close": _ended("closed"),
    "false_alarm": _ended("false_alarm"),
    "cancel": _ended("cancelled"),
    "merge": _ended("merged"),
    "take": lambda one, _, said: one.operator == said.by,
    "hand_over": lambda one, act, _: one.operator == act.to,
    "file_cause": lambda one, act, _: one.cause == act.cause and act.note in ("", one.narrative),
}
"""By verb: whether it was done already, so that a request sent again changes nothing."""
