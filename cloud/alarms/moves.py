"""What becomes of an alarm when something happens to it; pure."""

from typing import Any

from msgspec.structs import replace

from cloud.alarms.alarm_state import HELD, VERBS, Circumstances, Facts, Verb, step
from cloud.model.alarm import Alarm, AlarmState, Severity
from cloud.model.alarm_terms import AlarmTerms
from cloud.model.transition import Transition

REPEATED: tuple[AlarmState, ...] = ("unacknowledged", "return_to_normal_unacknowledged")
"""An emergency in one of these is told again and again."""
_NOT_SHELVED: dict[str, Any] = {
    "shelved_at": None,
    "shelve_ends_at": None,
    "shelved_by": None,
    "shelve_reason": None,
}
_UNSEEN: dict[str, Any] = {
    "acknowledged_at": None,
    "acknowledged_by": None,
    "note": None,
    "repeats": 0,
}


def follow(
    alarm: Alarm | None, transition: Transition, terms: AlarmTerms, *, out: bool
) -> Alarm | None:
    """Return an alarm after a change of its alert, None when that means nothing.

    Args:
        alarm: the open one; None: there is none, so what is returned is new and has id 0.
        transition: the change.
        terms: how alarms are managed.
        out: the asset is out of service.

    """
    verb = VERBS[transition.change]
    before = alarm or _unraised(transition)
    severity = _severity(before, transition)
    around = Circumstances(severity == "emergency", transition.latching or before.latching, out)
    moved = _moved(before, verb, around, transition.at, severity=severity)
    if moved is None:
        return None
    match transition.change:
        case "fired" | "unsuppressed":
            moved = _prove(moved, transition)
            if moved.state not in HELD:
                moved = replace(
                    moved,
                    raised_at=transition.at,
                    observed_at=transition.observed_at,
                    returned_at=None,
                )
        case "upgraded":
            moved = _prove(moved, transition)
        case "resolved":
            moved = replace(moved, returned_at=transition.at)
        case "suppressed":
            pass
    return _with_deadline(before, moved, transition.at, terms)


def act(alarm: Alarm, verb: Verb, at: int, terms: AlarmTerms) -> Alarm | None:
    """Return an alarm after what a person or a deadline does, None when that means nothing."""
    around = Circumstances(alarm.severity == "emergency", alarm.latching, out=False)
    moved = _moved(alarm, verb, around, at, severity=alarm.severity)
    if moved is None:
        return None
    if verb == "repeat":
        moved = replace(moved, repeats=alarm.repeats + 1, changed_at=alarm.changed_at)
    return _with_deadline(alarm, moved, at, terms)


def asks_anew(before: Alarm | None, after: Alarm) -> bool:
    """Tell whether an alarm asks for an operator who has not been asked for yet."""
    return after.state == "unacknowledged" and (before is None or before.state != after.state)


def is_silent(before: Alarm | None, after: Alarm) -> bool:
    """Tell whether a change happened below a hold: it is noted, and told to nobody."""
    return before is not None and after.state in HELD and before.state == after.state


def _moved(
    alarm: Alarm, verb: Verb, around: Circumstances, at: int, *, severity: Severity
) -> Alarm | None:
    facts = Facts(alarm.active, alarm.suppressed, alarm.latched)
    stepped = step(alarm.state, facts, verb, around)
    if stepped is None:
        return None
    state, facts = stepped
    moved = replace(
        alarm,
        state=state,
        severity=severity,
        changed_at=at,
        active=facts.active,
        suppressed=facts.suppressed,
        latching=around.latching and not around.emergency,
        latched=facts.latched,
    )
    if is_silent(alarm, moved):
        moved = replace(moved, changed_at=alarm.changed_at)
    if asks_anew(alarm, moved):
        moved = replace(moved, **_UNSEEN)  # who saw it before has not seen this
    return moved if state == "shelved" else replace(moved, **_NOT_SHELVED)


def _with_deadline(before: Alarm, moved: Alarm, at: int, terms: AlarmTerms) -> Alarm:
    """Set when the alarm must be dealt with again though nothing happens."""
    due: int | None = None
    if moved.state == "shelved":
        due = moved.shelve_ends_at
    elif moved.severity == "emergency" and moved.state in REPEATED:
        due = before.due_at
        if due is None or due <= at or asks_anew(before, moved):
            due = at + terms.repeat_ms  # after a standstill once, not all that were missed
    return replace(moved, due_at=due)


def _severity(alarm: Alarm, transition: Transition) -> Severity:
    """Return the rule's word; what ends an alert whose rule is gone knows no severity."""
    return transition.severity if transition.change != "resolved" else alarm.severity


def _unraised(transition: Transition) -> Alarm:
    return Alarm(
        id=0,
        alert=transition.alert,
        asset=transition.asset,
        severity=transition.severity,
        state="normal",
        raised_at=transition.at,
        observed_at=transition.observed_at,
        changed_at=transition.at,
        annotations=transition.annotations,
        active=False,
    )


def _prove(alarm: Alarm, transition: Transition) -> Alarm:
    return replace(
        alarm,
        evidence=transition.evidence,
        late=transition.late,
        stale=transition.stale,
        values=dict(transition.values),
        reasons=transition.reasons,
        annotations=transition.annotations or alarm.annotations,
    )
