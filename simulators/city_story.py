"""A city of lifts as data: what stands where, what breaks, and how people answer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocols.border import load_toml

FILE = Path(__file__).parent / "city_people.toml"
CLASSES = (50, 125, 300, 750, 1_500, 2_500)
"""Trips a day by usage class (ISO 25745-2)."""

Share = Annotated[float, Meta(ge=0, le=1)]
Weight = Annotated[float, Meta(ge=0, le=1_000)]
Span = Annotated[tuple[float, float], Meta()]
"""Seconds, least and most."""
Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class District(_Part, frozen=True, kw_only=True):
    """Where lifts stand, within `radius_km` of its middle."""

    name: str
    share: Weight
    latitude: float
    longitude: float
    radius_km: Annotated[float, Meta(gt=0, le=100)]


class Site(_Part, frozen=True, kw_only=True):
    """A kind of building."""

    id: Word
    title: str
    share: Weight
    floors: tuple[int, int]
    usage: tuple[Weight, Weight, Weight, Weight, Weight, Weight]
    """Weights of CLASSES."""
    curve: Word


class Brand(_Part, frozen=True, kw_only=True):
    """Who made lifts; `troubles` times as many of theirs fail."""

    name: str
    share: Weight
    troubles: Annotated[float, Meta(gt=0, le=10)]


class Firm(_Part, frozen=True, kw_only=True):
    """A maintenance firm with its teams of rescuers."""

    name: str
    share: Weight
    teams: Annotated[int, Meta(ge=1, le=50)]
    habit: Word


class Station(_Part, frozen=True, kw_only=True):
    """A rescue station of the network."""

    name: str
    district: str
    habit: Word


class FaultKind(_Part, frozen=True, kw_only=True):
    """A fault that traps nobody."""

    codes: tuple[str, ...]
    share: Weight


class Troubles(_Part, frozen=True, kw_only=True):
    """How often something happens, in percent of lifts and month."""

    entrapments_month_percent: tuple[float, float]
    buttons_month_percent: float
    faults_month_percent: float
    fault_s: Span
    faults: tuple[FaultKind, ...]


class Course(_Part, frozen=True, kw_only=True):
    """How one kind of entrapment develops."""

    id: Word
    share: Weight
    at_level: bool
    presses: Share
    press_s: Span
    phones: Share
    phone_s: Span
    frees_itself: Share
    free_s: Span
    people: tuple[int, int]
    causes: Mapping[Word, Weight]


class Callers(_Part, frozen=True, kw_only=True):
    """Who phones the centre."""

    wrong_code: Share
    again_s: Span
    names: Annotated[tuple[str, ...], Meta(min_length=1)]


class Desk(_Part, frozen=True, kw_only=True):
    """The operators of the centre."""

    verify_s: Span
    slow: Share
    slow_s: Span
    dispatch_s: Span
    redispatch_s: Span
    call_back_s: Span
    close_s: Span
    satisfaction: tuple[Weight, Weight, Weight, Weight, Weight]


class Habit(_Part, frozen=True, kw_only=True):
    """How a unit answers when it is asked."""

    id: Word
    answers: tuple[Weight, Weight, Weight]
    """Weights of accept, refuse, silence."""
    answer_s: Span
    set_out_s: Span
    late: Share
    late_times: Annotated[float, Meta(ge=1, le=20)]
    speed_km_h: Span
    work_s: Span


class Story(_Part, frozen=True, kw_only=True):
    """The file `city_people.toml`."""

    schema: Literal[1]
    title: str
    title_zh: str
    latitude: float
    longitude: float
    rescue_code_digits: Annotated[int, Meta(ge=5, le=8)]
    lifts_per_gateway: Annotated[int, Meta(ge=1, le=200)]
    snapshot_s: Annotated[float, Meta(ge=1, le=3_600)]
    month_days: Annotated[int, Meta(ge=28, le=31)]
    districts: Annotated[tuple[District, ...], Meta(min_length=1)]
    sites: Annotated[tuple[Site, ...], Meta(min_length=1)]
    curves: Mapping[Word, Annotated[tuple[Weight, ...], Meta(min_length=24, max_length=24)]]
    brands: Annotated[tuple[Brand, ...], Meta(min_length=1)]
    firms: Annotated[tuple[Firm, ...], Meta(min_length=1)]
    stations: tuple[Station, ...]
    troubles: Troubles
    courses: Annotated[tuple[Course, ...], Meta(min_length=1)]
    callers: Callers
    desk: Desk
    habits: tuple[Habit, ...]

    def __post_init__(self) -> None:
        """Refuse names that lead nowhere."""
        habits = {one.id for one in self.habits}
        wanted = {BRIGADE, *(one.habit for one in self.firms)}
        wanted |= {one.habit for one in self.stations}
        if not wanted <= habits:
            raise ValueError(f"habits: expected {', '.join(sorted(wanted))}")
        if not {one.curve for one in self.sites} <= set(self.curves):
            raise ValueError("curves: expected one for each site's curve")
        if not {one.district for one in self.stations} <= {one.name for one in self.districts}:
            raise ValueError("stations: expected names of districts")

    def habit(self, name: str) -> Habit:
        """Return a habit by its id; LookupError for none."""
        return next(one for one in self.habits if one.id == name)


BRIGADE = "brigade"
"""The habit of whoever is always there."""


def load_story(path: Path = FILE) -> Story:
    """Read the file; FixConfiguration with its faults."""
    return load_toml(path, Story)
