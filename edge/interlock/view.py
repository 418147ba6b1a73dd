"""What the page of the gates shows of a filling place, in the worker's words. Pure."""

from typing import Literal

from msgspec import Struct

from edge.interlock.base import Judged
from edge.interlock.state import OPEN, State
from edge.interlock.words import WordBook, Words
from edge.settings import Gate as GateSettings
from protocols.cylinders.base import Reason
from protocols.cylinders.book import Check, ReasonRule, RuleBook

Show = Literal["idle", "fill", "do_not_fill", "cannot_decide", "settling", "done", "blocked"]


class Line(Struct, frozen=True, kw_only=True):
    """A reason, a question or a block, in both languages."""

    id: str
    title: str
    title_zh: str
    do: str = ""
    do_zh: str = ""
    found: str = ""
    decision: str = ""
    answer: bool | None = None


class View(Struct, frozen=True, kw_only=True):
    """One place."""

    id: str
    gas: str
    show: Show
    released: bool
    code: str = ""
    due_on: str = ""
    life_ends_on: str = ""
    reasons: tuple[Line, ...] = ()
    checks: tuple[Line, ...] = ()
    """Questions that may be answered now, with the answers so far; none where no answer helps."""
    blocked: Line | None = None
    operator: str = ""
    people: tuple[tuple[str, str, bool], ...] = ()
    """Id, name, and whether a number is asked of him when he takes a decision."""
    may_overrule: tuple[str, ...] = ()
    """Ids of those whom the rules let take this decision."""
    may_clear: tuple[str, ...] = ()
    overruled_by: str = ""
    kg: float | None = None
    at_rest: bool = False
    weighs: bool = True
    before_kg: float | None = None
    after_kg: float | None = None
    limit_kg: float | None = None
    why: str = ""
    """What ended the last filling, or what the output says."""


def view(settings: GateSettings, state: State, book: RuleBook, words: WordBook) -> View:
    """Tell what is to be seen of a place."""
    judged, opening = state.judged, state.opening
    rests = opening.judged if opening is not None else judged
    mass = state.mass
    return View(
        id=settings.id,
        gas=" + ".join(settings.components) or settings.gas,
        show=_show(state),
        released=state.phase in OPEN,
        code="" if rests is None else rests.code,
        due_on=_day(rests.verdict.due_on) if rests is not None else "",
        life_ends_on=_day(rests.verdict.life_ends_on) if rests is not None else "",
        reasons=() if judged is None else _reasons(judged, book, words),
        checks=_checks(state, book),
        blocked=_blocked(state, words),
        operator=next((one.name for one in settings.people if one.id == state.operator), ""),
        people=tuple((one.id, one.name, one.pin is not None) for one in settings.people),
        may_overrule=() if judged is None else _may_overrule(settings, state, judged),
        may_clear=tuple(one.id for one in settings.people if one.role != "operator"),
        overruled_by="" if state.overruled is None else state.overruled.name,
        kg=mass.kg if mass.online else None,
        at_rest=mass.in_motion is False,
        weighs=settings.scale is not None,
        before_kg=state.rest_kg if opening is None else opening.before_kg,
        after_kg=state.after_kg,
        limit_kg=None if rests is None else rests.gross_limit_kg,
    )


def _show(state: State) -> Show:
    if state.phase == "blocked":
        return "blocked"
    if state.phase in OPEN:
        return "fill"
    if state.phase == "settling":
        return "settling"
    if state.phase == "done":
        return "done"
    if state.judged is None:
        return "idle"
    decision = state.judged.verdict.decision
    return "cannot_decide" if decision == "fill" else decision  # not green before the gun is open


def _day(day: object) -> str:
    return "" if day is None else str(day)


def _reasons(judged: Judged, book: RuleBook, words: WordBook) -> tuple[Line, ...]:
    known = {one.id: one for one in words.troubles}
    return tuple(_reason(one, book, known) for one in _joined(judged.verdict.reasons))


def _joined(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """Tell of ten questions that are open in one line: they stand below, each with its buttons."""
    seen: dict[str, Reason] = {}
    for one in reasons:
        seen.setdefault(
            one.reason if one.reason == "check_open" else f"{one.reason} {one.found}", one
        )
    return tuple(seen.values())


def _reason(reason: Reason, book: RuleBook, known: dict[str, Words]) -> Line:
    found: ReasonRule | Words | None = known.get(reason.reason)
    told = reason.found
    if found is None:
        found = book.reason[reason.reason][1]
        check = next((one for one in book.checks if one.id == told), None)
        told = "" if reason.reason == "check_open" else told if check is None else check.title_zh
    return Line(
        id=reason.reason,
        title=found.title,
        title_zh=found.title_zh,
        do=found.do,
        do_zh=found.do_zh,
        found=told,
        decision=reason.decision,
    )


def _checks(state: State, book: RuleBook) -> tuple[Line, ...]:
    if state.judged is None:
        return ()
    asked = {"judged": state.judged.checks, "done": state.checks_after}.get(state.phase, ())
    forbids = {one.reason for one in state.judged.verdict.reasons if one.decision == "do_not_fill"}
    if state.phase == "judged" and forbids - {"check_failed"}:
        return ()
    answers, rules = dict(state.answers), {one.id: one for one in book.checks}
    return tuple(_check(rules[one], answers.get(one)) for one in asked if one in rules)


def _check(rule: Check, answer: bool | None) -> Line:  # a value, no switch
    return Line(
        id=rule.id,
        title=rule.title,
        title_zh=rule.title_zh,
        do=rule.do,
        do_zh=rule.do_zh,
        answer=answer,
    )


def _blocked(state: State, words: WordBook) -> Line | None:
    found = next((one for one in words.blocked if one.id == state.blocked), None)
    if found is None or state.phase != "blocked":
        return None
    return Line(
        id=found.id, title=found.title, title_zh=found.title_zh, do=found.do, do_zh=found.do_zh
    )


def _may_overrule(settings: GateSettings, state: State, judged: Judged) -> tuple[str, ...]:
    """Name those who may decide against all reasons; an open check is answered, not overruled."""
    if state.phase != "judged":
        return ()
    return tuple(one.id for one in settings.people if one.role in judged.may_overrule)
