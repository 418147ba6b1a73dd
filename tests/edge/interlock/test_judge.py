"""Which cylinder it is, and what is known of it."""

from collections.abc import Mapping
from datetime import date
from typing import Literal

import pytest
from msgspec.structs import replace

from edge.decode.pairing import identities
from edge.interlock.base import Judged, Present, Question
from edge.interlock.day import Moment
from edge.interlock.judge import Facts, Judging, identify
from protocols.catalog.files import data_root
from protocols.cylinders.base import (
    ClockState,
    Cylinder,
    MarkedDate,
    Permitted,
    State,
    StationPermits,
)
from protocols.cylinders.book import RuleBook
from protocols.cylinders.load import load_rules
from protocols.records import Code
from tests.support.stations import held

BOOK = load_rules(data_root() / "cylinders")
GOOD = Cylinder(
    code="cylinder:GOOD",
    kind="lpg_household",
    gas="lpg",
    standard="GB 5842-2006",
    manufactured_on=MarkedDate(2022, 6),
    inspected_on=MarkedDate(2024, 6),
    filler="org-7",
    tare_kg=16.0,
    water_capacity_l=35.5,
    allowable_fill_kg=14.5,
    last_filled_on=date(2026, 2, 1),
    tag_uids=("04AA",),
)
OLD = replace(
    GOOD,
    code="cylinder:OLD",
    manufactured_on=MarkedDate(2020, 6),
    inspected_on=None,
    tag_uids=("04BB",),
)


class Registry:
    """A snapshot of a few."""

    def __init__(self, *cylinders: Cylinder, state: Literal["fresh", "expired"] = "fresh") -> None:
        self.cylinders: Mapping[str, Cylinder] = {one.code: one for one in cylinders}
        self.state = state
        self.permits: StationPermits | None = held("lpg", "nitrogen", "mixture", "oxygen")

    def find(self, code: str) -> Cylinder | None:
        return self.cylinders.get(code)

    def find_tag(self, uid: str) -> str | None:
        return next((c for c, one in self.cylinders.items() if uid in one.tag_uids), None)

    def denied(self, code: str) -> State | None:
        return "scrapped" if code == "cylinder:FOREIGN" else None

    def state_at(self, now_ms: int) -> Literal["fresh", "ageing", "expired"]:
        return self.state


KNOWN = Registry(GOOD, OLD)


def tag(
    *codes: tuple[str, str], key: bytes = b"t", findings: tuple[str, ...] = (), stays: bool = True
) -> Present:
    return Present(
        reader="fill-1",
        key=key,
        codes=tuple(Code(scheme, value) for scheme, value in codes),
        findings=findings,
        stays=stays,
    )


GOOD_TAG = tag(("tag_uid", "04AA"), ("cylinder", "GOOD"))


def judged(
    *here: Present,
    known: Registry | None = KNOWN,
    clock: ClockState = "trusted",
    filled_on: date | None = None,
    passed: bool = True,
    gas: str = "lpg",
    components: tuple[str, ...] = (),
    book: RuleBook = BOOK,
    **asked: object,
) -> Judged:
    judging = Judging(
        filler="org-7",
        gas=gas,
        components=components,
        facts=lambda: Facts(book=book, known=known, snapshot="41"),
        now=lambda: Moment(clock=clock, now_ms=0, on=date(2026, 3, 15)),
        filled_on=lambda _: filled_on,
        names=identities,
    )
    question = Question(here=here, weighed_kg=16.1)
    first = judging(question)
    answers = tuple((check, passed) for check in first.checks)
    return judging(replace(question, **{"answers": answers, **asked}))


def reasons(found: Judged) -> set[str]:
    return set(found.reasons)


def test_a_good_cylinder_is_filled_once_its_checks_are_answered() -> None:
    found = judged(GOOD_TAG)
    assert found.verdict.decision == "fill", found.verdict.reasons
    assert (found.code, found.snapshot) == ("cylinder:GOOD", "41")
    assert found.cylinder == GOOD
    assert found.gross_limit_kg == pytest.approx(30.5, abs=1.0)
    assert found.checks
    assert found.after_checks
    assert reasons(judged(GOOD_TAG, passed=False)) == {"check_failed"}
    assert reasons(judged(GOOD_TAG, answers=())) == {"check_open"}


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        ((tag(("tag_uid", "04aa")),), set()),
        ((tag(("cylinder", "GOOD")),), set()),
        ((tag(("tag_uid", "04CC"), ("cylinder", "GOOD")),), {"clone_suspected"}),
        ((tag(("tag_uid", "04AA"), ("cylinder", "GOOD"), findings=("bad_signature",)),),
         {"clone_suspected"}),
        ((tag(("tag_uid", "04BB"), ("cylinder", "GOOD")),), {"codes_disagree", "code_unknown"}),
        ((tag(("tag_uid", "04CC")),), {"code_unknown"}),
        ((tag(("cylinder", "NOBODY")),), {"code_unknown"}),
        ((tag(("cylinder", "FOREIGN")),), {"code_unknown", "scrapped"}),
        ((tag(("tag_uid", "04AA"), findings=("incomplete_read",)),), {"tag_damaged"}),
        ((GOOD_TAG, tag(("cylinder", "GOOD"), key=b"l", stays=False)), set()),
        ((GOOD_TAG, tag(("raw", "a price list"), key=b"l", stays=False)), set()),
        ((GOOD_TAG, tag(("cylinder", "OLD"), key=b"l", stays=False)),
         {"codes_disagree", "code_unknown"}),
        ((GOOD_TAG, tag(("cylinder", "GOOD"), key=b"l", findings=("codes_disagree",))),
         {"codes_disagree"}),
        ((GOOD_TAG, tag(("tag_uid", "04BB"), key=b"u")), {"two_cylinders", "code_unknown"}),
        ((GOOD_TAG, tag(("tag_uid", "04CC"), key=b"u")), {"two_cylinders"}),
    ],
)  # fmt: skip
def test_what_was_read_names_one_cylinder_or_says_why_not(
    here: tuple[Present, ...], expected: set[str]
) -> None:
    found = judged(*here)
    assert reasons(found) == expected
    assert (found.verdict.decision == "fill") == (not expected)


def test_what_the_place_lacks_stands_beside_what_the_rules_find_and_after_it() -> None:
    found = judged(tag(("cylinder", "OLD")), troubles=("output_lost",))
    assert reasons(found) == {"inspection_overdue", "output_lost"}
    assert found.verdict.reasons[0].reason == "inspection_overdue"
    assert found.verdict.decision == "do_not_fill"
    assert judged(GOOD_TAG, troubles=("output_lost",)).verdict.decision == "cannot_decide"


@pytest.mark.parametrize("clock", ["unset", "set_back"])
def test_without_a_day_nothing_is_decided(clock: ClockState) -> None:
    assert judged(GOOD_TAG, clock=clock).verdict.decision == "cannot_decide"


def test_without_a_snapshot_and_with_an_expired_one_nothing_is_filled() -> None:
    assert "snapshot_none" in reasons(judged(GOOD_TAG, known=None))
    expired = judged(GOOD_TAG, known=Registry(GOOD, state="expired"))
    assert reasons(expired) == {"snapshot_expired"}
    assert expired.may_overrule == ("enterprise_manager",)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (date(2022, 3, 16), date(2026, 3, 15), set()),  # its last day is today
        (date(2022, 3, 16), date(2026, 3, 14), {"no_permit"}),
        (date(2026, 3, 15), date(2030, 3, 14), set()),  # its first day is today
        (date(2026, 3, 16), date(2030, 3, 14), {"no_permit"}),
    ],
)
def test_the_stations_permit_counts_through_its_last_day(
    since: date, until: date, expected: set[str]
) -> None:
    known = Registry(GOOD)
    known.permits = StationPermits(recorded=True, held=(Permitted("lpg", since, until),))
    found = judged(GOOD_TAG, known=known)
    assert reasons(found) == expected
    assert (found.verdict.decision == "do_not_fill") == bool(expected)


def test_a_station_whose_snapshot_tells_no_permit_is_told_so() -> None:
    known = Registry(GOOD)
    for untold in (None, StationPermits(recorded=False)):
        known.permits = untold
        found = judged(GOOD_TAG, known=known)
        assert reasons(found) == {"permit_unknown"}
        assert found.verdict.decision == "cannot_decide"
        assert not found.may_overrule
    before = replace(BOOK, permits=None)
    assert reasons(judged(GOOD_TAG, known=known, book=before)) == set(), "an older service's rules"


def test_what_was_filled_here_after_the_snapshot_counts() -> None:
    assert reasons(judged(GOOD_TAG, filled_on=date(2026, 3, 14))) == set()
    later = judged(GOOD_TAG, filled_on=date(2026, 3, 16))
    assert reasons(later) == {"dates_contradict"}, "filled here tomorrow"


def test_a_full_one_and_one_of_another_tare_are_seen_by_the_scale() -> None:
    assert "full_already" in reasons(judged(GOOD_TAG, weighed_kg=31.0))
    assert "tare_disagrees" in reasons(judged(GOOD_TAG, weighed_kg=14.0))


def test_the_tare_on_the_tag_is_compared_with_the_record_and_the_farthest_counts() -> None:
    assert reasons(judged(replace(GOOD_TAG, tare_kg=16.1))) == set()
    worn, label = replace(GOOD_TAG, tare_kg=16.1), tag(("cylinder", "GOOD"), key=b"second")
    found = judged(worn, replace(label, tare_kg=17.0))
    assert [(one.reason, one.found) for one in found.verdict.reasons] == [
        ("tare_disagrees", "tag 17 kg, registered 16 kg")
    ]


def test_a_mixture_is_filled_into_cylinders_of_the_very_same_one() -> None:
    mixed = replace(
        GOOD, kind="steel_seamless", gas="mixture", components=("argon", "carbon_dioxide")
    )
    known = Registry(mixed)

    def filled_with(gas: str, *components: str) -> set[str]:
        return reasons(judged(GOOD_TAG, known=known, gas=gas, components=components))

    assert "wrong_gas" not in filled_with("mixture", "carbon_dioxide", "argon")
    assert "wrong_gas" in filled_with("mixture", "argon", "oxygen")
    assert "wrong_gas" in filled_with("argon")


def test_nothing_here_names_nothing() -> None:
    found = identify((), KNOWN, identities)
    assert (found.code, found.cylinder, found.troubles) == ("", None, ())
