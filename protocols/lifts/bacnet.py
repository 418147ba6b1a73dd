"""A lift as a BACnet Lift object (type 59; ANSI/ASHRAE 135-2020, 12.59), and back: pure.

Names are those of the properties in lower camel case, as libraries write them; the numbers of
properties and enumerations, and the mapping of codes, stand in `firmware_config/bacnet/lift.toml`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from protocols.border import load_toml
from protocols.catalog.files import data_root
from protocols.catalog.points import load_codes, load_points
from protocols.errors import Fault, FixConfiguration
from protocols.lifts.dialect import ASSET_KIND, emergencies
from protocols.readings import Value

ALARM_BUTTON = "90"
INSTANCE_BITS = 22
NO_INSTANCE = (1 << INSTANCE_BITS) - 1
"""Of an object that is not there: the elevator group, where nobody told one."""
ELEVATOR_GROUP = 57
BYTE_MAX = 255


class Crosswalk(Struct, frozen=True, kw_only=True):
    """The data file."""

    schema: Literal[1]
    object_type: int
    vendor_from: int
    source: str
    caveats: tuple[str, ...] = ()
    properties: dict[str, int]
    enumerations: dict[str, dict[str, int]]
    service_mode: dict[str, str]
    car_direction: dict[str, str]
    codes: dict[str, str | int]

    def number(self, enumeration: str, word: str) -> int:
        """Return the number of a word."""
        return self.enumerations[enumeration][word]

    def fault(self, code: str) -> int:
        """Return the number of a canonical code among the fault signals."""
        told = self.codes[code]
        return told if isinstance(told, int) else self.number("LiftFault", told)


class Property(Struct, frozen=True):
    """One property of an object."""

    id: int
    value: Any
    """Numbers for enumerations."""
    words: Any = None
    """The same in the standard's words, where the value is an enumeration."""


class LiftObject(Struct, frozen=True):
    """One lift; a property that nobody knows is not there."""

    object_type: int
    object_identifier: tuple[str, int]
    properties: dict[str, Property]


def load_crosswalk(path: Path | None = None) -> Crosswalk:
    """Read and check the file, the shipped one by default.

    Raises:
        FixConfiguration: with all its faults.

    """
    path = path or data_root() / "bacnet" / "lift.toml"
    found = load_toml(path, Crosswalk)
    faults = [Fault(str(path), *one) for one in _faults(found)]
    if faults:
        raise FixConfiguration(faults)
    return found


@lru_cache(maxsize=1)
def shipped() -> Crosswalk:
    """Return the shipped crosswalk."""
    return load_crosswalk()


def lift_object(
    asset: str,
    values: Mapping[str, Value],
    *,
    floor_labels: Sequence[str] = (),
    crosswalk: Crosswalk | None = None,
) -> LiftObject:
    """Write a lift as an object.

    Args:
        asset: its id; the name of the object, and what its instance is made of.
        values: newest canonical values; what is missing or None is not known.
        floor_labels: names of its floors from the lowest, for floors that are no numbers.
        crosswalk: None: as shipped.

    """
    walk = crosswalk or shipped()
    told = dict(_told(walk, values, floor_labels))
    instance = instance_of(asset)
    told |= {
        "objectIdentifier": (("lift", instance), None),
        "objectName": (asset, None),
        "objectType": (walk.object_type, "lift"),
        "elevatorGroup": ([ELEVATOR_GROUP, NO_INSTANCE], ["elevator-group", NO_INSTANCE]),
        "groupID": (0, None),
        "installationID": (0, None),
        "outOfService": (False, None),
    }
    properties = {
        name: Property(number, *told[name])
        for name, number in walk.properties.items()
        if name in told
    }
    return LiftObject(walk.object_type, ("lift", instance), properties)


def canonical_of(lift: LiftObject, crosswalk: Crosswalk | None = None) -> dict[str, Value]:
    """Return the canonical values that an object tells."""
    walk = crosswalk or shipped()
    known = {name: one.value for name, one in lift.properties.items()}
    found: dict[str, Value] = {
        point: known[name]
        for name, point in (
            ("carDoorZone", "door_zone"),
            ("carPosition", "car_position"),
            ("carLoad", "load_percent"),
            ("energyMeter", "energy_meter"),
            ("nextStoppingFloor", "next_stopping_floor"),
        )
        if name in known
    }
    modes = {walk.number("LiftCarMode", word): mode for mode, word in walk.service_mode.items()}
    ways = {walk.number("LiftCarDirection", word): w for w, word in walk.car_direction.items()}
    if "carMode" in known:
        found["service_mode"] = modes.get(known["carMode"])
    if "carAssignedDirection" in known:
        found["car_direction"] = ways.get(known["carAssignedDirection"])
    moving = known["carMovingDirection"]
    if moving != walk.number("LiftCarDirection", "unknown"):
        stands = moving == walk.number("LiftCarDirection", "stopped")
        found["car_status"] = "stopped" if stands else "running"
    doors = {0: True, 1: False}.get(known["carDoorStatus"][0])
    if doors is not None:
        found["door_status"] = doors
    if "faultSignals" in known:
        codes = {walk.fault(code): code for code in walk.codes}
        button = [ALARM_BUTTON] if known["passengerAlarm"] else []
        found["message_code"] = [*button, *(codes[one] for one in known["faultSignals"])]
    return found


def instance_of(asset: str) -> int:
    """Return an instance number for an asset: 22 bits of its hash, never the one for none."""
    digest = hashlib.sha256(asset.encode()).digest()
    number: int = int.from_bytes(digest[:8], "big")
    return number % NO_INSTANCE


def _told(
    walk: Crosswalk, values: Mapping[str, Value], floor_labels: Sequence[str]
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield (property, (value, words)) of what is known."""
    yield from _movement(walk, values)
    yield from _signals(walk, values)
    mode = values.get("service_mode")
    if isinstance(mode, str):
        yield "carMode", _enumerated(walk, "LiftCarMode", walk.service_mode[mode])
    shut = values.get("door_status")
    doors = ("closed" if shut else "opened") if isinstance(shut, bool) else "unknown"
    number, word = _enumerated(walk, "DoorStatus", doors)
    yield "carDoorStatus", ([number], [word])
    for name, point in (("carDoorZone", "door_zone"), ("energyMeter", "energy_meter")):
        if values.get(point) is not None:
            yield name, (values[point], None)
    if values.get("load_percent") is not None:
        yield "carLoad", (values["load_percent"], None)
        yield "carLoadUnits", _enumerated(walk, "EngineeringUnits", "percent")
    for name, point in (
        ("carPosition", "car_position"),
        ("nextStoppingFloor", "next_stopping_floor"),
    ):
        floor = _floor(values.get(point), floor_labels)
        if floor is not None:
            yield name, (floor, None)


def _movement(
    walk: Crosswalk, values: Mapping[str, Value]
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    way, status = values.get("car_direction"), values.get("car_status")
    word = walk.car_direction[way] if isinstance(way, str) else "unknown"
    if isinstance(way, str):
        yield "carAssignedDirection", _enumerated(walk, "LiftCarDirection", word)
    moving = {"stopped": "stopped", "running": word}.get(str(status), "unknown")
    if status == "running" and word == "unknown":
        moving = "none"  # it moves, and nobody knows where
    yield "carMovingDirection", _enumerated(walk, "LiftCarDirection", moving)
    drive = "stationary" if status == "stopped" else "unknown"
    yield "carDriveStatus", _enumerated(walk, "LiftCarDriveStatus", drive)


def _signals(walk: Crosswalk, values: Mapping[str, Value]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    codes = values.get("message_code")
    listed = codes if isinstance(codes, list) else []
    alarm = ALARM_BUTTON in listed
    yield "passengerAlarm", (alarm, None)
    faults = [code for code in listed if code != ALARM_BUTTON]
    if isinstance(codes, list):
        names = {number: word for word, number in walk.enumerations["LiftFault"].items()}
        numbers = [walk.fault(code) for code in faults]
        words = [names.get(number, code) for number, code in zip(numbers, faults, strict=True)]
        yield "faultSignals", (numbers, words)
    silent = values.get("controller_online") is False
    reliability = "communicationFailure" if silent else "noFaultDetected"
    yield "reliability", _enumerated(walk, "Reliability", reliability)
    in_alarm = not emergencies().isdisjoint(listed)
    flags = [in_alarm, bool(faults) or silent, False, False]
    names_of_flags = ("in-alarm", "fault", "overridden", "out-of-service")
    words_of_flags = [word for word, up in zip(names_of_flags, flags, strict=True) if up]
    yield "statusFlags", (flags, words_of_flags)


def _enumerated(walk: Crosswalk, enumeration: str, word: str) -> tuple[int, str]:
    return walk.number(enumeration, word), word


def _floor(told: Value, labels: Sequence[str]) -> int | None:
    if isinstance(told, str) and told in labels:
        return list(labels).index(told) + 1
    number = int(told) if isinstance(told, str) and told.isascii() and told.isdigit() else told
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= BYTE_MAX:
        return None
    return number


def _faults(walk: Crosswalk) -> Iterator[tuple[str, str, str]]:
    points, codes = load_points(ASSET_KIND), load_codes(ASSET_KIND)
    for point, mapped, enumeration in (
        ("service_mode", walk.service_mode, "LiftCarMode"),
        ("car_direction", walk.car_direction, "LiftCarDirection"),
    ):
        if set(mapped) != set(points[point].words):
            yield point, ", ".join(points[point].words), ", ".join(mapped)
        if unknown := set(mapped.values()) - set(walk.enumerations[enumeration]):
            yield point, f"words of {enumeration}", ", ".join(sorted(unknown))
            return
    expected = set(codes) - {ALARM_BUTTON}
    if set(walk.codes) != expected:
        yield "codes", "every canonical code but 90", str(set(walk.codes) ^ expected)
    numbers: dict[int, str] = {}
    for code, told in walk.codes.items():
        if isinstance(told, str) and told not in walk.enumerations["LiftFault"]:
            yield f"codes.{code}", "a word of LiftFault", repr(told)
            continue
        number = walk.fault(code)
        if isinstance(told, int) and not walk.vendor_from <= number <= 65_535:
            yield f"codes.{code}", f"{walk.vendor_from} to 65535", str(number)
        if number in numbers:
            yield f"codes.{code}", "a number of its own", f"{number}, as {numbers[number]}"
        numbers[number] = code
