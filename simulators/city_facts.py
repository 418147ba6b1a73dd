"""What truly happens in a city of lifts, whatever anybody is told of it."""

from dataclasses import dataclass
from typing import Literal

from protocols.readings import Value
from simulators.city_places import LiftPlace
from simulators.city_troubles import Entrapment

Freed = Literal["rescuers", "itself"]


@dataclass(frozen=True, slots=True)
class Change:
    """What a lift shows from a moment on."""

    lift: int
    at_s: float
    values: dict[str, Value]
    urgent: bool = False
    """It travels in stream `alarm`."""


@dataclass(slots=True)
class Made:
    """An entrapment, or a button pressed for nothing, as it truly was."""

    number: int
    lift: LiftPlace
    began_s: float
    entrapment: Entrapment | None
    """None: nobody was trapped."""
    expected: bool | None
    """Whether the centre must hear of it; None: it may."""
    freed_s: float | None = None
    freed_by: Freed | None = None
    heard: bool = False
    """The desk knows of it."""
    done: bool = False
    """Nothing more follows from it: the lift may fail again."""
