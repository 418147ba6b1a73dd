"""When a lift must be inspected, tested, maintained and registered: the rules as data."""

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocols.border import load_toml
from protocols.catalog.files import data_root
from protocols.errors import Fault, FixConfiguration
from protocols.lifts.base import Confidence, Contract, LiftFile, Told, Word

FOLDER, FILE = "lifts", "calendar.toml"
DutyKind = Literal[
    "periodic", "self_test", "reinspection", "restart", "maintenance", "registration", "contract"
]
DutyState = Literal["done", "late", "overdue", "open", "ahead", "suspended"]
"""Late: done after its day; open: it may be done now; suspended: while the lift is stopped."""
What = Literal[
    "base",
    "major_repair",
    "inspected",
    "failed",
    "self_tested",
    "maintained",
    "stopped",
    "resumed",
    "scrapped",
    "registered",
]
Year = Annotated[int, Meta(ge=1, le=60)]
Days = Annotated[int, Meta(ge=0, le=4_000)]
Months = Annotated[int, Meta(ge=0, le=120)]


class Event(Struct, frozen=True, kw_only=True, order=True, forbid_unknown_fields=True):
    """One thing that happened to a lift and bears on its calendar."""

    on: date
    what: What
    level: str = ""
    """Of a maintenance: id of its cycle."""


class Edition(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """One edition of the inspection rules."""

    id: Word
    from_: date | None = None
    """It rules what is due on this day and later; None: from ever."""
    periodic_years: tuple[Year, ...] = ()
    """Counted from the supervision inspection."""
    yearly_after: Annotated[int, Meta(ge=0, le=60)]
    """Every year after this one has a periodic inspection."""
    between: Literal["self_test", "none"]
    """What the other years have."""
    confidence: Confidence
    source: Told
    source_zh: Told

    def kind(self, year: int) -> DutyKind | None:
        """Return what is due in a year after the supervision inspection."""
        if year in self.periodic_years or year > self.yearly_after:
            return "periodic"
        return "self_test" if self.between == "self_test" else None


class Clause(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a rule comes from."""

    confidence: Confidence
    source: Told
    source_zh: Told


class InspectionRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of inspections and self-tests."""

    due: Literal["month_end", "anniversary"]
    """By which day of the month that the supervision inspection fixed."""
    early_months: Months
    apply_months: Months
    restart_after_months: Annotated[int, Meta(ge=1, le=120)]
    """Stopped for longer than this, it is inspected before it restarts."""
    major_repair: Literal["calendar_year", "window"]
    """Which periodic inspection the one after a major repair takes the place of: that due in the
    same year, or only one that may be done by then."""
    horizon_months: Annotated[int, Meta(ge=1, le=240)]
    """So far ahead a calendar reaches."""
    edition: tuple[Edition, ...]
    failed: Clause
    restart: Clause

    def edition_of(self, due: date) -> Edition:
        """Return the edition that rules what is due on a day."""
        return [one for one in self.edition if one.from_ is None or one.from_ <= due][-1]


class Cycle(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often one level of maintenance is due; each includes the lighter ones."""

    level: Word
    days: Annotated[int, Meta(ge=1, le=4_000)] | None = None
    months: Annotated[int, Meta(ge=1, le=120)] | None = None
    tolerance_days: Days
    """So long after its day it is not overdue yet."""
    confidence: Confidence
    source: Told
    source_zh: Told

    def __post_init__(self) -> None:
        """Refuse two lengths, or none."""
        if (self.days is None) == (self.months is None):
            raise ValueError("cycle: expected either days or months; found both or none")


class MaintenanceRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of maintenance."""

    lead_days: Days
    """So long before its day it may be done and is on work lists."""
    regular: tuple[Cycle, ...]
    """The lightest first."""
    on_demand: tuple[Cycle, ...]
    """Under a contract of maintenance on demand."""


class RegistrationRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the use registration."""

    within_days: Days
    confidence: Confidence
    source: Told
    source_zh: Told


class ContractRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of contracts of maintenance."""

    warn_days: Days
    confidence: Confidence
    source: Told
    source_zh: Told


class ExpectedDuty(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a sample's calendar."""

    kind: DutyKind
    due_on: date
    state: DutyState
    year: int | None = None
    level: str = ""


class CalendarSample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must be due of a lift on a day."""

    about: Told
    today: date
    of: DutyKind | None = None
    """Only these are told; None: all."""
    used_since: date | None = None
    certificate: str = ""
    contracts: tuple[Contract, ...] = ()
    events: tuple[Event, ...] = ()
    duties: tuple[ExpectedDuty, ...] = ()

    @property
    def file(self) -> LiftFile:
        """The static data of the sample's lift."""
        return LiftFile(
            used_since=self.used_since, certificate=self.certificate, contracts=self.contracts
        )


class CalendarRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All rules."""

    schema: Literal[1]
    inspection: InspectionRules
    maintenance: MaintenanceRules
    registration: RegistrationRule
    contract: ContractRule
    sample: tuple[CalendarSample, ...] = ()


def read_rules(overlay: Path | None = None) -> tuple[CalendarRules, Path]:
    """Read the rules; their samples are checked by `protocols.lifts.load`.

    Raises:
        FixConfiguration: with all faults.

    """
    own = overlay / FOLDER / FILE if overlay is not None else None
    path = own if own is not None and own.exists() else data_root() / FOLDER / FILE
    rules = load_toml(path, CalendarRules)
    if faults := list(_faults(rules, str(path))):
        raise FixConfiguration(faults)
    return rules, path


def _faults(rules: CalendarRules, file: str) -> list[Fault]:
    found = []
    days = [one.from_ for one in rules.inspection.edition]
    later = [day for day in days[1:] if day is not None]
    if not days or days[0] is not None or len(later) != len(days) - 1 or later != sorted(later):
        expected = "a first one without a day, then later and later ones"
        found.append(Fault(file, "inspection.edition", expected, str(days)))
    levels = [one.level for one in rules.maintenance.regular]
    if not levels or len(set(levels)) < len(levels):
        found.append(
            Fault(file, "maintenance.regular", "each level once, and one at least", str(levels))
        )
    order = [levels.index(one.level) for one in rules.maintenance.on_demand if one.level in levels]
    if len(order) < len(rules.maintenance.on_demand) or order != sorted(set(order)):
        expected = f"some of {', '.join(levels)}, in this order"
        told = str([one.level for one in rules.maintenance.on_demand])
        found.append(Fault(file, "maintenance.on_demand", expected, told))
    return found
