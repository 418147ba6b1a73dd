"""Loading the rules of lifts' calendars: their samples must hold."""

from collections.abc import Iterator
from pathlib import Path

from protocols.errors import Fault, FixConfiguration
from protocols.lifts.due import plan
from protocols.lifts.rules import CalendarRules, CalendarSample, ExpectedDuty, read_rules


def load_calendar(overlay: Path | None = None) -> CalendarRules:
    """Return the rules.

    Raises:
        FixConfiguration: with all faults, of samples too.

    """
    rules, path = read_rules(overlay)
    faults = [one for sample in rules.sample for one in _faults(sample, rules, str(path))]
    if faults:
        raise FixConfiguration(faults)
    return rules


def told_duties(sample: CalendarSample, rules: CalendarRules) -> list[ExpectedDuty]:
    """Return what is due by the rules, as far as the sample tells it."""
    made = plan(sample.file, sample.events, rules, sample.today)
    return [
        ExpectedDuty(
            kind=one.kind, due_on=one.due_on, state=one.state, year=one.year, level=one.level
        )
        for one in made.duties
        if sample.of in (None, one.kind)
    ]


def _faults(sample: CalendarSample, rules: CalendarRules, file: str) -> Iterator[Fault]:
    found = told_duties(sample, rules)
    for one in sample.duties:
        if one not in found:
            same = [_line(each) for each in found if each.kind == one.kind]
            yield Fault(file, f"sample: {sample.about}", _line(one), "; ".join(same) or "nothing")
    for one in found:
        if one not in sample.duties:
            yield Fault(file, f"sample: {sample.about}", "nothing more", _line(one))


def _line(one: ExpectedDuty) -> str:
    year = f" year {one.year}" if one.year else ""
    return f"{one.kind}{year} {one.level} {one.due_on} {one.state}".replace("  ", " ")
