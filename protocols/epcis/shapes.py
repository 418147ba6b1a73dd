"""The event types: which properties each has, and what must hold between them (EPCIS 2.0, 7.4)."""

from collections.abc import Callable, Mapping
from typing import Any

from protocols.epcis.event import ErrorDeclaration, Use
from protocols.epcis.identifiers import Read, instance, uri
from protocols.epcis.inspection import Inspection
from protocols.epcis.lists import (
    certification,
    entries,
    epcs,
    master_data,
    persistent,
    quantities,
)
from protocols.epcis.properties import properties
from protocols.epcis.scalars import (
    action,
    event_id,
    ignored,
    offset,
    past_time,
    place,
    time,
    word,
)
from protocols.epcis.sensors import sensor_elements

Check = Callable[[Inspection, str, Mapping[str, Any], Mapping[str, Any]], None]
"""Checks an event as a whole: pointer, body, what was read of it."""


def declaration(see: Inspection, at: str, value: object) -> ErrorDeclaration | None:
    """Read an error declaration."""
    if type(value) is not dict:
        see.wrong_type(at, "an object with a declarationTime", value)
        return None
    got = properties(see, at, value, _DECLARATION)
    if "declarationTime" not in value:
        see.missing(at, "declarationTime")
    declared_at_us = got.get("declarationTime")
    if declared_at_us is None:
        return None
    return ErrorDeclaration(
        declared_at_us=declared_at_us,
        reason=got.get("reason"),
        corrective_event_ids=got.get("correctiveEventIDs") or (),
    )


def _parent(see: Inspection, at: str, value: object) -> str | None:
    found = instance(see, at, value)
    if found is not None:
        see.uses.append(Use(role="parent", id=found))
    return found


def _event_ids(see: Inspection, at: str, value: object) -> tuple[str, ...]:
    if type(value) is not list:
        see.wrong_type(at, "a list of event ids", value)
        return ()
    found = [event_id(see, f"{at}/{index}", one) for index, one in enumerate(value)]
    return tuple(one for one in found if one is not None)


_DECLARATION: Mapping[str, Read] = {
    "declarationTime": past_time,
    "reason": word("errorReason"),
    "correctiveEventIDs": _event_ids,
}
_SOURCE_TYPE = word("sourceDestinationType")
_COMMON: Mapping[str, Read] = {
    "@context": ignored,
    "type": ignored,
    "eventTime": past_time,
    "recordTime": time,
    "eventTimeZoneOffset": offset,
    "eventID": event_id,
    "certificationInfo": certification,
    "errorDeclaration": declaration,
    "bizStep": word("bizStep"),
    "disposition": word("disposition"),
    "readPoint": place,
    "bizLocation": place,
    "bizTransactionList": entries(
        {"type": word("bizTransactionType"), "bizTransaction": uri}, "bizTransaction"
    ),
    "sourceList": entries({"type": _SOURCE_TYPE, "source": uri}, "type", "source"),
    "destinationList": entries({"type": _SOURCE_TYPE, "destination": uri}, "type", "destination"),
    "sensorElementList": sensor_elements,
}
_OBJECTS: Mapping[str, Read] = {"epcList": epcs("epc"), "quantityList": quantities("epc")}
_ORIGINS: Mapping[str, Read] = {"persistentDisposition": persistent, "ilmd": master_data}
_CHILDREN: Mapping[str, Read] = {
    "parentID": _parent,
    "childEPCs": epcs("child"),
    "childQuantityList": quantities("child"),
}
_FAMILY: Mapping[str, Read] = {**_COMMON, **_CHILDREN, "action": action}
_CHANGES: Mapping[str, Read] = {
    "inputEPCList": epcs("input"),
    "inputQuantityList": quantities("input"),
    "outputEPCList": epcs("output"),
    "outputQuantityList": quantities("output"),
    "transformationID": uri,
}
TABLES: Mapping[str, Mapping[str, Read]] = {
    "ObjectEvent": {**_COMMON, **_OBJECTS, **_ORIGINS, "action": action},
    "AggregationEvent": _FAMILY,
    "AssociationEvent": _FAMILY,
    "TransactionEvent": {**_COMMON, **_OBJECTS, "parentID": _parent, "action": action},
    "TransformationEvent": {**_COMMON, **_CHANGES, **_ORIGINS},
}
EVERY: Mapping[str, Read] = {name: one for table in TABLES.values() for name, one in table.items()}
"""Properties of any event type, and so of an extension's."""


def _empty(body: Mapping[str, Any], name: str) -> bool:
    """Tell whether a list is not there, or says nothing."""
    return name not in body or body[name] == []


def _nothing(body: Mapping[str, Any], epcs: str, quantities: str) -> bool:
    """Tell whether neither of two lists says anything."""
    return _empty(body, epcs) and _empty(body, quantities)


def _object_event(
    see: Inspection, at: str, body: Mapping[str, Any], got: Mapping[str, Any]
) -> None:
    if _nothing(body, "epcList", "quantityList") and (
        _empty(body, "sensorElementList") or "readPoint" not in body
    ):
        expected = "epcList or quantityList, or sensorElementList with readPoint"
        see.note(at, "no_objects", expected, "none of them")
    if "ilmd" in body and got.get("action") in ("OBSERVE", "DELETE"):
        see.note(f"{at}/ilmd", "ilmd_not_allowed", "action ADD", got["action"])


def _family(see: Inspection, at: str, body: Mapping[str, Any], got: Mapping[str, Any]) -> None:
    if _nothing(body, "childEPCs", "childQuantityList") and got.get("action") in ("ADD", "OBSERVE"):
        see.note(at, "no_children", "childEPCs or childQuantityList", "neither")
    parent = got.get("parentID")
    if parent is not None and parent in (got.get("childEPCs") or ()):
        see.note(f"{at}/parentID", "parent_is_child", "a parent that is no child", parent)


def _aggregation_event(
    see: Inspection, at: str, body: Mapping[str, Any], got: Mapping[str, Any]
) -> None:
    if "parentID" not in body and got.get("action") in ("ADD", "DELETE"):
        see.note(at, "missing_parent", "the property parentID", "nothing")
    _family(see, at, body, got)


def _association_event(
    see: Inspection, at: str, body: Mapping[str, Any], got: Mapping[str, Any]
) -> None:
    if "parentID" not in body:
        see.missing(at, "parentID")
    _family(see, at, body, got)


def _transaction_event(
    see: Inspection, at: str, body: Mapping[str, Any], got: Mapping[str, Any]
) -> None:
    if "bizTransactionList" not in body:
        see.missing(at, "bizTransactionList")
    elif body["bizTransactionList"] == []:
        expected = "at least one business transaction"
        see.note(f"{at}/bizTransactionList", "no_transactions", expected, "an empty list")
    if _nothing(body, "epcList", "quantityList") and got.get("action") in ("ADD", "OBSERVE"):
        if "parentID" in body:
            see.note(at, "parent_only", "epcList or quantityList", "a parent alone")
        else:
            see.note(at, "no_objects", "epcList or quantityList", "neither")


def _transformation_event(
    see: Inspection, at: str, body: Mapping[str, Any], _got: Mapping[str, Any]
) -> None:
    without_inputs = _nothing(body, "inputEPCList", "inputQuantityList")
    without_outputs = _nothing(body, "outputEPCList", "outputQuantityList")
    if without_inputs and without_outputs:
        see.note(at, "no_objects", "inputs and outputs", "neither")
    elif (without_inputs or without_outputs) and "transformationID" not in body:
        expected = "inputs and outputs, or a transformationID"
        see.note(at, "one_sided_transformation", expected, "one side")


CHECKS: Mapping[str, Check] = {
    "ObjectEvent": _object_event,
    "AggregationEvent": _aggregation_event,
    "AssociationEvent": _association_event,
    "TransactionEvent": _transaction_event,
    "TransformationEvent": _transformation_event,
}
