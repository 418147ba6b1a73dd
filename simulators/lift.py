"""A small physical lift: calls, motion, doors, passengers, faults and service modes.

It knows neither clock nor registers: `step` moves it on, `values` tells the canonical points.
"""

import math
import random
from typing import Literal, get_args

from protocols.readings import Value
from simulators.car import DOOR_ZONE_M, Car, Doors, Shaft

Evidence = Literal["alarm_button", "at_level", "off_level"]
FaultName = Literal[
    "entrapment",
    "door_cannot_close",
    "door_cannot_open",
    "safety_circuit_open",
    "stopped_outside_zone",
    "unintended_movement",
    "run_time_exceeded",
    "position_lost",
    "out_of_order",
    "power_cut",
]
ServiceMode = Literal[
    "out_of_service",
    "normal",
    "inspection",
    "fire_recall",
    "firefighter",
    "emergency_power",
    "earthquake",
    "unknown",
]
FAULT_NAMES: tuple[FaultName, ...] = get_args(FaultName)

SUBSTEP_MAX_S = 0.1
WAITING_PER_FLOOR_MAX = 20
"""Further people take the stairs."""

_FAULT_CODES: dict[FaultName, str] = {
    "run_time_exceeded": "06",
    "position_lost": "07",
    "out_of_order": "08",
    "power_cut": "41",
}
_MODE_CODES: dict[ServiceMode, str] = {
    "out_of_service": "42",
    "inspection": "43",
    "fire_recall": "44",
    "firefighter": "45",
    "emergency_power": "46",
    "earthquake": "47",
}
_HELD: frozenset[FaultName] = frozenset(
    ("safety_circuit_open", "run_time_exceeded", "position_lost", "out_of_order", "power_cut")
)
_DOORS_DEAD: frozenset[FaultName] = frozenset(("safety_circuit_open", "power_cut"))
_RECALL: frozenset[ServiceMode] = frozenset(("fire_recall", "firefighter", "emergency_power"))
_OFF_LEVEL_M = DOOR_ZONE_M + 0.3
_DRIFT_M_S = 0.2
_DRIFT_M = 0.6
_OBSTACLE = 0.3
_AUTOMATIC_SHOWN_S = 10.0


class Lift:
    """One lift; `rng` decides how long trapped people wait before they press the alarm button.

    Args:
        shaft: the building.
        rng: the lift's own source of chance.
        floor: where the car stands, 0 = lowest.
        patience_s: shortest and longest wait of trapped people; None: they never press.

    """

    def __init__(
        self,
        shaft: Shaft,
        rng: random.Random,
        *,
        floor: int = 0,
        patience_s: tuple[float, float] | None = (8.0, 50.0),
    ) -> None:
        self.shaft = shaft
        self.car, self.doors = Car(shaft, floor), Doors(shaft)
        self.riders: list[int] = []
        """Where each person in the car wants to go."""
        self.waiting: dict[int, list[int]] = {}
        """Per floor, where each person there wants to go."""
        self.mode: ServiceMode = "normal"
        self.faults: set[FaultName] = set()
        self.alarm_button = False
        self.trips, self.running_s = 0, 0.0
        self._rng, self._patience_range_s = rng, patience_s
        self._patience_s: float | None = None
        self._evidence: Evidence | None = None
        self._tripped = False
        self._codes: set[str] = set()
        self._dwell_s = self._door_wish_s = self._automatic_s = 0.0
        self._direction = 1
        self._rescuing = False

    def call(self, floor_from: int, floor_to: int) -> bool:
        """Put a person on a floor; False when nobody is served now or the floor is crowded.

        Raises:
            ValueError: a floor outside the shaft, or the same twice.

        """
        if not (self._has(floor_from) and self._has(floor_to)) or floor_from == floor_to:
            raise ValueError(f"no trip from floor {floor_from} to floor {floor_to} in this shaft")
        queue = self.waiting.setdefault(floor_from, [])
        if self.mode != "normal" or self.faults or len(queue) >= WAITING_PER_FLOOR_MAX:
            return False
        queue.append(floor_to)
        return True

    def set_mode(self, mode: ServiceMode) -> None:
        """Change the service mode; people on floors go away, those in the car are taken out."""
        if mode == "normal" and self.mode != "normal":
            self._automatic_s = _AUTOMATIC_SHOWN_S
        self.mode = mode
        if mode != "normal":
            self.waiting.clear()
            floor = 0 if mode in _RECALL else self._stop_among(())
            self.riders = [floor] * len(self.riders)

    def set_fault(self, name: FaultName, evidence: Evidence | None = None) -> None:
        """Let something break; what follows from it is physics.

        Args:
            name: what breaks.
            evidence: how an entrapment shows; by default `at_level`.

        """
        self.faults.add(name)
        if name == "entrapment":
            self._trap(evidence or "at_level")
        elif name == "stopped_outside_zone":
            self._evidence = "off_level"
        elif name in {"door_cannot_close", "door_cannot_open", "unintended_movement"}:
            self._dwell_s = max(self._dwell_s, self.shaft.dwell_s)

    def clear(self) -> None:
        """Repair everything; whoever is trapped is brought to a floor and let out."""
        troubled = bool(self.faults) or self.alarm_button
        self.faults.clear()
        self._codes.clear()
        self._evidence, self._tripped, self._patience_s = None, False, None
        if not self.doors.closed:
            self.car.velocity_m_s = 0.0
        self._rescuing = troubled and not self.car.moving and not self._standing_open()
        if not self._rescuing:
            self.alarm_button = False

    def step(self, dt_s: float) -> bool:
        """Let time pass, in pieces of 0.1 s at most; False when nothing was there to do."""
        if self._quiet():
            return False
        count = max(1, math.ceil(dt_s / SUBSTEP_MAX_S - 1e-9))
        for _ in range(count):
            self._advance(dt_s / count)
        return True

    def values(self) -> dict[str, Value]:
        """Tell every canonical point that a lift controller could know."""
        car, velocity = self.car, self.car.velocity_m_s
        return {
            "service_mode": self.mode,
            "car_status": "running" if velocity else "stopped",
            "car_direction": "up" if velocity > 0 else "down" if velocity < 0 else "none",
            "door_zone": car.in_door_zone,
            "car_position": car.floor + self.shaft.bottom_floor,
            "door_status": self.doors.closed,
            "passenger_status": bool(self.riders),
            "message_code": list[str](self.codes()),
            "total_running_time": int(self.running_s // 3600),
            "present_counter_value": self.trips,
            "speed": round(abs(velocity), 3),
            "load_percent": round(100 * len(self.riders) / self.shaft.capacity_persons, 1),
            "safety_circuit": "safety_circuit_open" not in self.faults,
            "power_status": "outage" if "power_cut" in self.faults else "mains",
        }

    def codes(self) -> list[str]:
        """Tell the national message codes that stand now, in order."""
        codes = {code for name, code in _FAULT_CODES.items() if name in self.faults}
        codes |= self._codes
        if self.mode in _MODE_CODES:
            codes.add(_MODE_CODES[self.mode])
        if self._automatic_s > 0:
            codes.add("40")
        if self.alarm_button:
            codes.add("90")
        return sorted(codes)

    def _has(self, floor: int) -> bool:
        return 0 <= floor < self.shaft.floors

    def _quiet(self) -> bool:
        return not (
            self.riders
            or self.faults
            or self.car.moving
            or self._dwell_s > 0
            or self._automatic_s > 0
            or self._rescuing
            or not self.doors.closed
            or self.mode != "normal"
            or any(self.waiting.values())
        )

    def _standing_open(self) -> bool:
        return self.car.level and self.doors.open

    def _trap(self, evidence: Evidence) -> None:
        self._evidence, self._tripped = evidence, False
        if not self.riders:
            here = self.car.floor
            self.riders.append(here + 1 if here + 1 < self.shaft.floors else here - 1)
        if evidence == "alarm_button":
            self.alarm_button = True

    def _advance(self, dt_s: float) -> None:
        self._automatic_s = max(0.0, self._automatic_s - dt_s)
        if self.car.moving:
            self.running_s += dt_s
        if self._drifts():
            self._drift(dt_s)
        else:
            if not self.car.moving and not self.faults & _DOORS_DEAD:
                self._move_doors(dt_s)
            if self._stands():
                self.car.brake(dt_s)
            else:
                self._drive(dt_s)
        self._notice(dt_s)

    def _drifts(self) -> bool:
        return "unintended_movement" in self.faults and self.doors.opening > 0.5

    def _drift(self, dt_s: float) -> None:
        if abs(self.car.offset_m) >= _DRIFT_M:
            self.car.brake(dt_s)
        else:
            upwards = self.car.floor == 0
            self.car.drift(_DRIFT_M_S if upwards else -_DRIFT_M_S, dt_s)
            self._codes.add("05")

    def _stands(self) -> bool:
        """Tell whether the car must not be driven now."""
        if not self.doors.closed or self.faults & _HELD or self._wants_open():
            return True
        match self._evidence:
            case "alarm_button":
                return True
            case "at_level":
                return self.car.level
            case "off_level":
                return self._stands_off_level()
            case _:
                return False

    def _stands_off_level(self) -> bool:
        car = self.car
        stopping_m = car.velocity_m_s * abs(car.velocity_m_s) / (2 * self.shaft.brake_m_s2)
        stop_m = car.position_m + stopping_m
        height_m = self.shaft.floor_height_m
        if abs(stop_m - round(stop_m / height_m) * height_m) >= _OFF_LEVEL_M:
            self._tripped = True
        elif not car.moving and car.in_door_zone:
            self._tripped = False
        return self._tripped

    def _wants_open(self) -> bool:
        if not self.car.level or self._evidence is not None:
            return False
        here = self.car.floor
        if self._rescuing or self._dwell_s > 0 or here in self.riders:
            return True
        if (self.mode in _RECALL and here == 0) or self.mode == "earthquake":
            return True
        if self.riders and self.faults & _HELD:
            return True
        return bool(self.waiting.get(here)) and not self._full()

    def _full(self) -> bool:
        return len(self.riders) >= self.shaft.capacity_persons

    def _move_doors(self, dt_s: float) -> None:
        to_open = self._wants_open()
        blocked, jammed = "door_cannot_close" in self.faults, "door_cannot_open" in self.faults
        self.doors.move(
            to_open=to_open,
            dt_s=dt_s,
            least=_OBSTACLE if blocked else 0.0,
            most=0.0 if jammed else 1.0,
        )
        if blocked and not to_open and 0 < self.doors.opening <= _OBSTACLE and self.car.level:
            self._codes.add("02")
            self._dwell_s = self.shaft.dwell_s
        self._door_wish_s = self._door_wish_s + dt_s if jammed and to_open else 0.0
        if self._door_wish_s > 2 * self.shaft.door_time_s:
            self._codes.add("03")
        if self.doors.open and to_open:
            self._exchange(dt_s)

    def _exchange(self, dt_s: float) -> None:
        here, before = self.car.floor, len(self.riders)
        if self._rescuing:
            self.riders, self._rescuing, self.alarm_button = [], False, False
        self.riders = [floor for floor in self.riders if floor != here]
        if self.faults & _HELD:
            self.riders = []
        queue = self.waiting.get(here, [])
        while queue and not self._full():
            self.riders.append(queue.pop(0))
        self._dwell_s -= dt_s
        if len(self.riders) != before:
            self._dwell_s = max(self._dwell_s, self.shaft.dwell_s / 2)

    def _drive(self, dt_s: float) -> None:
        floor = self._next_floor()
        if floor is None:
            return
        was_moving = self.car.moving
        speed = self.shaft.creep_m_s if self._rescuing else self.shaft.speed_m_s
        self.car.drive(self.shaft.level_m(floor), speed, dt_s)
        if self.car.moving:
            self._direction = 1 if self.car.velocity_m_s > 0 else -1
            self.trips += not was_moving
        elif self._evidence is None:
            self._dwell_s = self.shaft.dwell_s

    def _next_floor(self) -> int | None:
        """Where the car is to go; None: it has no wish to leave the level where it stands."""
        if self._rescuing:
            return self.car.floor
        if self._evidence == "off_level" and not self.car.moving and self.car.in_door_zone:
            here = self.car.floor
            return here + 1 if here + 1 < self.shaft.floors else here - 1
        if self._evidence is not None:
            return self._stop_among(())
        stops = {floor for floor, queue in self.waiting.items() if queue and not self._full()}
        stops.update(self.riders)
        if self.mode in _RECALL:
            stops = {0}
        if not stops and self.car.level:
            return None
        return self._stop_among(stops)

    def _stop_among(self, stops: "set[int] | tuple[()]") -> int:
        """Choose the next floor where the car can stop; among no stops the nearest it can."""
        car, height_m = self.car, self.shaft.floor_height_m
        if not car.moving:
            onward = [s for s in stops if (s - car.floor) * self._direction > 0]
            return min(onward or stops or (car.floor,), key=lambda s: abs(s - car.floor))
        sign = 1 if car.velocity_m_s > 0 else -1
        way_m = car.braking_distance_m() - abs(car.velocity_m_s) * SUBSTEP_MAX_S
        first = math.ceil((car.position_m * sign + way_m) / height_m - 1e-6) * sign
        first = min(max(first, 0), self.shaft.floors - 1)
        ahead = [s for s in stops if (s - first) * sign >= 0]
        return min(ahead, key=lambda s: abs(s - first)) if ahead else first

    def _notice(self, dt_s: float) -> None:
        """Latch what the controller and the people in the car notice."""
        moving = self.car.moving
        if "safety_circuit_open" in self.faults and moving:
            self._codes.add("01")
        if "stopped_outside_zone" in self.faults and not moving and not self.car.in_door_zone:
            self._codes.add("04")
        trapped = self.riders and not moving and self.doors.closed and self.faults
        if not trapped or self._patience_range_s is None or "entrapment" in self.faults:
            self._patience_s = None
        elif self._patience_s is None:
            self._patience_s = self._rng.uniform(*self._patience_range_s)
        elif not self._wants_open() or "door_cannot_open" in self.faults:
            self._patience_s -= dt_s
            self.alarm_button = self.alarm_button or self._patience_s <= 0
