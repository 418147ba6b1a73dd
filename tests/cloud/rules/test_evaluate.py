"""The life of an alert, step by step."""

import msgspec
import pytest

from cloud.rules.evaluate import (
    LATE_SETTLE_MS,
    NEVER,
    AlertState,
    Outcome,
    Sight,
    evaluate,
    fresh,
)
from cloud.rules.expression import Expression
from cloud.rules.rule import Proof, Rule

Truth = bool | None


def _rule(*for_s: float, severity: str = "warning", keep_s: float = 0) -> Rule:
    proofs = [
        Proof(name=f"p{index}", expr=Expression("online"), for_ms=round(seconds * 1000))
        for index, seconds in enumerate(for_s)
    ]
    return Rule(
        alert="Test",
        kind="gateway",
        severity=severity,  # type: ignore[arg-type]
        proofs=tuple(proofs),
        keep_firing_for_ms=round(keep_s * 1000),
    )


class Life:
    """An alert and what became of it; times in seconds."""

    def __init__(self, rule: Rule) -> None:
        self.rule, self.state = rule, fresh(rule)
        self.happened: list[tuple[float, str]] = []
        self.last: list[Outcome] = []

    def see(
        self,
        at_s: float,
        *truths: Truth,
        suppressed: Truth = False,
        age_s: float = 0,
        heard: bool = True,
        news: bool = True,
        timer: bool = False,
        known_s: float | None = None,
    ) -> "Life":
        at = round(at_s * 1000)
        count = len(self.rule.proofs)
        sight = Sight(
            at=at,
            truths=truths,
            suppressed=(suppressed,) * count,
            known_at=(at if known_s is None else round(known_s * 1000),) * count,
            received_at=at + round(age_s * 1000),
            heard=heard,
            news=news and not timer,
            timer=timer,
        )
        before = self.state
        self.state, self.last = evaluate(self.rule, before, sight)
        assert before == msgspec.structs.replace(before)
        self.happened += [(at_s, one.change) for one in self.last]
        return self

    def timer(self, at_s: float, *truths: Truth, heard: bool = True) -> "Life":
        return self.see(at_s, *truths, timer=True, heard=heard)


def test_without_for_it_fires_at_once_and_ends_at_once() -> None:
    life = Life(_rule(0)).see(1, False).see(2, True).see(3, True).see(4, False)
    assert life.happened == [(2, "fired"), (4, "resolved")]
    assert life.state.idle


def test_pending_fires_at_its_deadline_alone() -> None:
    life = Life(_rule(20)).see(1, True)
    assert (life.happened, life.state.next_due) == ([], 21_000)
    assert life.timer(21, True).happened == [(21, "fired")]
    assert life.last[0].since == 1000


def test_pending_that_ends_before_for_leaves_nothing() -> None:
    life = Life(_rule(20)).see(1, True).see(20.9, False)
    assert life.happened == []
    assert life.state == fresh(life.rule)


def test_two_readings_show_that_it_held_although_no_timer_ran() -> None:
    life = Life(_rule(20)).see(1, True).see(30, False)
    assert life.happened == [(30, "fired"), (30, "resolved")]


@pytest.mark.parametrize("severity", ["warning", "emergency"])
def test_unknown_neither_fires_nor_resolves(severity: str) -> None:
    life = Life(_rule(0, severity=severity)).see(1, None)
    assert life.state.idle
    life.see(2, True).see(3, None).see(4, None)
    assert life.happened == [(2, "fired")]
    assert life.see(5, False).happened[-1] == (5, "resolved")


def test_unknown_at_the_deadline_holds_what_is_no_emergency() -> None:
    life = Life(_rule(20)).see(1, True).see(5, None).timer(21, None)
    assert life.happened == []
    assert life.see(40, True).happened == [(40, "fired")]


def test_unknown_since_then_false_never_fires() -> None:
    life = Life(_rule(20)).see(1, True).see(5, None).timer(21, None).see(40, False)
    assert life.happened == []


def test_unknown_at_the_deadline_fires_an_emergency_as_stale() -> None:
    life = Life(_rule(20, severity="emergency")).see(1, True).see(5, None).timer(21, None)
    assert life.happened == [(21, "fired")]
    assert life.last[0].stale


def test_unheard_at_the_deadline_waits_for_the_device_itself() -> None:
    life = Life(_rule(20)).see(1, True).see(5, True, heard=False, news=False)
    life.timer(21, True, heard=False).see(30, True, news=False)
    assert life.happened == []
    assert life.see(31, True).happened == [(31, "fired")]


def test_late_history_fires_only_once_live_data_confirm_it() -> None:
    life = Life(_rule(20)).see(1, True, age_s=300).see(40, True, age_s=280)
    assert life.happened == []
    assert life.state.next_due == NEVER
    life.see(350, True, age_s=1)
    assert life.happened == [(350, "fired")]
    assert not life.last[0].late


def test_late_emergency_waits_only_for_its_delivery_to_settle() -> None:
    life = Life(_rule(20, severity="emergency")).see(1, True, age_s=300)
    assert life.state.next_due == 301_000 + LATE_SETTLE_MS
    life.timer(301.5, True)
    assert life.happened == [(301.5, "fired")]
    assert (life.last[0].late, life.last[0].stale) == (True, False)


def test_late_emergency_that_ended_in_the_same_delivery_is_not_raised() -> None:
    life = Life(_rule(0, severity="emergency")).see(1, True, age_s=300).see(9, False, age_s=292)
    assert life.state.idle
    assert life.happened == []


def test_disordered_data_make_a_condition_no_older_than_its_newest_part() -> None:
    life = Life(_rule(20)).see(1, True, known_s=300, age_s=300)
    assert life.state.next_due == 320_000


def test_suppression_stops_what_is_pending_and_the_time_begins_anew() -> None:
    life = Life(_rule(20)).see(1, True).see(10, True, suppressed=True).timer(21, True)
    assert life.happened == []
    life.see(30, True).timer(50, True)
    assert life.happened == [(50, "fired")]


def test_suppression_that_is_unknown_holds_nothing_back() -> None:
    assert Life(_rule(0)).see(1, True, suppressed=None).happened == [(1, "fired")]


def test_suppression_of_what_fires_and_its_return() -> None:
    life = Life(_rule(0)).see(1, True).see(2, True, suppressed=True).see(3, True, suppressed=None)
    life.see(4, True)
    assert life.happened == [(1, "fired"), (2, "suppressed"), (4, "unsuppressed")]


def test_suppressed_alert_that_ends_just_ends() -> None:
    life = Life(_rule(0)).see(1, True).see(2, True, suppressed=True).see(3, False)
    assert life.happened == [(1, "fired"), (2, "suppressed"), (3, "resolved")]


def test_suppression_never_touches_an_emergency_that_fires() -> None:
    life = Life(_rule(0, severity="emergency")).see(1, True).see(2, True, suppressed=True)
    assert life.happened == [(1, "fired")]
    assert life.see(3, False, suppressed=True).happened[-1] == (3, "resolved")


def test_keep_firing_bridges_a_gap() -> None:
    life = Life(_rule(0, keep_s=10)).see(1, True).see(5, False).see(14, True).see(20, False)
    assert life.happened == [(1, "fired")]
    assert life.state.next_due == 30_000
    assert life.timer(30, False).happened[-1] == (30, "resolved")


def test_keep_firing_over_an_end_that_no_timer_saw() -> None:
    life = Life(_rule(0, keep_s=10)).see(1, True).see(5, False).see(60, True)
    assert life.happened == [(1, "fired"), (60, "resolved"), (60, "fired")]


def test_keep_firing_does_not_end_while_unknown() -> None:
    life = Life(_rule(0, keep_s=10)).see(1, True).see(5, False).see(8, None).timer(15, None)
    assert life.happened == [(1, "fired")]
    assert life.see(90, False).happened[-1] == (90, "resolved")


def test_stronger_proof_upgrades_and_a_pending_one_holds_the_alert() -> None:
    life = Life(_rule(0, 20, 20)).see(1, True, False, False).see(5, False, True, False)
    assert life.happened == [(1, "fired")]
    life.timer(25, False, True, False).see(30, False, False, True).timer(50, False, False, True)
    assert life.happened == [(1, "fired"), (25, "upgraded"), (50, "upgraded")]
    life.see(60, True, False, False)
    assert len(life.happened) == 3
    assert life.see(61, False, False, False).happened[-1] == (61, "resolved")


def test_weaker_proof_never_downgrades() -> None:
    life = Life(_rule(0, 0)).see(1, False, True).see(2, True, False)
    assert life.happened == [(1, "fired")]
    assert life.state.evidence == 1


def test_proofs_that_fire_together_fire_once_with_the_strongest() -> None:
    life = Life(_rule(0, 0)).see(1, True, True)
    assert [(one.change, one.proof) for one in life.last] == [("fired", 1)]


def test_next_due_of_an_alert_is_the_earliest_deadline() -> None:
    assert fresh(_rule(0)).next_due == NEVER
    life = Life(_rule(30, 20)).see(1, True, True)
    assert isinstance(life.state, AlertState)
    assert life.state.next_due == 21_000
