"""Borders of what a verdict rests on beside the tables."""

from datetime import date, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from protocols.cylinders.base import Permitted, StationPermits, Vehicle
from protocols.cylinders.limits import checks_for
from protocols.cylinders.verdict import fill_verdict
from tests.protocols.cylinders.good import BOOK, ON, cylinder, mark, seen


def reasons(facts: dict[str, Any], **view: Any) -> list[str]:
    verdict = fill_verdict(cylinder(**facts), seen(**view), BOOK)
    return [one.reason for one in verdict.reasons]


@pytest.mark.parametrize(
    ("facts", "contradict"),
    [
        ({"manufactured_on": mark("2026-03-31")}, False),  # today
        ({"manufactured_on": mark("2026-04-01")}, True),
        ({"manufactured_on": mark("2026-03")}, False),
        ({"manufactured_on": mark("2026-04")}, True),
        ({"inspected_on": mark("2026-03-31")}, False),
        ({"inspected_on": mark("2026-04-01")}, True),
        ({"last_filled_on": ON}, False),
        ({"last_filled_on": ON.replace(month=4, day=1)}, True),
        ({"manufactured_on": mark("2024-03-20"), "inspected_on": mark("2024-03-20")}, False),
        ({"manufactured_on": mark("2024-03-20"), "inspected_on": mark("2024-03-19")}, True),
        ({"manufactured_on": mark("2024-03-20"), "inspected_on": mark("2024-03")}, False),
        ({"manufactured_on": mark("2024-03-20"), "inspected_on": mark("2024-02")}, True),
        ({"manufactured_on": mark("2024-03"), "inspected_on": mark("2024-02-29")}, True),
        ({"inspection_due_on": mark("2030-03-31")}, False),  # one interval from today
        ({"inspection_due_on": mark("2030-04-01")}, True),
        ({"inspection_due_on": mark("2030-03")}, False),
        ({"inspection_due_on": mark("2030-04")}, True),
    ],
)
def test_dates_that_contradict(facts: dict[str, Any], contradict: bool) -> None:
    assert reasons(facts) == (["dates_contradict"] if contradict else [])
    assert "dates_contradict" not in reasons(facts, clock="set_back")  # who knows what day it is


@pytest.mark.parametrize(
    ("until", "on", "expired"),
    [
        ("2026-03", "2026-03-31", False),
        ("2026-03", "2026-04-01", True),
        ("2026-03-15", "2026-03-15", False),
        ("2026-03-15", "2026-03-16", True),
    ],
)
def test_a_vehicles_certificate(until: str, on: str, expired: bool) -> None:
    vehicle = Vehicle(use_registered=True, certificate_valid_until=mark(until))
    facts = {"kind": "vehicle_cng_steel", "gas": "cng", "vehicle": vehicle}
    day = mark(on).first
    assert reasons(facts, gas="cng", on=day) == (["certificate_expired"] if expired else [])
    foreign = facts | {"filler": "org:other"}
    assert reasons(foreign, gas="cng", on=day) == reasons(facts, gas="cng", on=day)
    unregistered = facts | {"vehicle": replace(vehicle, use_registered=False)}
    assert "not_registered" in reasons(unregistered, gas="cng", on=day)


SPANS = (
    Permitted("lpg", date(2018, 4, 1), date(2022, 3, 31)),
    Permitted("lpg", date(2022, 5, 1), date(2026, 4, 30)),
    Permitted("oxygen", date(2018, 4, 1), date(2030, 3, 31)),
)


@pytest.mark.parametrize(
    ("on", "held"),
    [
        ("2018-03-31", False),
        ("2018-04-01", True),
        ("2022-03-31", True),
        ("2022-04-01", False),
        ("2022-04-30", False),
        ("2022-05-01", True),
        ("2026-04-30", True),
        ("2026-05-01", False),
    ],
)
def test_a_permit_counts_from_its_first_day_through_its_last(on: str, held: bool) -> None:
    day = date.fromisoformat(on)
    view = seen(on=day, permits=StationPermits(recorded=True, held=SPANS))
    good = cylinder(manufactured_on=mark(f"{day.year}-01"))
    found = {one.reason: one for one in fill_verdict(good, view, BOOK).reasons}
    assert ("no_permit" in found) == (not held)
    if not held:
        days = "2018-04-01 to 2022-03-31, 2022-05-01 to 2026-04-30"
        assert found["no_permit"].found == f"lpg: {days}"
        assert found["no_permit"].decision == "do_not_fill"


def test_a_permit_is_for_the_gas_of_the_gun() -> None:
    mine = StationPermits(recorded=True, held=(Permitted("nitrogen", date.min, date.max),))
    facts = {"kind": "steel_seamless", "gas": "nitrogen"}
    assert reasons(facts, gas="nitrogen", permits=mine) == []
    assert reasons(facts, gas="nitrogen_high_purity", permits=mine) == ["no_permit"]
    assert reasons(facts, gas="nitrogen", permits=StationPermits(recorded=True)) == ["no_permit"]
    unknown = StationPermits(recorded=False)
    assert reasons(facts, gas="nitrogen", permits=unknown) == ["permit_unknown"]
    assert reasons(facts, gas="nitrogen", permits=None) == []


def test_a_city_says_from_when_on_permits_are_asked_for() -> None:
    assert BOOK.permits is not None
    later = replace(BOOK, permits=replace(BOOK.permits, from_=ON))
    view = seen(permits=StationPermits(recorded=False))
    assert fill_verdict(cylinder(), view, later).decision == "cannot_decide"
    day_before = replace(view, on=ON - timedelta(days=1))
    assert fill_verdict(cylinder(), day_before, later).decision == "fill"
    assert fill_verdict(cylinder(), view, replace(BOOK, permits=None)).decision == "fill"


def test_the_view_of_a_verdict() -> None:
    verdict = fill_verdict(cylinder(), seen(), BOOK)
    assert verdict.decision == "fill"
    assert verdict.rules_version == BOOK.version
    assert str(verdict.due_on) == "2028-03-31"
    assert str(verdict.life_ends_on) == "2032-03-31"
    assert verdict.limit_kg == 14.9


def test_every_failed_and_open_check_is_told() -> None:
    view = seen(checks_failed=("no_damage", "colour"), checks_open=("marks_legible",))
    verdict = fill_verdict(cylinder(), view, BOOK)
    assert [(one.reason, one.found) for one in verdict.reasons] == [
        ("check_failed", "colour"),
        ("check_failed", "no_damage"),
        ("check_open", "marks_legible"),
    ]


def asked(facts: dict[str, Any], **conditions: Any) -> bool:
    plain = replace(BOOK.checks[0], id="one", **conditions)
    return [one.id for one in checks_for(cylinder(**facts), replace(BOOK, checks=(plain,)))] == [
        "one"
    ]


@pytest.mark.parametrize(
    ("conditions", "lpg", "oxygen", "unknown"),
    [
        ({}, True, True, True),
        ({"when": "after"}, False, False, False),
        ({"kinds": ("lpg_household",)}, True, False, True),
        ({"gases": ("lpg", "dme")}, True, False, True),
        ({"forms": ("compressed",)}, False, True, True),
        ({"traits": ("flammable", "toxic")}, True, False, True),
        ({"vehicle": False}, True, True, True),
        ({"vehicle": True}, False, False, True),
        ({"kinds": ("lpg_household",), "traits": ("oxidising",)}, False, False, True),
        ({"only_unpurged": True}, False, False, False),
    ],
)
def test_whom_a_check_is_asked_of(
    conditions: dict[str, Any], lpg: bool, oxygen: bool, unknown: bool
) -> None:
    assert asked({}, **conditions) is lpg
    assert asked({"kind": "steel_seamless", "gas": "oxygen"}, **conditions) is oxygen
    assert asked({"kind": "barrel", "gas": "beer"}, **conditions) is unknown
    if not conditions.get("only_unpurged"):
        nothing_told = {"kind": "barrel", "gas": "mixture", "components": ()}
        assert asked(nothing_told, **conditions) is unknown
