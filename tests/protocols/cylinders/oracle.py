"""A slow second opinion on one filling, typed from the tables of the rules' sources.

It shares nothing with `protocols.cylinders` but the shape of the question: figures stand here once
more, dates are three numbers, and a term is walked month by month. It says which of the numbered
conditions speak against filling; their numbers follow the usual list of refusals before filling.
"""

from datetime import date

from protocols.cylinders.base import Cylinder, MarkedDate, Seen

Day = tuple[int, int, int]

INERT = (
    "nitrogen argon helium neon krypton xenon"
    " sulfur_hexafluoride carbon_tetrafluoride heptafluoropropane"
)
CORROSIVE = "chlorine ammonia sulfur_dioxide hydrogen_chloride hydrogen_sulfide carbon_monoxide"
PURE_INERT = "nitrogen_high_purity argon_high_purity helium_high_purity"
PURE = f"{PURE_INERT} oxygen_high_purity hydrogen_high_purity"
OTHER = (
    "oxygen oxygen_medical hydrogen methane cng air breathing_air"
    " carbon_dioxide nitrous_oxide propane propylene"
)
LIQUID_COLD = (
    "lng liquid_oxygen liquid_nitrogen liquid_argon liquid_carbon_dioxide liquid_nitrous_oxide"
)
LIQUEFIED = (
    "lpg dme propane propylene carbon_dioxide nitrous_oxide sulfur_hexafluoride heptafluoropropane"
    " ammonia chlorine sulfur_dioxide hydrogen_chloride hydrogen_sulfide"
)
BURNS = (
    "hydrogen hydrogen_high_purity methane cng carbon_monoxide lpg dme propane propylene"
    " hydrogen_sulfide lng acetylene adsorbed_natural_gas"
)
PURER = {f"{name}_high_purity": name for name in ("nitrogen", "argon", "helium", "hydrogen")}
KG_PER_L = {
    "lpg": 0.42, "dme": 0.58, "propane": 0.41, "propylene": 0.42, "carbon_dioxide": 0.60,
    "nitrous_oxide": 0.62, "ammonia": 0.53, "chlorine": 1.25, "sulfur_dioxide": 1.23,
}  # fmt: skip
ALL = f"{INERT} {CORROSIVE} {PURE} {OTHER} {LIQUID_COLD} {LIQUEFIED} {BURNS}"
PRESSED = f"{INERT} {CORROSIVE} {PURE} {OTHER} {LIQUEFIED}"
"""Gases under pressure, liquefied or not; single names are taken away below."""

HOLDS = {
    "steel_seamless": (PRESSED, "lpg dme propane propylene"),
    "steel_seamless_marine": (PRESSED, "lpg dme propane propylene"),
    "steel_welded": (PRESSED, "lpg dme"),
    "aluminium_seamless": (PRESSED, "lpg dme propane propylene chlorine hydrogen_chloride"),
    "aluminium_seamless_marine": (PRESSED, "lpg dme propane propylene chlorine hydrogen_chloride"),
    "lpg_household": ("lpg dme", ""),
    "lpg_vehicle": ("lpg dme", ""),
    "acetylene": ("acetylene", ""),
    "adsorbed_natural_gas": ("adsorbed_natural_gas", ""),
    "vehicle_cng_steel": ("cng", ""),
    "vehicle_cng_hoop_wrapped": ("cng", ""),
    "vehicle_hydrogen": ("hydrogen hydrogen_high_purity", ""),
    "vehicle_lng": ("lng", ""),
    "cryogenic_insulated": (LIQUID_COLD, ""),
    "composite_al_liner": ("air breathing_air oxygen oxygen_medical", ""),
    "tube_trailer": (f"{INERT} {PURE} {OTHER} carbon_monoxide", LIQUEFIED),
    "fire_suppression_seamless": (PRESSED, "lpg dme propane propylene"),
    "fire_suppression_welded": (PRESSED, "lpg dme propane propylene"),
}
ROAD = (
    "lpg_vehicle",
    "vehicle_cng_steel",
    "vehicle_cng_hoop_wrapped",
    "vehicle_hydrogen",
    "vehicle_lng",
)
NOT_FIXED = 0


def interval(kind: str, gas: str) -> int | None:
    """Years between inspections of one gas in one shell; None: nobody can say."""
    if kind not in HOLDS:
        return None
    gases, but = HOLDS[kind]
    if gas not in gases.split() or gas in but.split():
        return None
    corrosive, inert, pure = (gas in names.split() for names in (CORROSIVE, INERT, PURE))
    match kind:
        case "steel_seamless":
            return 2 if corrosive else 5 if inert or pure else 3
        case "steel_seamless_marine" | "aluminium_seamless_marine":
            return 2
        case "steel_welded" | "aluminium_seamless":
            noble = inert or gas in PURE_INERT.split()
            return 2 if corrosive else 5 if noble else 3
        case "lpg_household":
            return 4
        case "lpg_vehicle":
            return 5
        case "tube_trailer" | "fire_suppression_seamless" | "fire_suppression_welded":
            return NOT_FIXED
    return 3


def life_years(cylinder: Cylinder, gas: str) -> int | None:
    """Years of design life by the table; None: nobody can say."""
    kind = cylinder.kind
    if interval(kind, gas) is None:
        return None
    table = {
        "steel_seamless": 30, "steel_seamless_marine": 12, "steel_welded": 20,
        "aluminium_seamless": 20, "aluminium_seamless_marine": 20, "lpg_vehicle": 15,
        "acetylene": 20, "adsorbed_natural_gas": 20, "vehicle_cng_steel": 15,
        "vehicle_cng_hoop_wrapped": 15, "vehicle_hydrogen": 15, "vehicle_lng": NOT_FIXED,
        "cryogenic_insulated": NOT_FIXED, "composite_al_liner": 15, "tube_trailer": 20,
        "fire_suppression_seamless": 30, "fire_suppression_welded": 20,
    }  # fmt: skip
    if kind in ("steel_seamless", "steel_welded") and gas in CORROSIVE.split():
        return 12
    if kind == "vehicle_cng_steel" and cylinder.vehicle and cylinder.vehicle.taxi:
        return 8
    if kind == "lpg_household":
        made = cylinder.manufactured_on
        old = made is not None and (made.year, made.month) < (2007, 2)
        return 15 if cylinder.standard == "GB 5842-1996" and old else 8
    return table[kind]


def days_in(year: int, month: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]


def later(marked: MarkedDate, years: int) -> Day:
    """Walk on month by month; no day means the last of the month."""
    year, month = marked.year, marked.month
    for _ in range(12 * years):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    last = days_in(year, month)
    return year, month, min(marked.day or last, last)


def numbers(day: date | MarkedDate) -> Day:
    return day.year, day.month, day.day


def grams(kg: float) -> int:
    return round(kg * 1000)


class Opinion:
    """What the oracle thinks; `against` holds the conditions that speak against filling."""

    def __init__(self, cylinder: Cylinder | None, seen: Seen) -> None:
        self.against: set[str] = set()
        self.due: Day | None = None
        self.life: Day | None = None
        self.limit: float | None = None
        self.today = numbers(seen.on)
        self.station(seen)
        self.licence(seen)
        if cylinder is None:
            self.against.add("unknown code")
            return
        self.parts = cylinder.components if cylinder.gas == "mixture" else (cylinder.gas,)
        self.owner(cylinder, seen)
        self.vehicle(cylinder)
        self.terms(cylinder, seen)
        self.end_of_life(cylinder)
        self.gas(cylinder, seen)
        self.mass(cylinder, seen)

    def refuse(self, condition: str, holds: bool) -> None:
        if holds:
            self.against.add(condition)

    def station(self, seen: Seen) -> None:
        self.refuse("clock", seen.clock in ("unset", "set_back"))
        self.refuse("snapshot", seen.snapshot in ("none", "expired"))
        self.refuse("snapshot", seen.snapshot == "ageing" and not seen.filled_here_before)
        self.refuse("two codes", seen.codes_disagree)
        self.refuse("clone", seen.clone_suspected)
        self.refuse("checklist", len(seen.checks_failed) + len(seen.checks_open) > 0)

    def licence(self, seen: Seen) -> None:
        """Count the days of each stretch: today is one of them, or this unit may not fill."""
        told = seen.permits
        if told is None:
            return
        today = date(*self.today).toordinal()
        days = [
            first.toordinal() + number
            for gas, first, last in ((one.gas, one.since, one.until) for one in told.held)
            if gas == seen.gas
            for number in range((last - first).days + 1)
        ]
        self.refuse("1 no filling permit", not told.recorded or today not in days)

    def owner(self, cylinder: Cylinder, seen: Seen) -> None:
        self.refuse("4 scrapped, lost, blocked", cylinder.state != "in_use")
        self.refuse("2 not registered", not cylinder.use_registered)
        if cylinder.kind not in ROAD:
            self.refuse("2 not own", cylinder.filler == "" or cylinder.filler != seen.filler)

    def vehicle(self, cylinder: Cylinder) -> None:
        car = cylinder.vehicle
        if cylinder.kind not in ROAD:
            self.refuse("not for vehicles", car is not None and cylinder.kind in HOLDS)
            return
        if car is None:
            self.against.add("no vehicle")
            return
        self.refuse("2 not registered", not car.use_registered)
        self.refuse("vehicle scrapped", car.scrapped)
        until = car.certificate_valid_until
        self.refuse("certificate", until is None or self.today > later(until, 0))

    def terms(self, cylinder: Cylinder, seen: Seen) -> None:
        years = [interval(cylinder.kind, gas) for gas in self.parts]
        if not years or None in years:
            self.against.add("4 no term")
            return
        shortest = min(year for year in years if year is not None)
        begun = cylinder.inspected_on or cylinder.manufactured_on
        ends = [later(begun, shortest)] if begun and shortest else []
        if cylinder.inspection_due_on:
            ends.append(later(cylinder.inspection_due_on, 0))
        if ends:
            self.due = min(ends)
        self.refuse("4 overdue", self.due is None or self.today > self.due)
        self.idle(cylinder, shortest)
        if seen.clock == "trusted":
            self.contradictions(cylinder, shortest)

    def idle(self, cylinder: Cylinder, years: int) -> None:
        filled = cylinder.last_filled_on
        if filled is None or not years:
            return
        good_until = later(MarkedDate(*numbers(filled)), years)
        if cylinder.inspected_on:
            good_until = max(good_until, later(cylinder.inspected_on, years))
        self.refuse("out of use longer than one interval", self.today > good_until)

    def contradictions(self, cylinder: Cylinder, years: int) -> None:
        known = (cylinder.manufactured_on, cylinder.inspected_on, cylinder.last_filled_on)
        for day in known:
            first = (*numbers(day)[:2], max(1, day.day)) if day else self.today
            self.refuse("not yet", first > self.today)
        made, inspected, due = (
            cylinder.manufactured_on,
            cylinder.inspected_on,
            cylinder.inspection_due_on,
        )
        if made and inspected:
            before = later(inspected, 0) < (made.year, made.month, made.day or 1)
            self.refuse("inspected before made", before)
        if due and years:
            at_most = later(MarkedDate(*self.today), years)
            self.refuse("due too late", (due.year, due.month, due.day or 1) > at_most)

    def end_of_life(self, cylinder: Cylinder) -> None:
        table = [life_years(cylinder, gas) for gas in self.parts]
        if not table or None in table:
            self.against.add("5 no life")
            return
        years = [year for year in (*table, cylinder.design_life_years) if year]
        if not years:
            return
        total = min(years)
        if cylinder.life_extended and cylinder.kind == "lpg_household" and table != [15]:
            total += 4
        if cylinder.manufactured_on is None:
            self.against.add("5 no life")
            return
        self.life = later(cylinder.manufactured_on, total)
        self.refuse("5 over design life", self.today > self.life)

    def gas(self, cylinder: Cylinder, seen: Seen) -> None:
        if seen.gas == "mixture":
            same = cylinder.gas == "mixture" and sorted(set(seen.components)) == sorted(
                set(cylinder.components)
            )
            flows = seen.components
        else:
            same = seen.gas == cylinder.gas or PURER.get(seen.gas) == cylinder.gas
            flows = (seen.gas,)
        self.refuse("11 dedicated to another gas", not same)
        for gas in flows:
            self.refuse("gas not known", gas not in ALL.split())
            if cylinder.kind in HOLDS:
                gases, but = HOLDS[cylinder.kind]
                fits = gas in gases.split() and gas not in but.split()
                self.refuse("11 shell and gas", not fits)
            self.refuse("10 not purged", not cylinder.purged and gas in BURNS.split())

    def mass(self, cylinder: Cylinder, seen: Seen) -> None:
        by_scale = f"{LIQUEFIED} {LIQUID_COLD} acetylene".split()
        if cylinder.kind in ROAD or cylinder.kind not in HOLDS or not self.parts:
            return
        if [part for part in self.parts if part not in by_scale]:
            return
        limits = []
        if cylinder.allowable_fill_kg is not None:
            limits.append(cylinder.allowable_fill_kg)
        if cylinder.gas in KG_PER_L and cylinder.water_capacity_l is not None:
            limits.append(KG_PER_L[cylinder.gas] * cylinder.water_capacity_l)
        self.limit = min(limits) if limits else None
        self.refuse("no limit", not limits)
        tare = cylinder.tare_kg
        self.refuse("12 tare unknown", tare is None)
        if tare is None:
            return
        play = max(200, grams(tare) / 100)
        on_tag, scale = seen.tare_on_tag_kg, seen.weighed_kg
        self.refuse("tare", on_tag is not None and abs(grams(on_tag) - grams(tare)) > play)
        self.refuse("tare", scale is not None and grams(scale) < grams(tare) - play)
        full = scale is not None and bool(limits)
        self.refuse("full", full and grams(scale or 0) - grams(tare) >= grams(min(limits)))
