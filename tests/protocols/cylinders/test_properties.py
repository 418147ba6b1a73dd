"""What holds for every filling, on thousands of random ones."""

import random
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from protocols.cylinders.base import Cylinder, Seen, StationPermits, Verdict
from protocols.cylinders.book import book_bytes, read_book
from protocols.cylinders.due import due_on, life_ends_on
from protocols.cylinders.verdict import bars_to_override, fill_verdict
from tests.protocols.cylinders.good import BOOK
from tests.protocols.cylinders.random_cylinders import random_case

RNG = random.Random(7)
CASES = [random_case(RNG) for _ in range(4_000)]
KNOWN = [(cylinder, seen) for cylinder, seen in CASES if cylinder is not None]
WORSE: list[dict[str, Any]] = [
    {"codes_disagree": True},
    {"clone_suspected": True},
    {"snapshot": "none"},
    {"permits": StationPermits(recorded=False)},
    {"permits": StationPermits(recorded=True)},
    {"snapshot": "expired"},
    {"checks_failed": ("no_damage",)},
    {"checks_open": ("accessories",)},
    {"tare_on_tag_kg": 99.0},
]
FORGOTTEN: list[dict[str, Any]] = [
    {"filler": ""},
    {"vehicle": None},
    {"tare_kg": None},
    {"components": ()},
    {"kind": "forgotten"},
    {"gas": "forgotten"},
    {"manufactured_on": None, "inspected_on": None, "inspection_due_on": None},
]


def words(verdict: Verdict) -> set[tuple[str, str]]:
    return {(one.reason, one.found) for one in verdict.reasons}


def judged(cylinder: Cylinder | None, seen: Seen) -> Verdict:
    return fill_verdict(cylinder, seen, BOOK)


def test_fill_means_no_reason_and_the_gravest_reason_decides() -> None:
    for cylinder, seen in CASES:
        verdict = judged(cylinder, seen)
        decisions = [one.decision for one in verdict.reasons]
        assert decisions == sorted(decisions, reverse=True)  # do_not_fill first
        assert verdict.decision == (decisions[0] if decisions else "fill")
        for decision in ("do_not_fill", "cannot_decide"):
            ranks = [
                BOOK.reason[one.reason][0] for one in verdict.reasons if one.decision == decision
            ]
            assert ranks == sorted(ranks)


def test_something_worse_adds_reasons_and_takes_none_away() -> None:
    for index, (cylinder, view) in enumerate(CASES):
        seen = replace(view, permits=None, tare_on_tag_kg=None, checks_failed=(), checks_open=())
        before = judged(cylinder, seen)
        after = judged(cylinder, replace(seen, **WORSE[index % len(WORSE)]))
        kept = {word for word, _ in words(before) if not word.startswith("snapshot_")}
        assert kept <= {word for word, _ in words(after)}
        assert before.decision == "fill" or after.decision != "fill"
        assert before.decision != "do_not_fill" or after.decision == "do_not_fill"


def test_what_is_forgotten_makes_no_filling() -> None:
    for index, (cylinder, seen) in enumerate(KNOWN):
        if judged(cylinder, seen).decision != "fill":
            forgetful = replace(cylinder, **FORGOTTEN[index % len(FORGOTTEN)])
            same_gas = replace(seen, gas=forgetful.gas, components=forgetful.components)
            unknown = {"kind", "gas"} & set(FORGOTTEN[index % len(FORGOTTEN)])
            if forgetful.vehicle is None and cylinder.vehicle and not unknown:
                continue  # a household's cylinder is better without a vehicle
            assert judged(forgetful, seen).decision != "fill"
            assert judged(None, same_gas).decision != "fill"


def test_what_ends_with_time_stays_ended() -> None:
    ended = {"inspection_overdue", "beyond_life", "idle", "certificate_expired"}
    for cylinder, seen in KNOWN:
        for days in (1, 400):
            later = replace(seen, on=seen.on + timedelta(days=days))
            now = {one.reason for one in judged(cylinder, seen).reasons} & ended
            assert now <= {one.reason for one in judged(cylinder, later).reasons}


def test_a_start_of_the_month_is_never_later_than_its_end() -> None:
    start = replace(BOOK, dates=replace(BOOK.dates, month="start_of_month"))
    earlier = 0
    for cylinder, seen in KNOWN:
        for day_of in (due_on, life_ends_on):
            late, early = day_of(cylinder, BOOK, seen.on), day_of(cylinder, start, seen.on)
            assert (late is None) == (early is None)
            if late is not None and early is not None:
                assert early <= late
                assert (early.year, early.month) == (late.year, late.month) or late.day > 27
                earlier += early < late
    assert earlier


def test_a_kept_book_judges_as_it_did() -> None:
    again = read_book(book_bytes(BOOK))
    for cylinder, seen in CASES[:1000]:
        assert fill_verdict(cylinder, seen, again) == judged(cylinder, seen)


def test_a_book_of_before_that_lacks_a_reason_leaves_open() -> None:
    lacking = [one for one in BOOK.reasons if one.id != "code_unknown"]
    before = replace(BOOK, reasons=tuple(lacking))
    verdict = fill_verdict(None, CASES[0][1], before)
    assert verdict.decision != "fill"
    assert "code_unknown" in {one.reason for one in verdict.reasons}
    assert bars_to_override(verdict, "enterprise_manager", before)


def test_whoever_overrides_overrides_every_reason() -> None:
    for cylinder, seen in CASES:
        verdict = judged(cylinder, seen)
        barred = bars_to_override(verdict, "enterprise_manager", BOOK)
        assert bars_to_override(verdict, "filling_worker", BOOK) == verdict.reasons
        if not barred:
            assert {one.reason for one in verdict.reasons} <= {
                "snapshot_expired",
                "snapshot_ageing",
            }
        assert verdict.decision != "do_not_fill" or barred
