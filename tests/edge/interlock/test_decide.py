"""The state machine of a filling place: what must happen, and what must never."""

import random
from datetime import date

import pytest
from msgspec.structs import replace

from edge.interlock.base import (
    Answered,
    Arrived,
    Cleared,
    Commit,
    Committed,
    Entry,
    Event,
    Judged,
    Left,
    Named,
    Note,
    Output,
    Overrule,
    Present,
    Pressed,
    Question,
    ReaderLost,
    Stopping,
    Tick,
    Weighed,
)
from edge.interlock.decide import interrupted, step
from edge.interlock.state import OPEN, Place, State, wanted
from protocols.catalog.files import data_root
from protocols.cylinders.base import Cylinder, Reason, Verdict
from protocols.cylinders.limits import Filled, Finding, after_fill
from protocols.cylinders.load import load_rules
from protocols.records import Code

TARE_KG, LIMIT_KG = 16.0, 14.5
CHECKS = ("valve_sound",)
OVERDUE, UNKNOWN = "cylinder:OVERDUE", "cylinder:UNKNOWN"
BOOK = load_rules(data_root() / "cylinders")
CYLINDER = Cylinder(
    code="cylinder:ANY",
    kind="lpg_household",
    gas="lpg",
    tare_kg=TARE_KG,
    allowable_fill_kg=LIMIT_KG,
)


def tag(code: str, key: bytes | None = None, *, stays: bool = True) -> Present:
    return Present(
        reader="fill-1" if stays else "label-1",
        key=key or code.encode(),
        codes=(Code("cylinder", code),),
        stays=stays,
    )


def judge(question: Question) -> Judged:
    """Judge by the code: what begins with G is good, with I idle, with O overdue."""
    names = {code.value for one in question.here for code in one.codes}
    reasons = [Reason(reason=one, decision="cannot_decide") for one in question.troubles]
    code = names.pop() if len(names) == 1 else ""
    if not code:
        reasons.append(Reason(reason="two_cylinders", decision="cannot_decide"))
    if code.startswith("I"):
        reasons.append(Reason(reason="idle_too_long", decision="do_not_fill"))
    if code.startswith("O"):
        reasons.append(Reason(reason="inspection_overdue", decision="do_not_fill"))
    answers = dict(question.answers)
    if any(answers.get(one) is False for one in CHECKS):
        reasons.append(Reason(reason="check_failed", decision="do_not_fill"))
    elif any(one not in answers for one in CHECKS):
        reasons.append(Reason(reason="checks_open", decision="cannot_decide"))
    gravest, words = {one.decision for one in reasons}, {one.reason for one in reasons}
    return Judged(
        verdict=Verdict(
            decision="do_not_fill"
            if "do_not_fill" in gravest
            else "cannot_decide"
            if gravest
            else "fill",
            reasons=tuple(reasons),
            rules_version="r1",
            due_on=None,
            life_ends_on=None,
            limit_kg=LIMIT_KG,
        ),
        code=code,
        cylinder=CYLINDER,
        on=date(2026, 3, 15),
        may_overrule=("responsible",) if words == {"idle_too_long"} else (),
        checks=CHECKS,
        after_checks=("no_leak",),
    )


def review(judged: Judged | None, filled: Filled) -> tuple[Finding, ...]:
    return after_fill(None if judged is None else judged.cylinder, filled, BOOK)


PLACE = Place(judge=judge, review=review)


class Walk:
    """A place that is driven by a test; `step` makes durable at once unless told otherwise."""

    def __init__(self, place: Place = PLACE) -> None:
        self.place, self.state, self.now_ms = place, State(), 0
        self.entries: list[Entry] = []
        self.open_commit: Entry | None = None
        self.commits = True
        self.say(Output(reachable=True))
        self.say(Weighed(0.0, in_motion=False))

    def say(self, event: Event, after_ms: int = 100) -> "Walk":
        self.now_ms += after_ms
        self.state, acts = step(self.place, self.state, event, self.now_ms)
        self.check()
        for act in acts:
            self.entries.append(act.entry)
            if isinstance(act, Commit):
                self.open_commit = act.entry
                if self.commits:
                    self.say(Committed(act.entry.number), after_ms=5)
        return self

    def check(self) -> None:
        if not wanted(self.state).open:
            return
        assert self.state.phase in OPEN
        opening = self.state.opening
        assert opening is not None
        assert opening in self.entries, "opened without a record"
        assert opening.judged is not None
        assert {c.value for one in self.state.here for c in one.codes} == {opening.judged.code}
        fill = opening.judged.verdict.decision == "fill"
        assert fill or opening.overruled is not None

    def put(self, code: str, kg: float = TARE_KG) -> "Walk":
        return self.say(Arrived(tag(code))).say(Weighed(kg, in_motion=False))

    def ready(self, code: str = "G1") -> "Walk":
        return self.put(code).say(Answered("valve_sound", passed=True))

    def steps(self) -> list[str]:
        return [one.step if not one.why else f"{one.step}:{one.why}" for one in self.entries]

    @property
    def phase(self) -> str:
        return self.state.phase

    def is_open(self) -> bool:
        return wanted(self.state).open


def test_a_good_cylinder_is_filled_and_weighed_again() -> None:
    walk = Walk().put("G1")
    assert walk.phase == "judged"
    assert wanted(walk.state).lamp == "yellow"
    walk.say(Answered("valve_sound", passed=True))
    assert walk.is_open()
    assert wanted(walk.state).gross_limit_kg == TARE_KG + LIMIT_KG
    assert wanted(walk.state).net_limit_kg == LIMIT_KG
    walk.say(Weighed(20.0, in_motion=True)).say(Weighed(30.25, in_motion=True))
    assert not walk.is_open()
    walk.say(Weighed(30.45, in_motion=False)).say(Tick(), after_ms=2_000)
    last = walk.entries[-1]
    assert (last.before_kg, last.after_kg, last.net_kg) == (TARE_KG, 30.45, 14.45)
    assert last.faults == ()
    assert walk.steps() == ["decided", "decided", "decided", "released", "ended:full", "weighed"]
    assert len({one.number for one in walk.entries}) == len(walk.entries)
    assert walk.phase == "done"
    walk.say(Answered("no_leak", passed=True))
    assert walk.entries[-1].step == "checked"
    assert dict(walk.entries[-1].answers) == {"valve_sound": True, "no_leak": True}
    walk.say(Left("fill-1", b"G1"))
    assert walk.phase == "idle"


def test_nothing_opens_before_its_record_is_durable() -> None:
    walk = Walk()
    walk.commits = False
    walk.ready()
    assert walk.phase == "releasing"
    assert walk.open_commit is not None
    walk.say(Committed(walk.open_commit.number - 1)).say(Tick())
    assert not walk.is_open()
    walk.say(Committed(walk.open_commit.number, durable=False))
    assert not walk.is_open()
    assert "ended:not_durable" in walk.steps()
    assert walk.state.judged is not None
    assert "not_durable" in walk.state.judged.reasons
    walk.commits = True
    walk.say(Tick(), after_ms=2_000)
    assert walk.is_open()


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (Arrived(tag("G2")), "swapped"),
        (Left("fill-1", b"G1"), "taken_off"),
        (ReaderLost("fill-1"), "reader_lost"),
        (Weighed(0.1, in_motion=False), "taken_off"),
        (Weighed(None, online=False), "scale_lost"),
        (Output(reachable=False), "output_lost"),
        (Pressed("end"), "operator"),
        (Stopping(), "stopped"),
    ],
)
def test_what_closes_the_gun(event: Event, why: str) -> None:
    walk = Walk().ready()
    assert walk.is_open()
    walk.say(event)
    assert not walk.is_open()
    assert f"ended:{why}" in walk.steps()


def test_a_cylinder_that_leaves_before_its_record_is_durable_is_not_opened_for() -> None:
    walk = Walk()
    walk.commits = False
    walk.ready().say(Left("fill-1", b"G1"))
    assert walk.open_commit is not None
    walk.say(Arrived(tag("G2"))).say(Committed(walk.open_commit.number))
    assert not walk.is_open()
    assert "ended:taken_off" in walk.steps()


def test_a_release_that_nobody_uses_ends_and_asks_for_a_button() -> None:
    walk = Walk().ready().say(Tick(), after_ms=PLACE.release_ms)
    assert not walk.is_open()
    assert "ended:timed_out" in walk.steps()
    walk.say(Tick(), after_ms=3_000).say(Tick(), after_ms=60_000)
    assert not walk.is_open()
    walk.say(Pressed("again")).say(Tick())
    assert not walk.is_open(), "its checks are to be answered again"
    walk.say(Answered("valve_sound", passed=True))
    assert walk.is_open()


def test_gas_without_a_verdict_is_recorded_and_blocks_the_place() -> None:
    walk = Walk().put("O1")
    walk.say(Weighed(None, in_motion=True)).say(Weighed(20.0, in_motion=False))
    last = walk.entries[-1]
    assert (last.step, last.before_kg, last.after_kg) == ("without_verdict", TARE_KG, 20.0)
    assert last.judged is not None
    assert last.judged.code == "O1"
    assert walk.phase == "blocked"
    assert wanted(walk.state).buzzer
    walk.say(Left("fill-1", b"O1")).say(Weighed(0.0, in_motion=False)).ready("G1")
    assert not walk.is_open(), "blocked until somebody has looked"
    walk.say(Cleared("op-7"))
    assert walk.entries[-2].step == "cleared"
    assert walk.entries[-2].operator == "op-7"
    walk.say(Answered("valve_sound", passed=True))
    assert walk.is_open()


def test_gas_into_a_cylinder_that_nobody_scanned_is_seen_too() -> None:
    walk = Walk().say(Weighed(TARE_KG, in_motion=False)).say(Weighed(21.0, in_motion=False))
    assert walk.steps() == ["without_verdict:without_verdict"]


def test_an_overfilled_cylinder_blocks_the_place() -> None:
    walk = Walk().ready().say(Weighed(20.0, in_motion=True)).say(Weighed(31.0, in_motion=True))
    walk.say(Weighed(30.9, in_motion=False)).say(Tick(), after_ms=2_500)
    assert walk.entries[-1].faults == ("overfilled",)
    assert walk.state.blocked == "overfilled"


def test_one_that_is_lighter_after_filling_blocks_the_place_and_a_release_in_vain_does_not() -> (
    None
):
    walk = Walk().ready().say(Pressed("end")).say(Weighed(TARE_KG - 0.7, in_motion=False))
    walk.say(Tick(), after_ms=3_000)
    assert walk.entries[-1].faults == ("lighter_than_before",)
    assert walk.state.blocked == "lighter_than_before"
    walk = Walk().ready().say(Pressed("end")).say(Weighed(TARE_KG - 0.02, in_motion=False))
    walk.say(Tick(), after_ms=3_000)
    assert walk.entries[-1].faults == ()
    assert walk.state.phase == "done"


def test_a_cylinder_that_leaks_blocks_the_place_and_one_not_asked_about_is_told() -> None:
    walk = Walk().ready().say(Weighed(25.0, in_motion=True)).say(Pressed("end"))
    walk.say(Weighed(25.1, in_motion=False)).say(Tick(), after_ms=3_000)
    open_still = Walk()
    open_still.__dict__ |= {**walk.__dict__, "entries": list(walk.entries)}
    walk.say(Answered("no_leak", passed=False))
    assert walk.entries[-1].faults == ("check_failed",)
    assert walk.state.blocked == "check_failed"
    open_still.say(Left("fill-1", b"G1"))
    assert open_still.entries[-1].faults == ("check_open",)


def test_a_cylinder_that_leaves_before_it_was_weighed_again_is_told() -> None:
    walk = Walk().ready().say(Weighed(25.0, in_motion=True)).say(Pressed("end"))
    walk.say(Left("fill-1", b"G1"))
    assert [one.step for one in walk.entries[-2:]] == ["weighed", "checked"]
    assert walk.entries[-2].faults == ("overfill_untold",)
    assert walk.entries[-2].after_kg is None


def test_a_device_that_stops_by_itself_ends_the_filling() -> None:
    walk = Walk().ready().say(Weighed(25.0, in_motion=True)).say(Weighed(29.0, in_motion=False))
    walk.say(Tick(), after_ms=PLACE.rest_ms)
    assert "ended:at_rest" in walk.steps()


def test_a_clean_stop_tells_all_of_a_filling() -> None:
    walk = Walk().ready().say(Weighed(25.0, in_motion=True)).say(Stopping())
    assert walk.steps()[-3:] == ["ended:stopped", "weighed", "checked"]
    assert [one.faults for one in walk.entries[-2:]] == [
        ("overfill_untold",),
        ("overfill_untold", "check_open"),
    ]
    assert walk.state.opening is None


def test_two_tags_cannot_be_decided_and_one_that_left_can_again() -> None:
    walk = Walk().ready()
    walk.say(Arrived(tag("G2")))
    assert not walk.is_open()
    walk.say(Weighed(TARE_KG, in_motion=False)).say(Tick(), after_ms=3_000)
    walk.say(Answered("valve_sound", passed=True))
    assert walk.state.judged is not None
    assert "two_cylinders" in walk.state.judged.reasons
    walk.say(Left("fill-1", b"G2")).say(Tick())
    assert not walk.is_open(), "its checks are to be answered again"
    walk.say(Answered("valve_sound", passed=True))
    assert walk.is_open()


def test_a_label_beside_the_tag_of_the_same_cylinder_changes_nothing() -> None:
    walk = Walk().ready().say(Arrived(tag("G1", b"label", stays=False)))
    assert walk.is_open()
    walk.say(Arrived(tag("G2", b"label", stays=False)))
    assert not walk.is_open()


def test_a_label_alone_is_here_as_long_as_its_weight() -> None:
    walk = Walk().say(Arrived(tag("G1", stays=False))).say(Weighed(TARE_KG, in_motion=False))
    walk.say(Answered("valve_sound", passed=True))
    assert walk.is_open()
    walk.say(Weighed(0.0, in_motion=False)).say(Tick(), after_ms=2_500).say(Tick())
    assert walk.state.here == ()
    walk.say(Arrived(tag("G1", stays=False))).say(Tick(), after_ms=PLACE.scan_ms)
    assert walk.phase == "idle"


def test_only_what_the_rules_leave_to_a_person_can_be_overruled() -> None:
    walk = Walk().put("O1").say(Answered("valve_sound", passed=True))
    walk.say(Overrule("boss", "responsible", "urgent")).say(Tick())
    assert not walk.is_open()
    walk = Walk().put("I1").say(Overrule("boss", "responsible", "looked at it"))
    assert not walk.is_open(), "an open check is not overruled"
    walk.say(Answered("valve_sound", passed=True)).say(
        Overrule("boss", "responsible", "looked at it")
    )
    assert walk.is_open()
    released = next(one for one in walk.entries if one.step == "released")
    assert released.overruled is not None
    assert (released.overruled.name, released.overruled.why) == ("boss", "looked at it")


def test_a_place_that_asks_who_works_here_waits_for_a_name() -> None:
    walk = Walk(replace(PLACE, asks_operator=True)).ready()
    assert not walk.is_open()
    walk.say(Named("op-7"))
    assert walk.is_open()
    assert walk.entries[-1].operator == "op-7"


def test_an_output_that_is_open_unasked_blocks_the_place() -> None:
    walk = Walk().say(Output(reachable=True, open=True))
    assert walk.state.blocked == "output_stuck"
    assert walk.entries[-1].step == "stuck"


def test_after_a_power_cut_the_open_filling_is_closed_and_the_place_blocked() -> None:
    before = Walk().ready()
    opening = before.state.opening
    assert opening is not None
    state, acts = interrupted(PLACE, opening, 1000, 50)
    (act,) = acts
    assert isinstance(act, Note)
    assert (act.entry.step, act.entry.opening) == ("interrupted", opening.number)
    assert act.entry.judged == opening.judged
    assert state.phase == "blocked"
    assert not wanted(state).open


def _events(rng: random.Random, walk: Walk) -> Event:
    code = rng.choice(("G1", "G2", "O1", "I1"))
    kg = rng.choice((0.0, TARE_KG, TARE_KG, 17.0, 22.0, 30.45, 31.0))
    commit = walk.open_commit.number if walk.open_commit else 1
    return rng.choice(
        (
            Arrived(tag(code)),
            Arrived(tag(code, stays=False)),
            Left("fill-1", code.encode()),
            ReaderLost("fill-1"),
            Weighed(kg, in_motion=rng.choice((False, False, True, None))),
            Weighed(None, in_motion=True, online=rng.random() > 0.2),
            Answered("valve_sound", passed=rng.random() > 0.1),
            Answered("valve_sound", passed=True),
            Named("op-7"),
            Overrule("boss", "responsible", "why"),
            Pressed(rng.choice(("end", "again"))),
            Cleared("boss"),
            Committed(commit, durable=rng.random() > 0.2),
            Output(reachable=rng.random() > 0.1, open=rng.choice((None, None, False, True))),
            Output(reachable=True),
            Tick(),
        )
    )


def _good_visit(code: str) -> list[Event]:
    gone: list[Event] = [Left("fill-1", one.encode()) for one in ("G1", "G2", "O1", "I1")]
    return [
        *(Cleared("boss"), Output(reachable=True), Named("op-7"), *gone),
        *(Weighed(0.0, in_motion=False), Tick(), Arrived(tag(code))),
        *(Weighed(TARE_KG, in_motion=False), Answered("valve_sound", passed=True)),
        *(Overrule("boss", "responsible", "why"), Tick()),
    ]


@pytest.mark.parametrize("seed", range(40))
def test_random_walks_never_open_without_verdict_and_record(seed: int) -> None:
    rng = random.Random(seed)
    walk = Walk(replace(PLACE, weighs=rng.random() > 0.2, asks_operator=rng.random() > 0.5))
    walk.commits = False
    opened = 0
    for _ in range(300):
        was = walk.is_open()
        script = [_events(rng, walk) for _ in range(rng.randrange(8))]
        script += _good_visit(rng.choice(("G1", "G2", "O1", "I1")))[rng.randrange(9) :]
        for event in script:
            walk.say(event, after_ms=rng.choice((0, 5, 200, 2_500, 70_000)))
            if walk.open_commit and rng.random() < 0.7:
                walk.say(Committed(walk.open_commit.number), after_ms=5)
            opened += walk.is_open() and not was
    ends = [one for one in walk.entries if one.step == "ended"]
    releases = [one.number for one in walk.entries if one.step == "released"]
    assert opened > 20
    assert len({one.opening for one in ends}) == len(ends)
    assert {one.opening for one in ends} <= set(releases)
    numbers = [one.number for one in walk.entries]
    assert numbers == sorted(set(numbers))
