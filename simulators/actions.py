"""What can be done to simulated lifts, as data: words of scenarios and of the control socket."""

import msgspec

from protocols.readings import Value
from simulators.lift import Evidence, FaultName, ServiceMode
from simulators.traffic import Pattern


class _Action(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="op", forbid_unknown_fields=True
):
    """Fields that all actions share."""


class OnLift(_Action, frozen=True, kw_only=True):
    """An action on one lift, counted from 0; None: on every lift."""

    lift: int | None = None


class SetValues(OnLift, frozen=True, kw_only=True, tag="set"):
    """Hold points at values, whatever the physics say."""

    values: dict[str, Value]


class Release(OnLift, frozen=True, kw_only=True, tag="release"):
    """Give held points back to the physics."""


class Fault(OnLift, frozen=True, kw_only=True, tag="fault"):
    """Break something."""

    name: FaultName
    evidence: Evidence | None = None


class Clear(OnLift, frozen=True, kw_only=True, tag="clear"):
    """Repair everything and let trapped people out."""


class Mode(OnLift, frozen=True, kw_only=True, tag="mode"):
    """Switch the service mode."""

    mode: ServiceMode


class Call(OnLift, frozen=True, kw_only=True, tag="call"):
    """Put people on a floor, floors counted from 0 at the bottom."""

    from_floor: int
    to_floor: int
    persons: int = 1


class ChangeTraffic(OnLift, frozen=True, kw_only=True, tag="traffic"):
    """Let people come in another way."""

    pattern: Pattern
    trips_per_hour: float = 30.0


class Delay(OnLift, frozen=True, kw_only=True, tag="delay"):
    """Let the controller answer late, by up to 60 s."""

    delay_s: float


class Silence(OnLift, frozen=True, kw_only=True, tag="silence"):
    """Let controllers answer nothing, chosen by lift or by unit id; neither: all."""

    on: bool
    unit: int | None = None


class Stats(_Action, frozen=True, kw_only=True, tag="stats"):
    """Ask for counters and values."""


Action = SetValues | Release | Fault | Clear | Mode | Call | ChangeTraffic | Delay | Silence | Stats
