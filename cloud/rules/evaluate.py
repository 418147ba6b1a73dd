"""The life of an alert as a pure function: (rule, state, sight) -> (state, changes).

A proof is idle, pending (true, but not long enough yet) or firing. An alert fires with its first
firing proof, is upgraded by a stronger one, and ends when no proof fires or is still pending.
Deadlines are absolute; who calls this with `Sight.timer` vouches that the log has been read up to
`Sight.at`, so that the same log gives the same alerts however often the process was killed.
"""

from typing import Literal

import msgspec

from cloud.model.transition import Change
from cloud.rules.rule import Rule

NEVER = 2**62
"""A deadline that no time reaches: something else must happen first."""
LATE_SETTLE_MS = 500
"""A late emergency waits so long for newer data of the same delivery that show that it ended."""

Phase = Literal["idle", "pending", "firing"]


class ProofState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where one proof of an alert stands."""

    phase: Phase = "idle"
    since: int = 0
    """Since when it has been true, as observed."""
    due: int = 0
    """When a pending one may fire."""
    late: bool = False
    """It became true in history that arrived late, and nothing live confirmed it."""
    unsure: bool = False
    """What was seen last could not confirm it, for want of data or of the device's voice."""


class AlertState(msgspec.Struct, frozen=True, array_like=True):
    """Where an alert of one asset stands."""

    proofs: tuple[ProofState, ...]
    firing: bool = False
    evidence: int = -1
    """Index of the strongest proof since it fires."""
    ends_at: int | None = None
    """No proof holds any more; it ends then, for `keep_firing_for`."""
    suppressed: bool = False
    """Held back by design while it fires."""

    @property
    def idle(self) -> bool:
        """Nothing to remember."""
        return not self.firing and all(proof.phase == "idle" for proof in self.proofs)

    @property
    def next_due(self) -> int:
        """The next deadline, NEVER when there is none."""
        dues = [proof.due for proof in self.proofs if proof.phase == "pending"]
        return min(dues if self.ends_at is None else [*dues, self.ends_at], default=NEVER)


class Sight(msgspec.Struct, frozen=True, gc=False):
    """What is known of an asset at one moment, judged for one rule; tuples are by proof."""

    at: int
    """The moment, ms since 1970: when data were observed, or a deadline."""
    truths: tuple[bool | None, ...]
    """None: cannot be told."""
    suppressed: tuple[bool | None, ...]
    """What `suppress_when` says."""
    known_at: tuple[int, ...]
    """When the newest of the points that the proof reads was observed. Data that arrive out of
    order complete a state that cannot be older than its newest part."""
    received_at: int = 0
    """When the data reached the cloud: tells live data from late history."""
    heard: bool = True
    """The device is being heard; without, nothing confirms the last known state."""
    news: bool = True
    """The device itself was heard: what is known was confirmed now."""
    timer: bool = False
    """A deadline fell; nothing new was observed."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """One change of an alert."""

    change: Change
    proof: int
    since: int
    late: bool = False
    stale: bool = False


IDLE = ProofState()


def fresh(rule: Rule) -> AlertState:
    """Return the state of an alert that nothing is known of."""
    return AlertState((IDLE,) * len(rule.proofs))


def evaluate(rule: Rule, state: AlertState, sight: Sight) -> tuple[AlertState, list[Outcome]]:
    """Move one alert on; pure."""
    changes: list[Outcome] = []
    if state.ends_at is not None and state.ends_at <= sight.at:
        changes.append(Outcome("resolved", state.evidence, state.ends_at))
        state = AlertState(state.proofs)
    proofs, fired = list(state.proofs), []
    for index in range(len(proofs)):
        proofs[index], outcome = _step(rule, index, proofs[index], sight)
        if outcome is not None:
            fired.append(outcome)
    changes += _rise(rule, state, fired)
    if not (state.firing or fired):
        return AlertState(tuple(proofs)), changes
    evidence = max([state.evidence, *(one.proof for one in fired)])
    moved = AlertState(tuple(proofs), True, evidence, state.ends_at, state.suppressed)
    moved = _hold_back(rule, moved, sight, changes)
    return _end(rule, moved, sight, changes), changes


def _step(
    rule: Rule, index: int, state: ProofState, sight: Sight
) -> tuple[ProofState, Outcome | None]:
    """Move one proof on; an outcome says that it fired."""
    truth, outcome = sight.truths[index], None
    at = max(sight.at, sight.known_at[index])
    if _has_ripened(rule, state, at) and not sight.timer:
        outcome = Outcome("fired", index, state.since, stale=state.unsure)
        state = _firing(state)
    if state.phase == "firing":
        return (IDLE if truth is False else state), outcome
    if sight.suppressed[index] or truth is False:
        return IDLE, None
    if state.phase == "idle":
        if truth is None or sight.timer:
            return IDLE, None
        state = _begin(rule, index, at, sight.received_at)
    else:
        state = _confirm(rule, index, state, at, sight)
    return _ripen(rule, index, state, at)


def _has_ripened(rule: Rule, state: ProofState, at: int) -> bool:
    """Tell whether a pending proof held until its deadline, before what is seen now."""
    if state.phase != "pending" or state.late or state.due > at:
        return False
    return rule.emergency or not state.unsure


def _begin(rule: Rule, index: int, at: int, received_at: int) -> ProofState:
    due = at + rule.proofs[index].for_ms
    if received_at - at <= rule.late_after_ms:
        return ProofState("pending", at, due)
    due = max(due, received_at + LATE_SETTLE_MS) if rule.emergency else NEVER
    return ProofState("pending", at, due, late=True)


def _confirm(rule: Rule, index: int, state: ProofState, at: int, sight: Sight) -> ProofState:
    """Note of a pending proof whether what is seen now confirms it."""
    unsure = sight.truths[index] is None or not sight.heard or (state.unsure and not sight.news)
    live = not sight.timer and sight.received_at - at <= rule.late_after_ms
    if state.late and live and not unsure:
        return ProofState("pending", state.since, state.since + rule.proofs[index].for_ms)
    return state if unsure == state.unsure else msgspec.structs.replace(state, unsure=unsure)


def _ripen(rule: Rule, index: int, state: ProofState, at: int) -> tuple[ProofState, Outcome | None]:
    if state.due > at or (state.unsure and not rule.emergency):
        return state, None  # without certainty only an emergency fires
    outcome = Outcome("fired", index, state.since, late=state.late, stale=state.unsure)
    return _firing(state), outcome


def _firing(state: ProofState) -> ProofState:
    return ProofState("firing", state.since, 0, state.late)


def _rise(rule: Rule, state: AlertState, fired: list[Outcome]) -> list[Outcome]:
    if not fired:
        return []
    strongest = fired[-1]
    if not state.firing:
        return [strongest]
    if rule.ranks[strongest.proof] > rule.ranks[state.evidence]:
        return [msgspec.structs.replace(strongest, change="upgraded")]
    return []


def _hold_back(rule: Rule, state: AlertState, sight: Sight, changes: list[Outcome]) -> AlertState:
    """Suppress by design a firing alert, or let it come again; never an emergency."""
    wanted = sight.suppressed[state.evidence]
    if rule.emergency or wanted is None or wanted == state.suppressed:
        return state
    since = state.proofs[state.evidence].since or sight.at
    if wanted or sight.truths[state.evidence] is not False:
        changes.append(Outcome("suppressed" if wanted else "unsuppressed", state.evidence, since))
    return msgspec.structs.replace(state, suppressed=wanted)


def _end(rule: Rule, state: AlertState, sight: Sight, changes: list[Outcome]) -> AlertState:
    """End an alert that no proof holds, after `keep_firing_for`; no data is never an end."""
    if any(proof.phase != "idle" for proof in state.proofs):
        return state if state.ends_at is None else msgspec.structs.replace(state, ends_at=None)
    at = max(sight.at, sight.known_at[state.evidence])
    if sight.truths[state.evidence] is None:
        return msgspec.structs.replace(state, ends_at=NEVER)
    ends_at = at if state.ends_at == NEVER else state.ends_at
    ends_at = at + rule.keep_firing_for_ms if ends_at is None else ends_at
    if ends_at > at:
        return msgspec.structs.replace(state, ends_at=ends_at)
    changes.append(Outcome("resolved", state.evidence, ends_at))
    return AlertState(state.proofs)
