"""What is known of a gas cylinder, what is asked at the filling gun, and the answer.

Registry, station snapshot, filling gate and handheld share these types. Words are those of
TSG 23-2021; kinds of shell, gases, intervals and lives are data in `firmware_config/cylinders`.
"""

import calendar
import re
from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from protocols.errors import RefuseInput

Id = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]
"""Of a kind of shell or of a gas, as in the data files."""
Mass = Annotated[float, Meta(ge=0, le=100_000)]
Years = Annotated[int, Meta(ge=1, le=100)]

State = Literal["in_use", "out_of_use", "blocked", "lost", "scrapped"]
"""`blocked`: by a finding or an authority, until it is lifted; `scrapped` is for ever."""
Decision = Literal["fill", "do_not_fill", "cannot_decide"]
ClockState = Literal["trusted", "unset", "set_back"]
_MARKED = re.compile(r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})(?:-(?P<day>0[1-9]|[12][0-9]|3[01]))?")


class MarkedDate(Struct, frozen=True, order=True):
    """A date as a stamp or a paper has it: `day` is 0 where only the month is told."""

    year: Annotated[int, Meta(ge=1900, le=2200)]
    month: Annotated[int, Meta(ge=1, le=12)]
    day: Annotated[int, Meta(ge=0, le=31)] = 0

    def __post_init__(self) -> None:
        """Refuse a 31st of June."""
        if self.day > 28 and self.day > calendar.monthrange(self.year, self.month)[1]:
            raise ValueError(f"a day of the month; found {self.day}")

    @classmethod
    def parse(cls, text: str) -> "MarkedDate":
        """Read what `str` writes.

        Raises:
            RefuseInput: `bad_date`.

        """
        found = _MARKED.fullmatch(text)
        try:
            if found is not None:
                return msgspec.convert(
                    {key: int(part) for key, part in found.groupdict("0").items()}, cls
                )
        except ValueError:  # msgspec's own is one, too
            pass
        raise RefuseInput("bad_date", f"expected YYYY-MM or YYYY-MM-DD, found {text[:20]!r}")

    @property
    def first(self) -> date:
        """The earliest day that it can mean."""
        return date(self.year, self.month, self.day or 1)

    @property
    def last(self) -> date:
        """The latest day that it can mean."""
        return date(
            self.year, self.month, self.day or calendar.monthrange(self.year, self.month)[1]
        )

    def __str__(self) -> str:
        """Return `2026-03` or `2026-03-15`."""
        return f"{self.year}-{self.month:02}" + (f"-{self.day:02}" if self.day else "")


class Vehicle(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the verdict needs of the vehicle that carries a cylinder as its fuel tank."""

    taxi: bool = False
    use_registered: bool = False
    certificate_valid_until: MarkedDate | None = None
    """Of the use registration."""
    scrapped: bool = False
    """A taxi's cylinder is scrapped with it."""


class Cylinder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cylinder as a judgement sees it: all that is registered and bears on filling."""

    code: str
    """Its asset id, such as `cylinder:23102299920240017`."""
    kind: Id
    """Of its shell: `steel_seamless`, `lpg_household`, …"""
    gas: Id
    """What it is registered and marked for; `mixture` has `components`."""
    components: tuple[Id, ...] = ()
    """Gases of a mixture; trace components are left out."""
    standard: str = ""
    """Made to, such as `GB 5842-2006`."""
    state: State = "in_use"
    use_registered: bool = True
    manufactured_on: MarkedDate | None = None
    design_life_years: Years | None = None
    """Stamped or on its certificate; None: by kind, gas and standard."""
    inspected_on: MarkedDate | None = None
    """Of the last periodic inspection that it passed; None: none yet, counted from manufacture."""
    inspection_due_on: MarkedDate | None = None
    """As the inspection body stamped or wrote it; the sooner of this and the rules' counts."""
    life_extended: bool = False
    """Its one extension after inspection or assessment was granted."""
    last_filled_on: date | None = None
    """For the rule on idle ones; None: not known."""
    purged: bool = True
    """False: a first fill, or the first after an inspection, and not purged or evacuated yet."""
    filler: str = ""
    """The organisation whose own or entrusted cylinder it is; empty: not known."""
    tare_kg: Mass | None = None
    water_capacity_l: Mass | None = None
    allowable_fill_kg: Mass | None = None
    """As marked, such as 49.5 of YSP118/49.5."""
    vehicle: Vehicle | None = None
    tag_uids: tuple[str, ...] = ()
    """Of its tags, capital hex digits."""


class Permitted(Struct, frozen=True, forbid_unknown_fields=True):
    """Days on which a filling unit may fill a gas, the first and the last included."""

    gas: Id
    """`mixture` for any mixture."""
    since: date
    until: date


class StationPermits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the registry says of a filling unit's permits."""

    recorded: bool
    """It has some, whatever became of them."""
    held: tuple[Permitted, ...] = ()
    """By those that are valid; a gas once for each of its stretches."""


class Seen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the gate knows about this one filling, before the gun opens."""

    filler: str
    """The organisation that fills."""
    gas: Id
    """What comes out of the gun."""
    components: tuple[Id, ...] = ()
    """Of a mixture that comes out of it; in any order those of the cylinder, or it is refused."""
    on: date
    """Local day by which it judges."""
    clock: ClockState = "trusted"
    codes_disagree: bool = False
    """Tag, label and stamp tell different cylinders."""
    clone_suspected: bool = False
    """Its tag's counter went back, its signature is wrong, or it was elsewhere just now."""
    snapshot: Literal["fresh", "ageing", "expired", "none"] = "fresh"
    """`ageing`: past its term but within the grace that the rules give: known here only."""
    filled_here_before: bool = False
    permits: StationPermits | None = None
    """Of who fills; None: nobody asks, as where an office looks at a cylinder."""
    checks_failed: tuple[Id, ...] = ()
    """Of the physical checklist, those that the worker said no to."""
    checks_open: tuple[Id, ...] = ()
    """Those not answered yet."""
    tare_on_tag_kg: Mass | None = None
    weighed_kg: Mass | None = None
    """On the scale, empty or with its residue."""


class Reason(Struct, frozen=True, kw_only=True):
    """One reason of a verdict, in a closed word, with what it rests on."""

    reason: Id
    """`inspection_overdue`, `beyond_life`, `wrong_gas`, … as in the rules' `[reasons]`."""
    decision: Literal["do_not_fill", "cannot_decide"]
    found: str = ""
    """As `due 2026-03-31`."""


class Verdict(Struct, frozen=True, kw_only=True):
    """Fill only without any reason against it; all reasons are told, the gravest first."""

    decision: Decision
    reasons: tuple[Reason, ...]
    rules_version: str
    due_on: date | None
    """Last day on which it may be filled by its inspection; None: cannot be told."""
    life_ends_on: date | None
    """Last day of its design life; None: not fixed, or cannot be told."""
    limit_kg: float | None
    """The most that may be in it by mass; None: not filled by mass, or cannot be told."""
