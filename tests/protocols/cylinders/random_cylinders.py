"""Random cylinders and fillings: mostly near a border, often with nothing wrong but one thing."""

import random
from datetime import date, timedelta
from typing import Any

from msgspec.structs import replace

from protocols.cylinders.base import (
    Cylinder,
    MarkedDate,
    Permitted,
    Seen,
    StationPermits,
    Vehicle,
)

GASES = {
    "steel_seamless": "oxygen nitrogen argon hydrogen carbon_dioxide hydrogen_high_purity "
    "oxygen_high_purity nitrogen_high_purity chlorine hydrogen_chloride air mixture mixture",
    "steel_seamless_marine": "breathing_air oxygen",
    "steel_welded": "ammonia chlorine propane nitrogen sulfur_dioxide",
    "aluminium_seamless": "oxygen_medical helium carbon_dioxide sulfur_dioxide mixture",
    "aluminium_seamless_marine": "breathing_air",
    "lpg_household": "lpg lpg lpg dme",
    "lpg_vehicle": "lpg dme",
    "acetylene": "acetylene",
    "adsorbed_natural_gas": "adsorbed_natural_gas",
    "vehicle_cng_steel": "cng",
    "vehicle_cng_hoop_wrapped": "cng",
    "vehicle_hydrogen": "hydrogen hydrogen_high_purity",
    "vehicle_lng": "lng",
    "cryogenic_insulated": "liquid_oxygen liquid_nitrogen liquid_argon",
    "composite_al_liner": "breathing_air oxygen",
    "tube_trailer": "hydrogen helium",
    "fire_suppression_seamless": "nitrogen",
    "fire_suppression_welded": "heptafluoropropane",
}
COMPONENTS = "argon carbon_dioxide oxygen nitrogen helium hydrogen hydrogen_chloride methane"
STANDARDS = ("", "GB 5842-1996", "GB 5842-2006", "GB/T 5842-2022", "GB 5842-2023", "?")
INTERVALS = (2, 3, 4, 5)
LIVES = (8, 12, 15, 20, 30)
FILLER = "org:22-0001"


def marked(rng: random.Random, day: date) -> MarkedDate:
    return MarkedDate(day.year, day.month, rng.choice((0, 0, day.day)))


def years_before(rng: random.Random, day: date, years: int) -> date:
    """About so many years before, often on the very day or at the border of its month."""
    start = (day.replace(day=1) - timedelta(days=1)).replace(day=1)  # of the month before
    near = (day, day, day - timedelta(days=1), day + timedelta(days=1), day.replace(day=1), start)
    at = rng.choice(near)
    return at.replace(year=at.year - years, day=min(at.day, 28) if at.month == 2 else at.day)


def random_day(rng: random.Random) -> date:
    day = date(2012, 1, 1) + timedelta(days=rng.randrange(24 * 365))
    border = rng.randrange(4)
    if border == 0:
        day = day.replace(day=1)
    elif border == 1:
        day = day.replace(day=1) - timedelta(days=1)
    elif border == 2 and day.year % 4 == 0:
        day = date(day.year, 2, 29)
    return day


def random_case(rng: random.Random) -> tuple[Cylinder | None, Seen]:
    """A cylinder that is right in all that is not near a border, then none to two things wrong."""
    on = random_day(rng)
    cylinder = _cylinder(rng, on)
    seen = Seen(filler=FILLER, gas=cylinder.gas, components=cylinder.components, on=on)
    if rng.random() < 0.3:
        seen = replace(seen, permits=_permits(rng, on, cylinder.gas))
    if cylinder.tare_kg is not None:
        weighed = cylinder.tare_kg + rng.choice((-0.3, -0.2, 0.0, 0.4, 2.0))
        seen = replace(seen, weighed_kg=rng.choice((None, max(0.0, round(weighed, 1)))))
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        if rng.random() < 0.5:
            cylinder = replace(cylinder, **_other_facts(rng, cylinder, on))
        else:
            seen = replace(seen, **_other_view(rng, cylinder))
    return (None if rng.random() < 0.01 else cylinder), seen


def _cylinder(rng: random.Random, on: date) -> Cylinder:
    kind = rng.choice(list(GASES))
    gas = rng.choice(GASES[kind].split())
    near_end_of_life = rng.random() < 0.5
    inspected = years_before(
        rng, on, rng.choice((0, 0, 1) if near_end_of_life else (1, *INTERVALS))
    )
    made = years_before(rng, on, rng.choice(LIVES if near_end_of_life else INTERVALS))
    looked_at = marked(rng, max(made, inspected))
    return Cylinder(
        code=f"cylinder:{rng.randrange(10**17):017}",
        kind=kind,
        gas=gas,
        components=tuple(rng.sample(COMPONENTS.split(), 2)) if gas == "mixture" else (),
        standard=rng.choice(STANDARDS),
        manufactured_on=marked(rng, made),
        design_life_years=rng.choice((None, None, None, None, None, 8, 10, 15, 30)),
        inspected_on=looked_at if near_end_of_life else rng.choice((None, looked_at)),
        inspection_due_on=_due_mark(rng, on, kind),
        life_extended=rng.random() < 0.3,
        last_filled_on=rng.choice((None, None, years_before(rng, on, rng.choice((0, *INTERVALS))))),
        filler=FILLER,
        tare_kg=16.5,
        water_capacity_l=35.5,
        allowable_fill_kg=rng.choice((14.9, 14.9, None)),
        vehicle=_vehicle(rng, on) if kind.startswith(("vehicle_", "lpg_vehicle")) else None,
    )


def _due_mark(rng: random.Random, on: date, kind: str) -> MarkedDate | None:
    """Those of which the rules tell no interval mostly have one."""
    near = marked(rng, years_before(rng, on, 0))
    if kind.startswith(("tube_", "fire_")):
        return rng.choice((None, near, MarkedDate(on.year + 1, 1)))
    return rng.choice((None, None, None, near))


def _vehicle(rng: random.Random, on: date) -> Vehicle:
    return Vehicle(
        taxi=rng.random() < 0.4,
        use_registered=rng.random() < 0.95,
        certificate_valid_until=rng.choice(
            (marked(rng, years_before(rng, on, 0)), *[MarkedDate(2100, 1)] * 4, None)
        ),
        scrapped=rng.random() < 0.05,
    )


def _permits(rng: random.Random, on: date, gas: str) -> StationPermits:
    """Mostly one that holds, or did until just now."""
    since = years_before(rng, on, rng.choice((0, 4)))
    until = max(since, rng.choice((on, on, on + timedelta(days=365), years_before(rng, on, 0))))
    mine = Permitted(gas, since, until)
    other = Permitted("lpg", on - timedelta(days=3), on + timedelta(days=3))
    held = rng.choice(((mine,), (mine,), (other, mine), (other,), ()))
    return StationPermits(recorded=bool(held) or rng.random() < 0.5, held=held)


def _other_facts(rng: random.Random, cylinder: Cylinder, on: date) -> dict[str, Any]:
    return rng.choice(
        [
            {"state": rng.choice(("out_of_use", "blocked", "lost", "scrapped"))},
            {"use_registered": False},
            {"manufactured_on": rng.choice((None, MarkedDate(on.year + 1, 1)))},
            {"inspected_on": rng.choice((None, MarkedDate(on.year + 1, 1)))},
            {"inspection_due_on": MarkedDate(on.year + rng.choice((1, 6)), on.month)},
            {"last_filled_on": on + timedelta(days=rng.choice((-2000, 0, 1)))},
            {"purged": False},
            {"filler": rng.choice(("", "org:22-0002"))},
            {"tare_kg": None},
            {"water_capacity_l": None},
            {"allowable_fill_kg": None},
            {"vehicle": None if cylinder.vehicle else Vehicle(use_registered=True)},
            {"kind": rng.choice([*GASES, "barrel"])},
            {"gas": rng.choice((*COMPONENTS.split(), "lpg", "acetylene", "phlogiston"))},
            {"components": rng.choice(((), ("argon", "phlogiston")))},
            {"life_extended": True, "inspected_on": marked(rng, on)},
        ]
    )


def _other_view(rng: random.Random, cylinder: Cylinder) -> dict[str, Any]:
    return rng.choice(
        [
            {"filler": "org:22-0003"},
            {"gas": rng.choice((*COMPONENTS.split(), "nitrogen_high_purity", "lpg", "no_gas"))},
            {"gas": "mixture", "components": tuple(rng.sample(COMPONENTS.split(), 2))},
            {"components": cylinder.components[::-1]},
            {"clock": rng.choice(("unset", "set_back"))},
            {"codes_disagree": True},
            {"clone_suspected": True},
            {"snapshot": rng.choice(("ageing", "expired", "none"))},
            {"snapshot": "ageing", "filled_here_before": True},
            {"checks_failed": ("no_damage",)},
            {"checks_open": ("no_leak", "colour")},
            {"tare_on_tag_kg": rng.choice((16.3, 16.5, 16.7, 16.8))},
            {"weighed_kg": rng.choice((16.2, 16.3, 31.3, 31.4, 31.41, 40.0))},
        ]
    )
