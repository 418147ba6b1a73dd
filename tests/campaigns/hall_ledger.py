"""What bottles, valves and the page of a hall showed, held against what was recorded of them.

Nothing here asks the gateway: which bottle may be filled is judged by what it is made of in the
story, openings are counted at the valves, gas by what flowed, and records as the log and the
registry have them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from edge.frames import GROUP_SLOW_MS
from edge.interlock.journal import NUMBERS
from protocols.records import Fill
from simulators.hall_crew import Result
from simulators.hall_story import Bottle, Story, asset_of

CLOSING = frozenset({"weighed", "interrupted"})
REFUSED = frozenset({"refused", "undecided"})
INSPECTED_YEARS = 4
"""A bottle of the story that was never inspected is overdue by then."""
TARE_KG, NET_KG = 0.5, 0.3
"""A tare may be off by so much; gas on the scale and gas out of the gun may differ by so much."""
CUT_S = GROUP_SLOW_MS / 1000 + 1
"""A refusal so shortly before a power cut may not have been on the disk yet; a release was."""


@dataclass
class Shown:
    """What the hall itself knows."""

    phases: dict[str, list[Result]] = field(default_factory=dict)
    cuts_s: list[float] = field(default_factory=list)
    """When power was cut, by the loop's clock."""
    opened: Counter[str] = field(default_factory=Counter)
    """By place: so often its valve opened."""
    refusable: set[str] = field(default_factory=set)
    """For which reasons the gateway had to refuse snapshots."""

    @property
    def results(self) -> list[Result]:
        """All visits."""
        return [one for some in self.phases.values() for one in some]


@dataclass
class Recorded:
    """What came to the service."""

    fills: Sequence[Fill]
    """Of the log, as often as they are there."""
    fillings: Sequence[Mapping[str, Any]]
    """Of the registry, as its HTTP interface tells them."""
    refusals: frozenset[str] = frozenset()
    """For which reasons the gateway said that it refused a snapshot."""
    batches: int = 0
    """Given out by the gateway."""


@dataclass
class Ledger:
    """What does not add up, each a sentence; all empty: nothing is wrong."""

    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """All of it."""
        return self.wrong + self.lost + self.doubled


def balance(story: Story, shown: Shown, recorded: Recorded) -> Ledger:
    """Hold one against the other."""
    ledger, fills = Ledger(), recorded.fills
    ledger.wrong += [
        f"{one.visit.place} {one.visit.bottle} {one.visit.about}: {one.fault}"
        for one in shown.results
        if one.fault
    ]
    ledger.wrong += _unfit_and_filled(story, shown, fills) + opened_by_no_verdict(fills)
    ledger.lost += without_an_end(fills) + _openings_untold(shown, fills)
    ledger.lost += _unweighed(shown, fills)
    ledger.lost += _verdicts_untold(shown, fills) + _holes(fills) + _gas_untold(shown, fills)
    ledger.lost += [
        f"a snapshot was to be refused as {reason}, and nobody was told"
        for reason in sorted(shown.refusable - recorded.refusals)
    ]
    if shown.cuts_s and not any(one.step == "interrupted" for one in fills):
        ledger.lost.append("no power cut is told of")
    openings = {(one.gate, one.number) for one in fills if one.step == "released"}
    kept = Counter((one["gate"], one["opening"]) for one in recorded.fillings)
    ledger.lost += [f"{key}: not in the registry" for key in sorted(openings - set(kept))]
    ledger.doubled += twice(fills)
    ledger.doubled += [f"{key}: {n} times in the registry" for key, n in kept.items() if n > 1]
    return ledger


def may_be_filled(bottle: Bottle, gas: str) -> bool:
    """Tell by what a bottle is, whatever anybody decided."""
    tares = [bottle.registered_tare_kg, bottle.tare_on_tag_kg]
    return (
        bottle.registered
        and bottle.own
        and not bottle.scrapped
        and bottle.tag == "own"
        and bottle.gas == gas
        and bottle.age_years < INSPECTED_YEARS
        and all(kg is None or abs(kg - bottle.tare_kg) <= TARE_KG for kg in tares)
    )


def faults_of(fills: Sequence[Fill]) -> list[str]:
    """Tell which records are there twice, and which openings have no end or no verdict."""
    return twice(fills) + without_an_end(fills) + opened_by_no_verdict(fills)


def twice(fills: Iterable[Fill]) -> list[str]:
    """Tell which records are there more than once."""
    numbers = Counter((one.gate, one.number) for one in fills)
    return [f"{key}: {count} times" for key, count in numbers.items() if count > 1]


def without_an_end(fills: Sequence[Fill]) -> list[str]:
    """Tell which openings have no end."""
    ends = {(one.gate, one.opening) for one in fills if one.step in CLOSING}
    ends |= {(one.gate, one.opening) for one in fills if one.step == "ended" and _told(one)}
    return [
        f"{one.gate} {one.number} {one.asset}: opened, and no end is told"
        for one in fills
        if one.step == "released" and (one.gate, one.number) not in ends
    ]


def opened_by_no_verdict(fills: Iterable[Fill]) -> list[str]:
    """Tell which openings neither the rules nor a person allowed."""
    return [
        f"{one.gate} {one.number} {one.asset}: opened by {one.decision}"
        for one in fills
        if one.step == "released" and one.decision != "fill" and one.override is None
    ]


def _told(ended: Fill) -> bool:
    """Tell whether nothing follows: who let a release pass is weighed no more."""
    return ended.why != "timed_out"


def _unfit_and_filled(story: Story, shown: Shown, fills: Iterable[Fill]) -> list[str]:
    """Tell where a gun opened for a bottle that must not be filled."""
    gases = {one.id: one.gas for one in story.places}
    unfit = {
        (place, asset_of(number)): one.id
        for number, one in enumerate(story.bottles, 1)
        for place, gas in gases.items()
        if not may_be_filled(one, gas)
    }
    told = [
        f"{one.gate} {one.number}: released for {unfit[one.gate, one.asset]}"
        for one in fills
        if one.step == "released" and (one.gate, one.asset) in unfit
    ]
    for one in shown.results:
        _, bottle = story.bottle(one.visit.bottle)
        if one.opened and not may_be_filled(bottle, gases[one.visit.place]):
            told.append(f"{one.visit.place}: its valve opened for {bottle.id}")
    return told


def _openings_untold(shown: Shown, fills: Sequence[Fill]) -> list[str]:
    """Tell where a valve opened more often than was recorded, or gas came past it untold."""
    released = Counter(one.gate for one in fills if one.step == "released")
    past = Counter(one.gate for one in fills if one.step == "without_verdict")
    blocked = Counter(one.visit.place for one in shown.results if one.block == "without_verdict")
    return [
        f"{gate}: {seen[gate]} times {what}, {there[gate]} records"
        for what, seen, there in (
            ("opened", shown.opened, released),
            ("gas without a verdict", blocked, past),
        )
        for gate in seen
        if there[gate] < seen[gate]
    ]


def _unweighed(shown: Shown, fills: Sequence[Fill]) -> list[str]:
    """Tell where a valve that had opened is followed by neither a weight nor an interruption."""
    closed = {(one.gate, one.opening) for one in fills if one.step in CLOSING}
    released = [one for one in fills if one.step == "released"]
    left = Counter(one.gate for one in released if (one.gate, one.number) not in closed)
    spare = Counter(one.gate for one in released)
    spare.subtract(shown.opened)
    return [
        f"{gate}: {count} openings are not weighed, {spare[gate]} never opened a valve"
        for gate, count in left.items()
        if count > spare[gate]
    ]


def _verdicts_untold(shown: Shown, fills: Iterable[Fill]) -> list[str]:
    """Tell where the page refused more often than was recorded."""
    decided = [
        (one.gate, {why.reason for why in one.reasons}) for one in fills if one.step == "decided"
    ]
    seen = Counter(
        (one.visit.place, one.visit.expect.reasons)
        for one in shown.results
        if one.outcome in REFUSED and not _cut_off(one, shown.cuts_s)
    )
    there = {
        (place, reasons): sum(gate == place and set(reasons) <= told for gate, told in decided)
        for place, reasons in seen
    }
    return [
        f"{place} {', '.join(reasons)}: {count} times on the page, {there[place, reasons]} records"
        for (place, reasons), count in seen.items()
        if there[place, reasons] < count
    ]


def _cut_off(result: Result, cuts_s: Iterable[float]) -> bool:
    return any(0 <= cut_s - result.ended_s < CUT_S for cut_s in cuts_s)


def _holes(fills: Iterable[Fill]) -> list[str]:
    """Tell which numbers are missing within one run of the gateway; a run takes `NUMBERS`."""
    told = []
    for gate in sorted({one.gate for one in fills}):
        numbers = sorted({one.number for one in fills if one.gate == gate})
        for before, number in pairwise(numbers):
            if number > before + 1 and (number - numbers[0]) % NUMBERS:
                told.append(f"{gate}: nothing between {before} and {number}")
    return told


def _gas_untold(shown: Shown, fills: Iterable[Fill]) -> list[str]:
    """Tell which filling that ended as it should is weighed nowhere as what flowed."""
    weighed = [
        (one.gate, one.net_kg) for one in fills if one.step == "weighed" and one.net_kg is not None
    ]
    told = []
    for one in shown.results:
        if one.outcome != "filled" or one.interrupted or one.opened != 1:
            continue
        place, flowed_kg = one.visit.place, one.flowed_kg
        near = [
            (abs(net_kg - flowed_kg), gate, net_kg) for gate, net_kg in weighed if gate == place
        ]
        off_kg, gate, net_kg = min(near, default=(NET_KG, place, 0.0))
        if off_kg >= NET_KG:
            told.append(f"{place} {one.visit.bottle}: {flowed_kg:.2f} kg came, none is recorded")
        else:
            weighed.remove((gate, net_kg))
    return told


def table(shown: Shown, recorded: Recorded, ledger: Ledger) -> list[str]:
    """Write all of it down."""
    head = ("", "visits", "filled", "refused", "undecided", "blocked", "taken off", "gas kg")
    rows = [_row(name, some) for name, some in shown.phases.items()]
    rows.append(_row("all", shown.results))
    lines = [_line(head), *(_line(one) for one in rows), ""]
    steps = Counter(one.step for one in recorded.fills)
    lines += [f"  {step:<34}{count:>6}" for step, count in sorted(steps.items())]
    counted = {
        "batches of the gateway": recorded.batches,
        "fill records in the log": len(recorded.fills),
        "valves opened": shown.opened.total(),
        "releases recorded": steps["released"],
        "fillings in the registry": len(recorded.fillings),
        "power cuts": len(shown.cuts_s),
        "kinds of bad snapshots refused": len(recorded.refusals),
        "wrong decisions": len(ledger.wrong),
        "records lost": len(ledger.lost),
        "records doubled": len(ledger.doubled),
    }
    return [*lines, "", *(f"  {what:<34}{count:>6}" for what, count in counted.items())]


def _row(name: str, results: Sequence[Result]) -> tuple[str, ...]:
    became = Counter(one.outcome for one in results)
    counts = [became[one] for one in ("filled", "refused", "undecided", "blocked", "taken_off")]
    gas_kg = sum(one.flowed_kg for one in results)
    return (name, str(len(results)), *map(str, counts), f"{gas_kg:.1f}")


def _line(cells: Sequence[str]) -> str:
    first, *rest = cells
    return f"  {first:<34}" + "".join(f"{one:>11}" for one in rest)
