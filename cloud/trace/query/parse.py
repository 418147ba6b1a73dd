"""The parameters of the query language, read once (EPCIS 2.0, section 8.2.7.1)."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from cloud.trace.canon import expand_name
from cloud.trace.facets import MEASURES, extension_name
from cloud.trace.query.base import (
    PARAMETERS_MAX,
    Attribute,
    BadParameter,
    Column,
    Condition,
    Declared,
    EventQuery,
    Facet,
    Match,
    Measured,
    OneOf,
    Operator,
    Order,
    Quantity,
    Span,
    Time,
    TimeColumn,
    TooComplex,
    Within,
)
from cloud.trace.query.patterns import read_pattern
from cloud.trace.query.values import Given
from protocols.codes.epc_uri import canonical_id
from protocols.epcis.event import Role
from protocols.epcis.standard import Standard
from protocols.epcis.values import is_scheme

_ACTIONS = ("ADD", "OBSERVE", "DELETE")
_ALL_ROLES: tuple[Role, ...] = ("epc", "parent", "child", "input", "output")
_MATCHES: Mapping[str, tuple[tuple[Role, ...], bool]] = {
    "MATCH_epc": (("epc", "child"), False),
    "MATCH_parentID": (("parent",), False),
    "MATCH_inputEPC": (("input",), False),
    "MATCH_outputEPC": (("output",), False),
    "MATCH_anyEPC": (_ALL_ROLES, False),
    "MATCH_epcClass": (("epc", "child"), True),
    "MATCH_inputEPCClass": (("input",), True),
    "MATCH_outputEPCClass": (("output",), True),
    "MATCH_anyEPCClass": (_ALL_ROLES, True),
}
_WORDS = {
    "EQ_bizStep": ("biz_step", "bizStep"),
    "EQ_disposition": ("disposition", "disposition"),
}
_IDS: Mapping[str, Column] = {
    "EQ_readPoint": "read_point",
    "EQ_bizLocation": "biz_location",
    "EQ_transformationID": "transformation_id",
}
_FACET_WORDS = {
    "EQ_persistentDisposition_set": ("disposition.set", "disposition"),
    "EQ_persistentDisposition_unset": ("disposition.unset", "disposition"),
    "EQ_errorReason": ("errorDeclaration.reason", "errorReason"),
    "EQ_type": ("sensor.type", "measurementType"),
}
_FACET_IDS = {
    "EQ_deviceID": "sensor.deviceID",
    "EQ_dataProcessingMethod": "sensor.dataProcessingMethod",
    "EQ_microorganism": "sensor.microorganism",
    "EQ_chemicalSubstance": "sensor.chemicalSubstance",
    "EQ_bizRules": "sensor.bizRules",
    "EQ_uriValue": "sensor.uriValue",
}
_FACET_TEXTS = {
    "EQ_stringValue": "sensor.stringValue",
    "EQ_hexBinaryValue": "sensor.hexBinaryValue",
    "EQ_correctiveEventID": "errorDeclaration.correctiveEventIDs",
}
_TIMES: Mapping[str, TimeColumn] = {
    "eventTime": "event_time",
    "recordTime": "record_time",
    "errorDeclarationTime": "declared_at",
    "errorDeclaration_Time": "declared_at",  # as the official query schema spells it
}
_SENSOR_TIMES = ("time", "startTime", "endTime")
_FAMILIES = {
    "": "event",
    "ILMD": "ilmd",
    "ERROR_DECLARATION": "error",
    "SENSORELEMENT": "sensorElement",
    "SENSORMETADATA": "sensorMetadata",
    "SENSORREPORT": "sensorReport",
    "readPoint": "readPoint",
    "bizLocation": "bizLocation",
}
_ATTRIBUTE_FIELDS = {
    "bizStep": "biz_step",
    "disposition": "disposition",
    "readPoint": "read_point",
    "bizLocation": "biz_location",
    "epcClass": "epc_class",
    "bizTransaction": "bizTransaction:",
    "source": "source:",
    "destination": "destination:",
}
_OP = r"(?P<op>EQ|GT|GE|LT|LE)"
_FIELD = (
    r"(?P<inner>INNER_)?(?:(?P<family>ILMD|ERROR_DECLARATION|SENSORELEMENT|SENSORMETADATA|"
    r"SENSORREPORT|readPoint|bizLocation)_)?(?P<field>[^:]+:.+)"
)
_EXTENSION = re.compile(rf"(?P<op>EQ|GT|GE|LT|LE|EXISTS)_{_FIELD}", re.DOTALL)
_ORDER = re.compile(_FIELD, re.DOTALL)
_TYPED = re.compile(r"EQ_(?P<list>bizTransaction|source|destination)_(?P<type>.+)", re.DOTALL)
_TIME = re.compile(r"(?P<op>GE|LT)_(?P<field>\w+)")
_QUANTITY = re.compile(rf"{_OP}_quantity(?:_(?P<uom>[A-Z0-9]{{2,4}}))?")
_MEASURED = re.compile(rf"{_OP}_(?P<field>{'|'.join(MEASURES)})_(?P<uom>[A-Z0-9]{{2,4}})")
_RANK = re.compile(rf"{_OP}_percRank")
_ARRANGING = frozenset(("orderBy", "orderDirection", "eventCountLimit", "maxEventCount"))


def read_query(
    query: Mapping[str, Any],
    standard: Standard,
    *,
    namespaces: Mapping[str, str] | None = None,
) -> EventQuery:
    """Read the `query` object of the JSON binding.

    Args:
        query: parameters by name; `@context` may declare prefixes.
        standard: vocabulary, and contexts that are known.
        namespaces: prefixes that hold besides, such as those of the header GS1-Extensions.

    Raises:
        BadParameter, TooComplex: it is refused.

    """
    declared = _declared_in(query.get("@context", []), standard)
    known = {**standard.prefixes, **(namespaces or {}), **declared}
    given = [
        Given(name, value, in_url=False, namespaces=known, standard=standard)
        for name, value in query.items()
        if name != "@context"
    ]
    return _read(given)


def read_url(
    parameters: Iterable[tuple[str, str]],
    standard: Standard,
    *,
    namespaces: Mapping[str, str] | None = None,
) -> EventQuery:
    """Read URL parameters, without those of pagination, decoded; lists are divided by `|`.

    Raises:
        BadParameter, TooComplex: it is refused.

    """
    known = {**standard.prefixes, **(namespaces or {})}
    given: dict[str, Given] = {}
    for name, value in parameters:
        if name in given:
            raise BadParameter(f"{name}: expected once, with | between values, found twice")
        given[name] = Given(name, value, in_url=True, namespaces=known, standard=standard)
    return _read(list(given.values()))


def read_extensions(header: str) -> dict[str, str]:
    """Read the header GS1-Extensions: `prefix=namespace`, divided by commas.

    Raises:
        BadParameter: it is none.

    """
    found = {}
    for part in filter(None, (one.strip() for one in header.split(","))):
        prefix, equals, namespace = part.partition("=")
        if not (equals and prefix.strip() and namespace.strip()):
            raise BadParameter(f"GS1-Extensions: expected prefix=namespace, found {part[:200]!r}")
        found[prefix.strip()] = namespace.strip()
    return found


def _declared_in(context: Any, standard: Standard) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in context if isinstance(context, list) else [context]:
        if isinstance(one, dict):
            found.update({k: v for k, v in one.items() if isinstance(v, str)})
        elif isinstance(one, str) and one in standard.contexts:
            found.update(standard.contexts[one].prefixes)
        elif not isinstance(one, str):
            raise BadParameter("@context: expected addresses and objects of prefixes")
    return found


def _read(given: list[Given]) -> EventQuery:
    if len(given) > PARAMETERS_MAX:
        raise TooComplex(f"at most {PARAMETERS_MAX} parameters, found {len(given)}")
    arranging = {one.name: one for one in given if one.name in _ARRANGING}
    asked = [_condition(one) for one in given if one.name not in _ARRANGING]
    conditions = tuple(one for one in asked if one is not None)
    limit, most = arranging.get("eventCountLimit"), arranging.get("maxEventCount")
    if limit is not None and most is not None:
        raise BadParameter("eventCountLimit: expected not beside maxEventCount")
    if limit is not None and "orderBy" not in arranging:
        raise BadParameter("eventCountLimit: expected with orderBy")
    return EventQuery(
        conditions=conditions,
        order=_order(arranging.get("orderBy"), arranging.get("orderDirection")),
        event_count_limit=limit.count() if limit is not None else None,
        max_event_count=most.count() if most is not None else None,
    )


def _order(by: Given | None, direction: Given | None) -> Order:
    way = direction.text() if direction is not None else "DESC"
    if way not in ("ASC", "DESC"):
        raise cast("Given", direction).bad("ASC or DESC")
    if by is None:
        return Order()
    field = by.text()
    named = {"eventTime": "event_time", "recordTime": "record_time"}.get(field)
    if named is None:
        match = _ORDER.fullmatch(field)
        if match is None:
            raise by.bad("eventTime, recordTime or the name of an extension")
        named = _field(by, match)
    return Order(named, descending=way == "DESC")


def _condition(given: Given) -> Condition | None:
    """Return what a parameter asks; None: nothing, as `EXISTS_… = false`."""
    for read in _READERS:
        found = read(given)
        if found is not None:
            return found
    if given.name in _SWITCHES:
        return _SWITCHES[given.name] if given.exists() else None
    match = _EXTENSION.fullmatch(given.name)
    if match is None:
        raise BadParameter(
            f"{given.name[:200]}: expected a parameter of EPCIS 2.0, section 8.2.7.1"
        )
    return _extension(given, match)


_SWITCHES: Mapping[str, Condition] = {
    "EXISTS_errorDeclaration": Declared(),
    "EXISTS_sensorElementList": Facet(("sensorElementList",)),
}


def _column(given: Given) -> Condition | None:
    name, namespaces = given.name, given.namespaces
    if name == "eventType":
        return OneOf("type", tuple(expand_name(one, namespaces) for one in given.texts()))
    if name == "EQ_action":
        actions = given.texts()
        if not set(actions) <= set(_ACTIONS):
            raise given.bad("ADD, OBSERVE or DELETE")
        return OneOf("action", tuple(actions))
    if name == "EQ_eventID":
        return OneOf("event_id", tuple(given.texts()))
    if name in _WORDS:
        column, family = _WORDS[name]
        words = given.words(family)
        return OneOf(cast("Column", column), tuple(words))
    if name in _IDS:
        return OneOf(_IDS[name], tuple(map(canonical_id, given.texts())))
    if name == "WD_readPoint":
        return Within("read_point", tuple(map(canonical_id, given.texts())))
    if name == "WD_bizLocation":
        return Within("biz_location", tuple(map(canonical_id, given.texts())))
    return None


def _time(given: Given) -> Condition | None:
    match = _TIME.fullmatch(given.name)
    if match is None:
        return None
    operator, field = cast("Operator", match["op"]), match["field"]
    if field in _TIMES:
        return Time(_TIMES[field], operator, given.instant())
    if field in _SENSOR_TIMES:
        return Facet((f"sensor.{field}",), operator, instants=(given.instant(),))
    return None


def _match(given: Given) -> Condition | None:
    if given.name not in _MATCHES:
        return None
    roles, by_class = _MATCHES[given.name]
    ids: list[str] = []
    spans: list[Span] = []
    for one in given.texts():
        id_, ranges = read_pattern(given.name, one, by_class=by_class)
        ids.extend([id_] if id_ is not None else [])
        spans.extend(ranges)
    return Match(roles, by_class, tuple(ids), tuple(spans))


def _number(given: Given) -> Condition | None:
    if match := _QUANTITY.fullmatch(given.name):
        return Quantity(*_compared(given, match), match["uom"])
    if match := _MEASURED.fullmatch(given.name):
        return Measured(match["field"], *_compared(given, match), match["uom"])
    if match := _RANK.fullmatch(given.name):
        operator, values = _compared(given, match)
        return Facet(("sensor.percRank",), operator, numbers=values)
    return None


def _compared(given: Given, match: re.Match[str]) -> tuple[Operator, tuple[float, ...]]:
    if match["op"] == "EQ":
        return "EQ", tuple(given.numbers())
    return cast("Operator", match["op"]), (given.number(),)


def _facet(given: Given) -> Condition | None:
    name = given.name
    if name in _FACET_WORDS:
        facet, family = _FACET_WORDS[name]
        words = given.words(family)
        return Facet((facet,), texts=tuple(words))
    if name in _FACET_IDS:
        return Facet((_FACET_IDS[name],), texts=tuple(map(canonical_id, given.texts())))
    if name in _FACET_TEXTS:
        return Facet((_FACET_TEXTS[name],), texts=tuple(given.texts()))
    if name == "EQ_booleanValue":
        return Facet(("sensor.booleanValue",), texts=("true" if given.truth() else "false",))
    return None


def _typed(given: Given) -> Condition | None:
    """Read EQ_bizTransaction_TYPE and its like."""
    match = _TYPED.fullmatch(given.name)
    if match is None:
        return None
    list_id = "sourceDestinationType"
    if match["list"] == "bizTransaction":
        list_id = "bizTransactionType"
    kind = given.word(list_id, match["type"])
    return Facet((f"{match['list']}:{kind}",), texts=tuple(map(canonical_id, given.texts())))


def _attribute(given: Given) -> Condition | None:
    if given.name.startswith("HASATTR_"):
        field = _attribute_field(given, given.name.removeprefix("HASATTR_"))
        if field is None:
            raise BadParameter(f"{given.name[:200]}: expected the name of a field")
        names = (expand_name(one, given.namespaces) for one in given.texts())
        return Attribute(field, tuple(names))
    if given.name.startswith("EQ_ATTR_"):
        field, name = _field_and_name(given, given.name.removeprefix("EQ_ATTR_"))
        return Attribute(field, (name,), tuple(map(canonical_id, given.texts())))
    return None


def _field_and_name(given: Given, text: str) -> tuple[str, str]:
    """Divide `readPoint_cbvmda:city`; names hold underscores too, so the first that fits is it."""
    at = text.find("_")
    while at > 0:
        field, name = _attribute_field(given, text[:at]), text[at + 1 :]
        prefix = name.partition(":")[0]
        resolves = ":" not in name or prefix in given.namespaces or is_scheme(prefix)
        if field is not None and name and resolves:
            return field, expand_name(name, given.namespaces)
        at = text.find("_", at + 1)
    raise BadParameter(f"{given.name[:200]}: expected EQ_ATTR_field_attribute")


def _attribute_field(given: Given, text: str) -> str | None:
    if text in _ATTRIBUTE_FIELDS:
        return _ATTRIBUTE_FIELDS[text]
    match = _ORDER.fullmatch(text)
    prefix = match["field"].partition(":")[0] if match else ""
    known = prefix in given.namespaces or is_scheme(prefix)
    return _field(given, match) if match and known else None


def _extension(given: Given, match: re.Match[str]) -> Condition | None:
    names = (_field(given, match),)
    if match["op"] == "EXISTS":
        return Facet(names) if given.exists() else None
    operator = cast("Operator", match["op"])
    if operator == "EQ":
        texts, numbers, instants = given.anything()
        canonical = tuple(map(canonical_id, texts))
        return Facet(names, operator, canonical, tuple(numbers), tuple(instants))
    number, us = given.number_or_instant()
    if us is not None:
        return Facet(names, operator, instants=(us,))
    return Facet(names, operator, numbers=(cast("float", number),))


def _field(given: Given, match: re.Match[str]) -> str:
    prefix = match["field"].partition(":")[0]
    if prefix not in given.namespaces and not is_scheme(prefix):
        known = ", ".join(sorted(given.namespaces))
        raise BadParameter(
            f"{given.name[:200]}: expected a prefix that GS1-Extensions or @context declares "
            f"({known}), found {prefix[:200]!r}"
        )
    family = _FAMILIES[match["family"] or ""]
    full = expand_name(match["field"], given.namespaces)
    return extension_name(family, full, inner=match["inner"] is not None)


_READERS: tuple[Callable[[Given], Condition | None], ...] = (
    _column,
    _match,
    _number,
    _time,
    _facet,
    _typed,
    _attribute,
)
