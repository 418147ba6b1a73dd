"""Masses before and after filling."""

from typing import Any

import pytest
from msgspec.structs import replace

from protocols.cylinders.base import Cylinder
from protocols.cylinders.limits import Filled, after_fill, is_weighed, limit_kg
from protocols.cylinders.verdict import fill_verdict
from tests.protocols.cylinders.good import BOOK, cylinder, seen


@pytest.mark.parametrize(
    ("facts", "limit"),
    [
        ({}, 14.9),  # marked, and a little below factor by volume
        ({"allowable_fill_kg": 15.5}, 0.42 * 35.5),  # marked too much
        ({"allowable_fill_kg": None}, 0.42 * 35.5),
        ({"water_capacity_l": None}, 14.9),
        ({"water_capacity_l": None, "allowable_fill_kg": None}, None),
        ({"water_capacity_l": 118.0, "allowable_fill_kg": 49.5}, 49.5),
        ({"kind": "steel_seamless", "gas": "oxygen"}, None),
        ({"kind": "lpg_vehicle"}, None),
        ({"kind": "barrel"}, None),
    ],
)
def test_limit(facts: dict[str, Any], limit: float | None) -> None:
    assert limit_kg(cylinder(**facts), BOOK) == limit


@pytest.mark.parametrize(
    ("kind", "gas", "weighed"),
    [
        ("lpg_household", "lpg", True),
        ("lpg_vehicle", "lpg", False),
        ("acetylene", "acetylene", True),
        ("cryogenic_insulated", "liquid_nitrogen", True),
        ("vehicle_lng", "lng", False),
        ("steel_seamless", "carbon_dioxide", True),
        ("steel_seamless", "oxygen", False),
        ("steel_seamless", "mixture", False),
    ],
)
def test_what_is_filled_by_mass(kind: str, gas: str, weighed: bool) -> None:
    assert is_weighed(cylinder(kind=kind, gas=gas), BOOK) is weighed


@pytest.mark.parametrize(
    ("tare_on_tag_kg", "weighed_kg", "expected"),
    [
        (16.3, 16.3, []),
        (16.7, 16.9, []),
        (16.29, None, ["tare_disagrees"]),
        (16.71, None, ["tare_disagrees"]),
        (None, 16.29, ["tare_disagrees"]),
        (None, 31.39, []),
        (None, 31.4, ["full_already"]),  # 31.4 less 16.5 is not quite 14.9 for a computer
        (16.0, 40.0, ["full_already", "tare_disagrees"]),
    ],
)
def test_tare_and_scale(
    tare_on_tag_kg: float | None, weighed_kg: float | None, expected: list[str]
) -> None:
    view = seen(tare_on_tag_kg=tare_on_tag_kg, weighed_kg=weighed_kg)
    found = [one.reason for one in fill_verdict(cylinder(), view, BOOK).reasons]
    assert found == expected


def test_a_heavy_cylinders_tare_may_differ_by_a_hundredth() -> None:
    heavy = cylinder(tare_kg=400.0)
    assert not fill_verdict(heavy, seen(tare_on_tag_kg=404.0), BOOK).reasons
    assert fill_verdict(heavy, seen(tare_on_tag_kg=404.1), BOOK).reasons


def test_a_mixture_of_liquefied_gases_is_weighed_and_needs_a_mark() -> None:
    parts = ("carbon_dioxide", "sulfur_hexafluoride")
    one = cylinder(kind="steel_seamless", gas="mixture", components=parts)
    assert limit_kg(one, BOOK) == 14.9
    unmarked = replace(one, allowable_fill_kg=None)
    view = seen(gas="mixture", components=parts)
    assert [found.reason for found in fill_verdict(unmarked, view, BOOK).reasons] == [
        "limit_unknown"
    ]
    assert not is_weighed(replace(one, components=("argon", "carbon_dioxide")), BOOK)


def findings(one: Cylinder | None, **facts: Any) -> list[tuple[str, str]]:
    usual: dict[str, Any] = {"decision": "fill", "before_kg": 16.6, "after_kg": 31.3}
    filled = Filled(**(usual | facts))
    return [(found.finding, found.found) for found in after_fill(one, filled, BOOK)]


def test_after_a_good_filling_nothing_is_found() -> None:
    assert findings(cylinder()) == []
    assert findings(cylinder(), after_kg=31.4) == []


def test_a_gram_too_much_stays_here() -> None:
    assert findings(cylinder(), after_kg=31.401) == [
        ("overfilled", "14.901 kg in it, limit 14.9 kg")
    ]


@pytest.mark.parametrize(
    ("facts", "filled", "missing"),
    [
        ({"tare_kg": None}, {}, "tare"),
        ({}, {"after_kg": None}, "mass"),
        ({"allowable_fill_kg": None, "water_capacity_l": None}, {}, "limit"),
    ],
)
def test_what_cannot_be_told_stays_here(
    facts: dict[str, Any], filled: dict[str, Any], missing: str
) -> None:
    assert findings(cylinder(**facts), **filled) == [("overfill_untold", missing)]


def test_compressed_gas_is_not_weighed() -> None:
    one = cylinder(kind="steel_seamless", gas="oxygen")
    assert findings(one, before_kg=None, after_kg=None) == []


def test_lighter_than_before() -> None:
    assert findings(cylinder(), before_kg=20.0, after_kg=19.0) == [
        ("lighter_than_before", "20 kg, then 19 kg")
    ]


def test_without_a_verdict_or_against_it() -> None:
    assert findings(cylinder(), decision=None) == [("fill_without_verdict", "")]
    for decision in ("do_not_fill", "cannot_decide"):
        assert findings(cylinder(), decision=decision) == [("filled_against_verdict", decision)]
    assert findings(cylinder(), decision="cannot_decide", overridden=True) == []
    assert findings(None, decision=None) == [
        ("fill_without_verdict", ""),
        ("overfill_untold", "cylinder"),
    ]


def test_what_forbids_is_never_overridden() -> None:
    assert findings(cylinder(), decision="do_not_fill", overridden=True) == [
        ("filled_against_verdict", "do_not_fill")
    ]


def test_checks_after_filling() -> None:
    found = after_fill(
        cylinder(),
        Filled(
            decision="fill",
            before_kg=16.6,
            after_kg=31.3,
            checks_failed=("no_leak",),
            checks_open=("labels_on",),
        ),
        BOOK,
    )
    assert [(one.finding, one.found, one.stays) for one in found] == [
        ("check_failed", "no_leak", True),
        ("check_open", "labels_on", True),
    ]
