"""Motion of a lift's car and doors: positions, speeds, limits; knows nothing of calls or faults."""

import math
from dataclasses import dataclass

DOOR_ZONE_M = 0.2
"""Half height of the unlocking zone around a floor's level."""

LEVEL_TOLERANCE_M = 0.001


@dataclass(frozen=True, slots=True)
class Shaft:
    """What the builder of a lift fixed once and for all."""

    floors: int = 12
    bottom_floor: int = 1
    floor_height_m: float = 3.0
    speed_m_s: float = 1.75
    acceleration_m_s2: float = 0.8
    brake_m_s2: float = 3.0
    creep_m_s: float = 0.3
    door_time_s: float = 2.5
    dwell_s: float = 4.0
    capacity_persons: int = 13

    def __post_init__(self) -> None:
        """Refuse a shaft that nothing could move in.

        Raises:
            ValueError: fewer than two floors, floors too near, or a size or speed not above zero.

        """
        sizes = (self.floor_height_m, self.speed_m_s, self.acceleration_m_s2, self.brake_m_s2)
        more = (self.creep_m_s, self.door_time_s, self.capacity_persons)
        if self.floors < 2 or min(*sizes, *more) <= 0 or self.dwell_s < 0:
            raise ValueError("a shaft has two floors or more, and sizes and speeds above zero")
        if self.floor_height_m < 1.5:
            raise ValueError("floors are at least 1.5 m apart: there is no between otherwise")

    @property
    def top_m(self) -> float:
        """Height of the highest level above the lowest."""
        return (self.floors - 1) * self.floor_height_m

    def level_m(self, floor: int) -> float:
        """Height of a floor counted from 0 at the bottom."""
        return floor * self.floor_height_m


class Car:
    """A car between the lowest and the highest level."""

    def __init__(self, shaft: Shaft, floor: int = 0) -> None:
        self._shaft = shaft
        self.position_m = shaft.level_m(floor)
        self.velocity_m_s = 0.0
        """Upwards positive."""

    @property
    def moving(self) -> bool:
        """True while the car has any speed."""
        return self.velocity_m_s != 0.0

    @property
    def floor(self) -> int:
        """The nearest floor, counted from 0."""
        return round(self.position_m / self._shaft.floor_height_m)

    @property
    def offset_m(self) -> float:
        """How far the car is from the nearest level; above it positive."""
        return self.position_m - self._shaft.level_m(self.floor)

    @property
    def in_door_zone(self) -> bool:
        """True where the doors may open."""
        return abs(self.offset_m) <= DOOR_ZONE_M

    @property
    def level(self) -> bool:
        """True when the car stands flush with a floor."""
        return not self.moving and abs(self.offset_m) <= LEVEL_TOLERANCE_M

    def braking_distance_m(self) -> float:
        """Way the car still goes when it is slowed down comfortably from now on."""
        return self.velocity_m_s**2 / (2 * self._shaft.acceleration_m_s2)

    def drive(self, target_m: float, speed_max_m_s: float, dt_s: float) -> None:
        """Go towards a height, slowing down in time to stop there."""
        shaft, remaining_m = self._shaft, target_m - self.position_m
        direction = math.copysign(1.0, remaining_m)
        allowed = min(speed_max_m_s, math.sqrt(2 * shaft.acceleration_m_s2 * abs(remaining_m)))
        now = self.velocity_m_s * direction
        speed = min(now + shaft.acceleration_m_s2 * dt_s, allowed)
        speed = max(speed, now - shaft.brake_m_s2 * dt_s)
        if speed * dt_s >= abs(remaining_m):
            self.position_m, self.velocity_m_s = target_m, 0.0
        else:
            self._move(speed * direction, dt_s)

    def brake(self, dt_s: float) -> None:
        """Stop as hard as the brake can."""
        slower = max(0.0, abs(self.velocity_m_s) - self._shaft.brake_m_s2 * dt_s)
        self._move(math.copysign(slower, self.velocity_m_s) if slower else 0.0, dt_s)

    def drift(self, velocity_m_s: float, dt_s: float) -> None:
        """Move without the controller's will."""
        self._move(velocity_m_s, dt_s)

    def _move(self, velocity_m_s: float, dt_s: float) -> None:
        wanted = self.position_m + velocity_m_s * dt_s
        self.position_m = min(max(wanted, 0.0), self._shaft.top_m)
        self.velocity_m_s = velocity_m_s if self.position_m == wanted else 0.0


class Doors:
    """Car and landing doors as one, from 0 (fully closed) to 1 (fully open)."""

    def __init__(self, shaft: Shaft) -> None:
        self._step_per_s = 1.0 / shaft.door_time_s
        self.opening = 0.0

    @property
    def closed(self) -> bool:
        """True when fully closed."""
        return self.opening == 0.0

    @property
    def open(self) -> bool:
        """True when fully open."""
        return self.opening == 1.0

    def move(self, *, to_open: bool, dt_s: float, least: float = 0.0, most: float = 1.0) -> None:
        """Move on; an obstacle keeps the doors between `least` and `most`."""
        step = self._step_per_s * dt_s
        if to_open:
            self.opening = max(self.opening, min(self.opening + step, most))
        else:
            self.opening = min(self.opening, max(self.opening - step, least))
