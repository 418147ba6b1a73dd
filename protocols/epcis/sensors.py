"""Sensor elements: what was measured, when, with which unit (EPCIS 2.0, 7.3.7)."""

import itertools
from collections.abc import Mapping
from typing import Any

from protocols.epcis.identifiers import Read, uri
from protocols.epcis.inspection import Inspection
from protocols.epcis.lists import members
from protocols.epcis.properties import properties
from protocols.epcis.scalars import number, text, time, word
from protocols.epcis.values import HEX, UNIT

_NUMBERS = ("value", "minValue", "maxValue", "meanValue", "sDev", "percValue")
_TELLING = frozenset(
    (
        "stringValue",
        "booleanValue",
        "hexBinaryValue",
        "uriValue",
        "percRank",
        *_NUMBERS,
        "exception",
        "microorganism",
        "chemicalSubstance",
    )
)
"""Of which a report has at least one."""
_WITHOUT_UNIT = frozenset(f"https://gs1.org/voc/{name}" for name in ("Count", "Dimensionless"))
_STANDARD = "https://gs1.org/voc/"


def sensor_elements(see: Inspection, at: str, value: object) -> None:
    """Read the list of sensor elements."""
    for index, one in enumerate(members(see, at, value, dict, "a list of objects") or ()):
        place = f"{at}/{index}"
        if type(one) is not dict:
            see.wrong_type(place, "an object with a sensorReport", one)
            continue
        properties(see, place, one, _ELEMENT)
        if "sensorReport" not in one:
            see.missing(place, "sensorReport")


def _metadata(see: Inspection, at: str, value: object) -> None:
    if type(value) is not dict:
        see.wrong_type(at, "an object", value)
        return
    got = properties(see, at, value, _METADATA)
    start, end = got.get("startTime"), got.get("endTime")
    if ("startTime" in value) != ("endTime" in value):
        see.note(at, "odd_period", "startTime and endTime together", "one of them")
    elif start is not None and end is not None and start > end:
        see.note(f"{at}/endTime", "odd_period", "an end after the start", value["endTime"])
    elif "time" in value and "startTime" in value:
        see.note(f"{at}/time", "odd_period", "a time, or a period", value["time"])


def _instant(see: Inspection, at: str, value: object) -> int | None:
    found = time(see, at, value)
    if found is not None:
        see.instants.append((at, found))
    return found


def _boolean(see: Inspection, at: str, value: object) -> None:
    if type(value) is not bool:
        see.wrong_type(at, "true or false", value)


def _hex(see: Inspection, at: str, value: object) -> None:
    if type(value) is not str:
        see.wrong_type(at, "a text of hexadecimal digits", value)
    elif not HEX.fullmatch(value):
        see.note(at, "bad_hex", "pairs of hexadecimal digits", value)


def _unit(see: Inspection, at: str, value: object) -> str | None:
    if type(value) is not str:
        see.wrong_type(at, "a UN/ECE unit code", value)
        return None
    if value not in see.standard.units:
        rule = "unknown_unit" if UNIT.fullmatch(value) else "odd_unit"
        see.note(at, rule, "a UN/ECE unit code, such as CEL", value)
    return value


def _reports(see: Inspection, at: str, value: object) -> None:
    if type(value) is not list:
        see.wrong_type(at, "a list of objects with a type", value)
        return
    if not value:
        see.note(at, "no_reports", "at least one report", value)
    for index, one in enumerate(value):
        if type(one) is dict:
            _report(see, f"{at}/{index}", one)
        else:
            see.wrong_type(f"{at}/{index}", "an object with a type", one)


def _report(see: Inspection, at: str, value: Mapping[str, Any]) -> None:
    got = properties(see, at, value, _REPORT)
    if "type" not in value:
        see.note(at, "missing_report_type", "the property type", "nothing")
    if _TELLING.isdisjoint(value):
        see.note(at, "no_value", "a value, an exception or what was found", "neither")
    measured, uom = got.get("type"), got.get("uom")
    if "uom" in value:
        kind = see.standard.kinds.get(measured or "")
        unit = see.standard.kind_of_unit.get(uom or "")
        if kind and unit and kind != unit:
            see.note(f"{at}/uom", "unit_of_other_kind", f"a unit of {kind}", uom)
    elif (
        measured is not None
        and measured.startswith(_STANDARD)
        and measured not in _WITHOUT_UNIT
        and any(name in value for name in _NUMBERS)
    ):
        see.note(at, "missing_unit", "the property uom", "nothing")
    _statistics(see, at, got)


def _statistics(see: Inspection, at: str, got: Mapping[str, Any]) -> None:
    names = [name for name in ("minValue", "meanValue", "maxValue") if got.get(name) is not None]
    for low, high in itertools.pairwise(names):
        if got[low] > got[high]:
            see.note(f"{at}/{high}", "odd_statistics", f"at least {low}", got[high])
            return
    if (got.get("sDev") or 0) < 0:
        see.note(f"{at}/sDev", "odd_statistics", "at least 0", got["sDev"])
    rank = got.get("percRank")
    if rank is not None and not 0 <= rank <= 100:
        see.note(f"{at}/percRank", "odd_statistics", "from 0 to 100", rank)
    elif ("percRank" in got) != ("percValue" in got):
        see.note(at, "odd_statistics", "percRank and percValue together", "one of them")


_SOURCES: Mapping[str, Read] = dict.fromkeys(
    ("deviceID", "deviceMetadata", "rawData", "dataProcessingMethod"), uri
)
_METADATA: Mapping[str, Read] = {
    **_SOURCES,
    "bizRules": uri,
    "time": _instant,
    "startTime": _instant,
    "endTime": _instant,
}
_REPORT: Mapping[str, Read] = {
    **_SOURCES,
    **dict.fromkeys((*_NUMBERS, "percRank"), number),
    "bizRules": uri,
    "type": word("measurementType"),
    "exception": word("exception"),
    "component": word("component"),
    "time": _instant,
    "microorganism": uri,
    "chemicalSubstance": uri,
    "coordinateReferenceSystem": uri,
    "stringValue": text,
    "booleanValue": _boolean,
    "hexBinaryValue": _hex,
    "uriValue": uri,
    "uom": _unit,
}
_ELEMENT: Mapping[str, Read] = {"sensorMetadata": _metadata, "sensorReport": _reports}
