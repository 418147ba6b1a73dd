"""A case on a work list of cylinders or stations, and what is counted of them."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from protocols.cylinders.watch import CaseKind

CaseState = Literal["open", "ended"]
FiguresBy = Literal["filler", "kind", "district"]


class CylinderCase(Struct, frozen=True, kw_only=True):
    """What stands, or stood, on a list."""

    id: int
    kind: CaseKind
    subject: str
    """The asset id of a cylinder, or `gateway:ID` of a station."""
    day: str
    """Local: by which to act, or on which it happened."""
    stage_days: int | None
    """Of what is due: the stage that it has reached."""
    station: str
    """Organisation where it happened; empty: nowhere."""
    facts: Mapping[str, Any]
    raised_at: int
    alarm: bool
    """It went before the operators, too."""
    ended_at: int | None
    ended_by: str
    """Who closed it; empty: it ended by itself."""
    note: str
    filler: str = ""
    """Whose cylinder it is now."""
    shell: str = ""
    """Kind of its shell."""
    gas: str = ""
    district: str = ""


class WantedCases(Struct, frozen=True, kw_only=True):
    """Which cases are asked for; None: any."""

    kind: CaseKind | None = None
    state: CaseState = "open"
    filler: str | None = None
    station: str | None = None
    district: str | None = None
    shell: str | None = None
    within_days: int | None = None
    """Of what is due: at most this stage."""
    subject: str | None = None
    from_day: str | None = None
    to_day: str | None = None
    """Both days included."""
    after: tuple[str, int] | None = None
    """Day and number of the last one of the page before."""
    limit: int = 100


class DayCount(Struct, frozen=True, kw_only=True):
    """How many cases of a kind have their day then."""

    day: str
    kind: CaseKind
    count: int


class Figures(Struct, frozen=True, kw_only=True):
    """What is counted for one filler, kind of shell or district."""

    name: str
    cylinders: int
    """In use."""
    open: Mapping[str, int]
    """Open cases by kind; of what is due by kind and stage, `due_90`."""
