"""Every row of the tables of intervals, lives and refusals, on the days around its border.

The rows are typed from the tables that the rule files follow, not read from those files.
"""

from datetime import date, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from protocols.cylinders.base import Cylinder, MarkedDate, Vehicle
from protocols.cylinders.due import due_on, life_ends_on
from protocols.cylinders.limits import checks_for
from protocols.cylinders.verdict import fill_verdict
from tests.protocols.cylinders.good import BOOK, cylinder, mark, seen

TABLE = """
steel_seamless             chlorine               2 12   corrosive to the shell
steel_seamless             hydrogen_chloride      2 12
steel_seamless_marine      breathing_air          2 12   diving; often in sea water
steel_seamless_marine      oxygen                 2 12
steel_seamless             nitrogen               5 30   inert
steel_seamless             argon                  5 30
steel_seamless             sulfur_hexafluoride    5 30
steel_seamless             carbon_tetrafluoride   5 30
steel_seamless             oxygen_high_purity     5 30   99.999 % and purer
steel_seamless             hydrogen_high_purity   5 30
steel_seamless             oxygen                 3 30   all other
steel_seamless             hydrogen               3 30
steel_seamless             carbon_dioxide         3 30
steel_seamless             air                    3 30
steel_seamless             argon+carbon_dioxide   3 30   mixture: the shortest of its components
steel_seamless             argon+helium           5 30
steel_seamless             nitrogen+chlorine      2 12
aluminium_seamless         helium+carbon_dioxide  3 20
steel_welded               ammonia                2 12   not LPG or DME
steel_welded               nitrogen               5 20
steel_welded               propane                3 20
aluminium_seamless         sulfur_dioxide         2 20
aluminium_seamless_marine  breathing_air          2 20
aluminium_seamless         oxygen                 3 20
aluminium_seamless         argon                  5 20
lpg_household              lpg                    4  8
lpg_household              dme                    4  8
lpg_vehicle                lpg                    5 15
lpg_vehicle                dme                    5 15
acetylene                  acetylene              3 20
adsorbed_natural_gas       adsorbed_natural_gas   3 20
vehicle_cng_steel          cng                    3 15
vehicle_cng_hoop_wrapped   cng                    3 15
vehicle_hydrogen           hydrogen               3 15
vehicle_lng                lng                    3  -   scrapped when the insulation fails
cryogenic_insulated        liquid_oxygen          3  -
cryogenic_insulated        liquid_nitrogen        3  -
cryogenic_insulated        liquid_argon           3  -
cryogenic_insulated        liquid_carbon_dioxide  3  -
cryogenic_insulated        liquid_nitrous_oxide   3  -
composite_al_liner         breathing_air          3 15
composite_al_liner         oxygen                 3 15
tube_trailer               hydrogen               - 20   another rule tells the interval
fire_suppression_seamless  nitrogen               - 30
fire_suppression_welded    heptafluoropropane     - 20
"""
ROWS = [line.split()[:4] for line in TABLE.strip().splitlines()]
DAY = timedelta(days=1)
MADE = {
    # as marked: the last good day of its month so many years later, as (month, day)
    "2016-05": (5, 31),
    "2016-04": (4, 30),
    "2016-12": (12, 31),
    "2016-05-17": (5, 17),
    "2016-01-31": (1, 31),
    "2016-02": (2, 28),
    "2016-02-29": (2, 28),
    "2016-02-28": (2, 28),
}
ON_ROAD = Vehicle(use_registered=True, certificate_valid_until=MarkedDate(2100, 1))


def of(kind: str, gas: str, made: str, **facts: Any) -> Cylinder:
    parts = tuple(gas.split("+"))
    return cylinder(
        kind=kind,
        gas="mixture" if len(parts) > 1 else gas,
        components=parts if len(parts) > 1 else (),
        standard="",
        manufactured_on=mark(made),
        vehicle=ON_ROAD if BOOK.kind[kind].vehicle else None,
        **facts,
    )


def last_day(made: str, years: int) -> date:
    year = 2016 + years
    if made in {"2016-02", "2016-02-29"} and year % 4 == 0:  # no year of 2100 is among them
        return date(year, 2, 29)
    return date(year, *MADE[made])


def reasons(one: Cylinder, on: date) -> list[str]:
    verdict = fill_verdict(one, seen(gas=one.gas, components=one.components, on=on), BOOK)
    return [reason.reason for reason in verdict.reasons]


@pytest.mark.parametrize(("kind", "gas", "interval", "life"), ROWS)
def test_interval(kind: str, gas: str, interval: str, life: str) -> None:
    for made in MADE:
        one = of(kind, gas, made)
        last = last_day(made, 0 if interval == "-" else int(interval))
        if interval == "-":  # what is marked counts alone
            assert reasons(one, last) == ["due_unknown"]
            one = replace(one, inspection_due_on=mark(made))
            one = replace(one, manufactured_on=mark("2014-01"))
        assert due_on(one, BOOK, last) == last
        assert reasons(one, last - DAY) == []
        assert reasons(one, last) == []
        assert reasons(one, last + DAY) == ["inspection_overdue"]


@pytest.mark.parametrize(("kind", "gas", "interval", "life"), ROWS)
def test_design_life(kind: str, gas: str, interval: str, life: str) -> None:
    for made in MADE:
        one = of(kind, gas, made)
        if life == "-":
            assert life_ends_on(one, BOOK, date(2017, 1, 1)) is None
            assert reasons(replace(one, inspected_on=mark("2099-01")), date(2099, 2, 1)) == []
            continue
        last = last_day(made, int(life))
        one = replace(one, inspected_on=MarkedDate(last.year, 1, 1))
        if interval == "-":
            one = replace(one, inspection_due_on=MarkedDate(last.year + 2, 1))
        assert life_ends_on(one, BOOK, last) == last
        assert reasons(one, last - DAY) == []
        assert reasons(one, last) == []
        assert reasons(one, last + DAY) == ["beyond_life"]


@pytest.mark.parametrize(
    ("standard", "made", "extended", "last"),
    [
        ("GB 5842-2006", "2016-05", False, "2024-05-31"),
        ("GB 5842-2006", "2016-05", True, "2028-05-31"),  # twelve years at most
        ("GB/T 5842-2022", "2023-05", False, "2031-05-31"),
        ("GB 5842-2023", "2024-05", True, "2036-05-31"),
        ("gb/t5842-2022", "2023-05", False, "2031-05-31"),
        ("", "2016-05", False, "2024-05-31"),
        ("GB 5842-1996", "2007-01", False, "2022-01-31"),
        ("GB 5842-1996", "2007-01", True, "2022-01-31"),  # was never extended
        ("GB 5842-1996", "2007-02", False, "2015-02-28"),  # withdrawn by then
        ("", "2007-01", False, "2015-01-31"),
    ],
)
def test_life_of_lpg_cylinders_by_standard(
    standard: str, made: str, extended: bool, last: str
) -> None:
    one = cylinder(standard=standard, manufactured_on=mark(made), life_extended=extended)
    day = date.fromisoformat(last)
    one = replace(one, inspected_on=MarkedDate(day.year, day.month, day.day))
    assert life_ends_on(one, BOOK, day) == day
    assert reasons(one, day) == []
    assert reasons(one, day + DAY) == ["beyond_life"]


def test_a_taxis_steel_cng_cylinder_lives_eight_years_and_goes_with_the_taxi() -> None:
    taxi = replace(ON_ROAD, taxi=True)
    one = replace(of("vehicle_cng_steel", "cng", "2016-05"), inspected_on=mark("2024-01"))
    one = replace(one, vehicle=taxi)
    assert reasons(one, date(2024, 5, 31)) == []
    assert reasons(one, date(2024, 6, 1)) == ["beyond_life"]
    assert reasons(replace(one, vehicle=ON_ROAD), date(2024, 6, 1)) == []
    gone = replace(one, vehicle=replace(taxi, scrapped=True))
    assert reasons(gone, date(2024, 5, 31)) == ["scrapped_with_vehicle"]


@pytest.mark.parametrize(
    ("filled", "inspected", "on", "idle"),
    [
        (date(2022, 5, 17), None, date(2026, 3, 1), False),
        (date(2022, 2, 28), None, date(2026, 2, 28), False),
        (date(2022, 2, 28), None, date(2026, 3, 1), True),
        (date(2020, 2, 29), None, date(2024, 2, 29), False),
        (date(2020, 2, 29), None, date(2024, 3, 1), True),
        (date(2020, 2, 29), "2024-02-01", date(2024, 3, 1), False),  # inspected since
    ],
)
def test_out_of_use_for_longer_than_one_interval(
    filled: date, inspected: str | None, on: date, idle: bool
) -> None:
    one = cylinder(manufactured_on=mark("2019-01"), last_filled_on=filled)
    if inspected:
        one = replace(one, inspected_on=mark(inspected))
    assert ("idle" in reasons(one, on)) == idle


GROSS: dict[str, Any] = {"tare_on_tag_kg": 12.0}
REFUSALS: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    # number in the list of refusals, what differs in the cylinder and in the view, all reasons
    ("1", {}, {"checks_failed": ("licensed_make",)}, ["check_failed"]),
    ("2 not own", {"filler": "org:other"}, {}, ["foreign_filler"]),
    ("2 owner not known", {"filler": ""}, {}, ["filler_unknown"]),
    ("2 not registered", {"use_registered": False}, {}, ["not_registered"]),
    ("2 differs", {}, {"checks_failed": ("as_registered",)}, ["check_failed"]),
    ("3 marks", {}, {"checks_failed": ("marks_legible",)}, ["check_failed"]),
    ("3 colour", {}, {"checks_failed": ("colour",)}, ["check_failed"]),
    ("4 overdue", {"manufactured_on": mark("2022-02")}, {}, ["inspection_overdue"]),
    ("4 scrapped", {"state": "scrapped"}, {}, ["scrapped"]),
    ("4 failed inspection", {"state": "blocked"}, {}, ["blocked"]),
    (
        "5",
        {"manufactured_on": mark("2018-02"), "inspected_on": mark("2025-05")},
        {},
        ["beyond_life"],
    ),
    ("6", {}, {"checks_failed": ("residue_drawn_off",)}, ["check_failed"]),
    ("7", {}, {"checks_failed": ("accessories",)}, ["check_failed"]),
    ("8", {}, {"checks_failed": ("no_damage",)}, ["check_failed"]),
    ("9", {}, {"checks_failed": ("no_oil",)}, ["check_failed"]),
    ("10", {"purged": False}, {}, ["not_purged"]),
    ("11 shell", {"kind": "acetylene"}, {}, ["gas_not_for_kind", "due_unknown", "life_unknown"]),
    ("11 other gas", {}, {"gas": "dme"}, ["wrong_gas"]),
    ("12", {"tare_kg": None}, {}, ["tare_unknown"]),
    ("two codes", {}, {"codes_disagree": True}, ["codes_disagree"]),
    ("clone", {}, {"clone_suspected": True}, ["clone_suspected"]),
    ("tare on tag", {}, GROSS, ["tare_disagrees"]),
    ("lost", {"state": "lost"}, {}, ["lost"]),
]


@pytest.mark.parametrize(
    ("facts", "view", "expected"), [pytest.param(*row[1:], id=row[0]) for row in REFUSALS]
)
def test_refusals_before_filling(
    facts: dict[str, Any], view: dict[str, Any], expected: list[str]
) -> None:
    verdict = fill_verdict(cylinder(**facts), seen(**view), BOOK)
    assert [one.reason for one in verdict.reasons] == expected
    assert verdict.decision != "fill"


CHECKLIST = {
    "lpg": "licensed_make as_registered marks_legible colour residue_drawn_off accessories "
    "no_damage no_fire_marks purged",
    "oxygen": "licensed_make as_registered marks_legible colour residual_pressure accessories "
    "no_damage no_fire_marks no_oil",
    "cng": "licensed_make as_registered marks_legible residual_pressure accessories no_damage "
    "no_fire_marks purged nobody_in_vehicle surroundings_safe fuel_system_sound",
    "argon+oxygen": "licensed_make as_registered marks_legible colour residual_pressure "
    "accessories no_damage no_fire_marks no_oil",
}


@pytest.mark.parametrize(("gas", "expected"), CHECKLIST.items())
def test_checklist_of_a_first_filling(gas: str, expected: str) -> None:
    kind = {"lpg": "lpg_household", "cng": "vehicle_cng_steel"}.get(gas, "steel_seamless")
    one = of(kind, gas, "2024-03", purged=False)
    if "+" in gas:
        assert "purged" not in {check.id for check in checks_for(one, BOOK)}
    found = [check.id for check in checks_for(one, BOOK)]
    assert found == expected.split()
    assert "purged" not in {check.id for check in checks_for(replace(one, purged=True), BOOK)}


def test_checklist_after_filling() -> None:
    asked = [check.id for check in checks_for(cylinder(), BOOK, "after")]
    assert asked == ["no_leak", "temperature_normal", "labels_on"]
