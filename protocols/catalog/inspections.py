"""Forms of inspections on the spot: their findings as data, and what follows from them."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocols.border import load_toml
from protocols.catalog.files import data_files
from protocols.errors import Fault, FixConfiguration
from protocols.handheld import Word

FOLDER, CALENDAR = "inspections", "calendar.toml"
Severity = Literal["stop", "instruct", "note"]
"""Out of use at once; put right by a deadline; put right on the spot."""
Outcome = Literal["passed", "instructed", "stopped"]
Title = Annotated[str, Meta(min_length=1, max_length=100)]
Told = Annotated[str, Meta(min_length=1, max_length=500)]
Confidence = Literal["C", "G", "U", "D"]


class FindingRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that may be found."""

    code: Word
    title: Title
    title_zh: Title
    severity: Severity
    confidence: Confidence
    source: Told


class FormSample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must follow from some findings of a day."""

    about: Told
    on: date
    findings: tuple[Word, ...]
    outcome: Outcome
    recheck_by: date | None = None


class Form(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of inspection."""

    schema: Literal[1]
    id: Word
    title: Title
    title_zh: Title
    of: Literal["cylinder", "place"]
    inspectors: Annotated[int, Meta(ge=1, le=2)]
    recheck_working_days: Annotated[int, Meta(ge=1, le=90)]
    confidence: Confidence
    source: Told
    findings: tuple[FindingRule, ...]
    samples: tuple[FormSample, ...] = ()

    def outcome(self, codes: Iterable[str]) -> Outcome:
        """Return what findings amount to; the gravest decides."""
        found = set(codes)
        severities = {one.severity for one in self.findings if one.code in found}
        if "stop" in severities:
            return "stopped"
        return "instructed" if "instruct" in severities else "passed"


class Calendar(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which days are worked on, where that is not told by the day of the week."""

    schema: Literal[1]
    holidays: tuple[date, ...] = ()
    working_weekends: tuple[date, ...] = ()

    def is_working_day(self, day: date) -> bool:
        """Tell whether a day is one."""
        return day in self.working_weekends or (day.weekday() < 5 and day not in self.holidays)

    def after(self, on: date, working_days: int) -> date:
        """Return the last of so many working days after a day."""
        day = on
        while working_days:
            day += timedelta(days=1)
            working_days -= self.is_working_day(day)
        return day


def load_forms(overlay: Path | None = None) -> tuple[Mapping[str, Form], Calendar]:
    """Return the forms by id, and the calendar.

    Raises:
        FixConfiguration: with all faults of all files.

    """
    faults: list[Fault] = []
    forms, calendar = dict[str, Form](), Calendar(schema=1)
    for path, shipped in data_files(FOLDER, overlay):
        try:
            if path.name == CALENDAR:
                calendar = load_toml(path, Calendar)
                continue
            form = load_toml(path, Form)
        except FixConfiguration as error:
            faults += error.faults
            continue
        forms[form.id] = form
        faults += _faults(form, path, shipped=shipped)
    if not faults:
        faults += [one for form in forms.values() for one in _sample_faults(form, calendar)]
    if faults:
        raise FixConfiguration(faults)
    return forms, calendar


def _faults(form: Form, path: Path, *, shipped: bool) -> list[Fault]:
    file, found = str(path), list[Fault]()
    codes = [one.code for one in form.findings]
    if form.id != path.stem:
        found.append(Fault(file, "id", path.stem, form.id))
    if len(set(codes)) < len(codes):
        found.append(Fault(file, "findings", "each code once", ", ".join(codes)))
    shown = {code for one in form.samples for code in one.findings}
    if unknown := shown - set(codes):
        found.append(Fault(file, "samples", "codes of this form", ", ".join(sorted(unknown))))
    if shipped and (missing := set(codes) - shown):
        found.append(Fault(file, "samples", "a sample of each code", ", ".join(sorted(missing))))
    return found


def _sample_faults(form: Form, calendar: Calendar) -> Iterable[Fault]:
    for one in form.samples:
        outcome = form.outcome(one.findings)
        by = None if outcome == "passed" else calendar.after(one.on, form.recheck_working_days)
        if (outcome, by) != (one.outcome, one.recheck_by):
            expected = f"{one.outcome} {one.recheck_by}"
            yield Fault(form.id, f"samples: {one.about}", expected, f"{outcome} {by}")
