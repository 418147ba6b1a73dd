"""The query language once more, slow and obvious: one event body against one parameter.

Written from the standard's text beside the compiler, and sharing nothing with it.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

UNITS_FILE = Path(__file__).parents[2] / "firmware_config" / "epcis" / "units.toml"
STANDARD_KEYS = {
    "epc": ("epcList", "childEPCs"),
    "parentID": ("parentID",),
    "inputEPC": ("inputEPCList",),
    "outputEPC": ("outputEPCList",),
    "anyEPC": ("parentID", "epcList", "childEPCs", "inputEPCList", "outputEPCList"),
    "epcClass": ("quantityList", "childQuantityList"),
    "inputEPCClass": ("inputQuantityList",),
    "outputEPCClass": ("outputQuantityList",),
    "anyEPCClass": (
        "quantityList",
        "childQuantityList",
        "inputQuantityList",
        "outputQuantityList",
    ),
}
QUANTITIES = STANDARD_KEYS["anyEPCClass"]
FAMILY = {
    "ILMD_": "ilmd",
    "ERROR_DECLARATION_": "error",
    "SENSORELEMENT_": "element",
    "SENSORMETADATA_": "metadata",
    "SENSORREPORT_": "report",
    "readPoint_": "readPoint",
    "bizLocation_": "bizLocation",
}
SENSOR_FIELDS = (
    "deviceID",
    "dataProcessingMethod",
    "microorganism",
    "chemicalSubstance",
    "bizRules",
    "uriValue",
    "stringValue",
    "hexBinaryValue",
)
EXTENSION = re.compile(r"(EQ|GT|GE|LT|LE|EXISTS)_(INNER_)?(" + "|".join(FAMILY) + r")?(\w+:\w+)$")


class Seen(NamedTuple):
    """An event as a repository holds it."""

    body: Mapping[str, Any]
    event_id: str
    record_time_us: int


class World(NamedTuple):
    """What an answer depends on beside the event."""

    children: Mapping[str, list[str]]
    """Of places, direct ones."""
    attributes: Mapping[str, Mapping[str, str]]
    """Of vocabulary elements."""


def admits(query: Mapping[str, Any], event: Seen, world: World) -> bool:
    """Tell whether an event is in the answer, but for its order and its bounds."""
    arranging = ("orderBy", "orderDirection", "eventCountLimit", "maxEventCount", "@context")
    return all(_holds(n, v, event, world) for n, v in query.items() if n not in arranging)


def _holds(name: str, value: Any, event: Seen, world: World) -> bool:
    body = event.body
    if name == "eventType":
        return body["type"] in value
    if name in ("EQ_action", "EQ_transformationID"):
        return body.get(name[3:]) in value
    if name in ("EQ_bizStep", "EQ_disposition"):
        return _bare(body.get(name[3:])) in [_bare(one) for one in value]
    if name in ("EQ_readPoint", "EQ_bizLocation"):
        return body.get(name[3:], {}).get("id") in value
    if name in ("WD_readPoint", "WD_bizLocation"):
        return body.get(name[3:], {}).get("id") in _with_descendants(value, world)
    if name == "EQ_eventID":
        return event.event_id in value
    if name.startswith("EQ_persistentDisposition_"):
        said = body.get("persistentDisposition", {}).get(name.rpartition("_")[2], [])
        return bool({_bare(one) for one in said} & {_bare(one) for one in value})
    if name.startswith("MATCH_"):
        return any(
            _fits(one, v, name.endswith("Class")) for one in _named(name[6:], body) for v in value
        )
    if name.startswith(("HASATTR_", "EQ_ATTR_")):
        return _has_attribute(name, value, body, world)
    return _holds_more(name, value, event)


def _holds_more(name: str, value: Any, event: Seen) -> bool:
    declared = event.body.get("errorDeclaration")
    if name == "EXISTS_errorDeclaration":
        return value is False or declared is not None
    if name == "EXISTS_sensorElementList":
        return value is False or "sensorElementList" in event.body
    if name in ("EQ_errorReason", "EQ_correctiveEventID"):
        if declared is None:
            return False
        said = (
            [declared.get("reason")]
            if name == "EQ_errorReason"
            else declared.get("correctiveEventIDs", [])
        )
        return bool({_bare(one) for one in said} & {_bare(one) for one in value})
    return _holds_other(name, value, event)


def _holds_other(name: str, value: Any, event: Seen) -> bool:
    body = event.body
    if match := re.fullmatch(r"(GE|LT)_(\w+)", name):
        times = list(_times(match[2], event))
        if times or match[2] in ("eventTime", "time", "startTime", "endTime"):
            return any(_compare(match[1], one, _us(value)) for one in times)
        if match[2].startswith("errorDeclaration"):
            return False
    if match := re.fullmatch(r"EQ_(bizTransaction|source|destination)_(\w+)", name):
        key = match[1]
        return any(
            one.get("type") == match[2] and one[key] in value for one in body.get(f"{key}List", [])
        )
    if name == "EQ_type":
        return any(one.get("type") in value for _, one in _sensors(body))
    if name == "EQ_booleanValue":
        return any(one.get("booleanValue") is value for _, one in _sensors(body))
    if name[3:] in SENSOR_FIELDS and name.startswith("EQ_"):
        return any(one.get(name[3:]) in value for _, one in _sensors(body))
    return _numbers(name, value, body)


def _numbers(name: str, value: Any, body: Mapping[str, Any]) -> bool:
    values = value if isinstance(value, list) else [value]
    if match := re.fullmatch(r"(EQ|GT|GE|LT|LE)_quantity(?:_(\w+))?", name):
        elements = [one for key in QUANTITIES for one in body.get(key, []) if "quantity" in one]
        pairs = [(one["quantity"], one.get("uom")) for one in elements]
        return any(_measures(match[1], q, u, v, match[2]) for q, u in pairs for v in values)
    fields = "value|minValue|maxValue|meanValue|sDev|percValue|percRank"
    if match := re.fullmatch(rf"(EQ|GT|GE|LT|LE)_({fields})(?:_(\w+))?", name):
        reports = [one for _, one in _sensors(body) if match[2] in one]
        pairs = [(one[match[2]], one.get("uom")) for one in reports]
        return any(_measures(match[1], q, u, v, match[3]) for q, u in pairs for v in values)
    match = EXTENSION.match(name)
    assert match, name
    operator, inner, family, field = match.groups()
    if operator == "EXISTS" and value is False:
        return True
    holders = list(_holders(FAMILY.get(family or "", "event"), body))
    found = [one for holder in holders for one in _fields(holder, field, bool(inner))]
    if operator == "EXISTS":
        return bool(found)
    leaves = [leaf for one in found for leaf in _leaves(one)]
    return any(_extension(operator, leaf, v) for leaf in leaves for v in values)


def _extension(operator: str, leaf: Any, value: Any) -> bool:
    if operator == "EQ" and isinstance(value, str):
        return _text(leaf) == value or (_us(value) is not None and _us(leaf) == _us(value))
    if isinstance(value, str):
        us, wanted = _us(leaf), _us(value)
        return us is not None and _compare(operator, us, wanted)
    number = _float(leaf)
    return number is not None and _compare(operator, number, value)


def _holders(family: str, body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if family == "event":
        yield {key: one for key, one in body.items() if ":" in key}
    elif family == "error":
        yield body.get("errorDeclaration", {})
    elif family in ("ilmd", "readPoint", "bizLocation"):
        yield body.get(family, {})
    elif family == "element":
        yield from body.get("sensorElementList", [])
    else:
        yield from (one for kind, one in _sensors(body) if kind == family)


def _fields(holder: Mapping[str, Any], field: str, inner: bool) -> Iterator[Any]:
    """Return values of a field: at the top, or anywhere below an extension."""
    for key, value in holder.items():
        if ":" not in key:
            continue
        if not inner and key == field:
            yield value
        if inner:
            yield from _below(value, field)


def _below(value: Any, field: str) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _below(one, field)
    if isinstance(value, dict):
        for key, one in value.items():
            if key == field:
                yield one
            yield from _below(one, field)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    elif not isinstance(value, dict):
        yield value


def _sensors(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for element in body.get("sensorElementList", []):
        yield "metadata", element.get("sensorMetadata", {})
        for report in element.get("sensorReport", []):
            yield "report", report


def _times(field: str, event: Seen) -> Iterator[int]:
    body = event.body
    if field == "eventTime":
        yield _us(body["eventTime"]) or 0
    elif field == "recordTime":
        yield event.record_time_us
    elif field in ("errorDeclarationTime", "errorDeclaration_Time"):
        if "errorDeclaration" in body:
            yield _us(body["errorDeclaration"]["declarationTime"]) or 0
    elif field in ("time", "startTime", "endTime"):
        yield from (_us(one[field]) or 0 for _, one in _sensors(body) if field in one)


def _named(what: str, body: Mapping[str, Any]) -> Iterator[str]:
    for key in STANDARD_KEYS[what]:
        said = body.get(key, [])
        for one in [said] if isinstance(said, str) else said:
            yield one if isinstance(one, str) else one["epcClass"]


def _fits(id_: str, wanted: str, by_class: bool) -> bool:
    pattern = re.fullmatch(r"urn:epc:idpat:sgtin:(\d+)\.(\*|\d+)\.\*", wanted)
    if pattern is None:
        return id_.startswith(wanted[:-1]) if wanted.endswith("*") else id_ == wanted
    prefix, reference = pattern.groups()
    if by_class:
        id_ = f"{id_}/21/7"  # one of the class, or of the lot
        id_ = re.sub(r"/10/.*", "/21/7", id_)
    gtin = re.fullmatch(r"https://id\.gs1\.org/01/(\d)(\d{12})\d/21/.+", id_)
    if gtin is None:
        return False
    if reference == "*":
        return gtin[2].startswith(prefix)
    return gtin[2] == prefix + reference[1:] and gtin[1] == reference[0]


def _with_descendants(values: list[str], world: World) -> set[str]:
    found, left = set(values), list(values)
    while left:
        for child in world.children.get(left.pop(), []):
            if child not in found:
                found.add(child)
                left.append(child)
    return found


def _has_attribute(name: str, value: list[str], body: Mapping[str, Any], world: World) -> bool:
    if name.startswith("HASATTR_"):
        field, wanted, values = name[8:], [_mda(one) for one in value], None
    else:
        field, attribute = re.fullmatch(  # type: ignore[union-attr]
            r"EQ_ATTR_(readPoint|bizLocation|epcClass|\w+:\w+?)_(\w+:\w+)", name
        ).groups()
        wanted, values = [_mda(attribute)], value
    if field in ("readPoint", "bizLocation"):
        elements = [body.get(field, {}).get("id")]
    elif field == "epcClass":
        elements = list(_named("anyEPCClass", body))
    else:
        elements = [leaf for one in _fields(body, field, False) for leaf in _leaves(one)]
    told = [world.attributes.get(one, {}) for one in elements if isinstance(one, str)]
    return any(
        attribute in one and (values is None or one[attribute] in values)
        for one in told
        for attribute in wanted
    )


def _mda(text: str) -> str:
    return text.replace("cbvmda:", "urn:epcglobal:cbv:mda:")


def _bare(word: str | None) -> str | None:
    return re.sub(r"^https://ref\.gs1\.org/cbv/\w+-", "", word) if word is not None else None


def _units() -> Iterator[tuple[str, tuple[str, float, float]]]:
    data = tomllib.loads(UNITS_FILE.read_text(encoding="utf-8"))
    for kind in data["kinds"]:
        for one in kind["units"]:
            yield one["code"], (kind["id"], one["factor"], one.get("offset", 0.0))


UNITS = dict(_units())


def _measures(
    operator: str, number: float, uom: str | None, value: float, asked: str | None
) -> bool:
    if asked is None:
        return _compare(operator, number, value)
    if uom is None:
        return False
    one, other = UNITS.get(uom, (uom, 1, 0)), UNITS.get(asked, (asked, 1, 0))
    if one[0] != other[0]:
        return False
    left, right = number * one[1] + one[2], value * other[1] + other[2]
    if abs(left - right) <= 1e-9 * max(abs(left), abs(right)):
        left = right
    return _compare(operator, left, right)


def _compare(operator: str, one: Any, other: Any) -> bool:
    holds: dict[str, bool] = {
        "EQ": one == other,
        "GT": one > other,
        "GE": one >= other,
        "LT": one < other,
        "LE": one <= other,
    }
    return holds[operator]


def _text(leaf: Any) -> str:
    if isinstance(leaf, bool):
        return "true" if leaf else "false"
    return f"{leaf:g}" if isinstance(leaf, int | float) else str(leaf)


def _float(leaf: Any) -> float | None:
    if isinstance(leaf, bool):
        return None
    try:
        return float(leaf)
    except ValueError:
        return None


def _us(text: Any) -> int | None:
    if not isinstance(text, str) or not re.match(r"\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$", text):
        return None
    moment = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    return round(moment.total_seconds() * 1000) * 1000
