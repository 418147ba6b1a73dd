"""Single faults in what events name and measure: objects, quantities, children, sensors."""

from typing import Any

from tests.support.epcis_single_faults import (
    ALL,
    EVENT_FAULTS,
    FAMILY,
    LISTS,
    Json,
    SingleFault,
    Told,
    faulty,
)

_URN = "urn:epc:id:sgtin:4012345.099988.9"
_LINK = "https://id.gs1.org/01/04012345999884/21/9"


def _objects(name: str, found: Any, *told: Told) -> None:
    """Put a list of objects into an event of each type."""
    for type_, (listed, _) in LISTS.items():
        faulty(
            f"objects {name}",
            {listed: found},
            *((f"{listed}{at}", rule, severity) for at, rule, severity in told),
            types=frozenset({type_}),
        )


def _quantity(name: str, found: Any, *told: Told) -> None:
    """Put a quantity into an event of each type."""
    for type_, (_, listed) in LISTS.items():
        faulty(
            f"quantity {name}",
            {listed: [found]},
            *((f"{listed}/0{at}", rule, severity) for at, rule, severity in told),
            types=frozenset({type_}),
        )


def _report(name: str, report: Any, *told: Told, metadata: Any = None) -> None:
    """Put a sensor report into any event."""
    element = {"sensorReport": [report]}
    if metadata is not None:
        element["sensorMetadata"] = metadata
    at = "sensorElementList/0/sensorReport/0" if metadata is None else "sensorElementList/0"
    faulty(
        f"sensor {name}",
        {"sensorElementList": [element]},
        *((f"{at}{below}", rule, severity) for below, rule, severity in told),
    )


_objects("right", [_URN, "urn:epc:id:sgtin:4012345.099988.10", "https://example.org/id/1"])
_objects("again", [_URN, _URN], ("/1", "duplicate", "error"))
_objects("in two spellings", [_URN, _LINK], ("/1", "same_object", "warning"))
_objects("on another host", [_LINK.replace("id.gs1.org", "example.org")])
_objects("null", None, ("", "wrong_type", "error"))
_objects("single", _URN, ("", "single_for_list", "error"))
_objects("an object", {"id": _URN}, ("", "wrong_type", "error"))
_objects("numbers", [5], ("/0", "wrong_type", "error"))
_objects("null in the list", [_URN, None], ("/1", "wrong_type", "error"))
_objects("bare", ["4012345"], ("/0", "bad_uri", "error"))
_objects("with a space", ["urn:x: 1"], ("/0", "bad_uri", "error"))
_objects("of a bad escape", ["urn:x:%4"], ("/0", "bad_uri", "error"))
_objects("long", ["urn:x:" + "y" * 1000], ("/0", "too_long", "error"))
_objects("blank", ["_:o1"], ("/0", "blank_id", "warning"))
_objects("in other letters", ["urn:x:批次"], ("/0", "non_ascii_uri", "warning"))
_objects("in a namespace", ["ex0:1"])
_objects(
    "of a class", ["urn:epc:class:lgtin:4012345.099988.L1"], ("/0", "class_for_instance", "warning")
)
_objects(
    "without serial",
    ["https://id.gs1.org/01/04012345999884"],
    ("/0", "class_for_instance", "warning"),
)
_objects(
    "of a wrong check digit",
    ["https://id.gs1.org/01/04012345999883/21/9"],
    ("/0", "bad_check_digit", "warning"),
)
for _text in (
    "urn:epc:id:sgtin:4012345.099988",
    "urn:epc:id:sgtin:4012345.99988.9",
    "urn:epc:id:sgtin:401234.5099988x.9",
    "urn:epc:id:sgtin:4012345.099988.123456789012345678901",
    "urn:epc:id:sscc:0614141.123456789",
    "urn:epc:id:nothing:1.2.3",
    "urn:epc:sgtin:4012345.099988.9",
):
    _objects(f"of no form {_text}", [_text], ("/0", "bad_epc_urn", "error"))

_CLASS = "urn:epc:class:lgtin:4012345.099988.L1"
_quantity("right", {"epcClass": _CLASS, "quantity": 2.5, "uom": "KGM"})
_quantity("unknown", {"epcClass": _CLASS})
_quantity("a text", _CLASS, ("", "wrong_type", "error"))
_quantity("without class", {"quantity": 2}, ("", "missing_property", "error"))
_quantity(
    "of an instance",
    {"epcClass": _URN, "quantity": 2},
    ("/epcClass", "instance_for_class", "warning"),
)
_quantity("of no uri", {"epcClass": "L1", "quantity": 2}, ("/epcClass", "bad_uri", "error"))
_quantity("in letters", {"epcClass": _CLASS, "quantity": "2"}, ("/quantity", "wrong_type", "error"))
_quantity("true", {"epcClass": _CLASS, "quantity": True}, ("/quantity", "wrong_type", "error"))
_quantity("null", {"epcClass": _CLASS, "quantity": None}, ("/quantity", "wrong_type", "error"))
_quantity(
    "negative", {"epcClass": _CLASS, "quantity": -2}, ("/quantity", "negative_quantity", "error")
)
_quantity("zero", {"epcClass": _CLASS, "quantity": 0}, ("/quantity", "zero_quantity", "warning"))
_quantity(
    "half a piece",
    {"epcClass": _CLASS, "quantity": 0.5},
    ("/quantity", "fraction_of_pieces", "warning"),
)
_quantity("huge", {"epcClass": _CLASS, "quantity": 10**400}, ("/quantity", "bad_number", "error"))
_quantity(
    "unit alone", {"epcClass": _CLASS, "uom": "KGM"}, ("/uom", "unit_without_quantity", "warning")
)
_quantity(
    "unit in small letters",
    {"epcClass": _CLASS, "quantity": 2, "uom": "kgm"},
    ("/uom", "bad_unit", "error"),
)
_quantity(
    "unit of four",
    {"epcClass": _CLASS, "quantity": 2, "uom": "KILO"},
    ("/uom", "bad_unit", "error"),
)
_quantity(
    "unit unknown",
    {"epcClass": _CLASS, "quantity": 2, "uom": "ZZ9"},
    ("/uom", "unknown_unit", "warning"),
)
_quantity(
    "unit number", {"epcClass": _CLASS, "quantity": 2, "uom": 5}, ("/uom", "wrong_type", "error")
)
_quantity(
    "of more", {"epcClass": _CLASS, "quantity": 2, "a": 1}, ("/a", "unknown_property", "error")
)
_quantity("extended", {"epcClass": _CLASS, "ex0:a": 1}, ("/ex0:a", "unknown_property", "error"))


def _silent(name: str, *told: Told, types: frozenset[str], **others: Any) -> None:
    """Take all lists of objects out, and put something else in."""

    def change(event: Json) -> None:
        lists = ("epcList", "quantityList", "childEPCs", "childQuantityList", "sensorElementList")
        sides = ("inputEPCList", "inputQuantityList", "outputEPCList", "outputQuantityList")
        for one in (*lists, *sides, "ilmd", "parentID", "transformationID"):
            event.pop(one, None)
        event.update(others)

    EVENT_FAULTS.append(SingleFault(name, change, told, types))


_OBJECT = frozenset({"ObjectEvent"})
_AGGREGATION = frozenset({"AggregationEvent"})
_ASSOCIATION = frozenset({"AssociationEvent"})
_TRANSACTION = frozenset({"TransactionEvent"})
_TRANSFORMATION = frozenset({"TransformationEvent"})
_ELEMENT = [{"sensorReport": [{"type": "Temperature", "value": 4.5, "uom": "CEL"}]}]
_PLACE = {"id": "urn:x:place"}
_NO_OBJECTS: Told = ("", "no_objects", "error")
_silent("no objects", _NO_OBJECTS, types=_OBJECT)
_silent(
    "no objects listed",
    _NO_OBJECTS,
    ("epcList", "empty_list", "warning"),
    types=_OBJECT,
    epcList=[],
)
_silent("a sensor alone", types=_OBJECT, sensorElementList=_ELEMENT, readPoint=_PLACE)
_silent(
    "an empty sensor list",
    _NO_OBJECTS,
    ("sensorElementList", "empty_list", "warning"),
    types=_OBJECT,
    sensorElementList=[],
    readPoint=_PLACE,
)
_silent("no children", ("", "no_children", "error"), types=FAMILY, action="ADD", parentID="urn:x:p")
_silent(
    "no children seen",
    ("", "no_children", "error"),
    types=FAMILY,
    action="OBSERVE",
    parentID="urn:x:p",
)
_silent("all children", types=FAMILY, action="DELETE", parentID="urn:x:p")
_silent(
    "no parent", ("", "missing_parent", "error"), types=_AGGREGATION, action="ADD", childEPCs=[_URN]
)
_silent("no parent of all", ("", "missing_parent", "error"), types=_AGGREGATION, action="DELETE")
_silent("no parent seen", types=_AGGREGATION, action="OBSERVE", childEPCs=[_URN])
_silent(
    "no parent at all",
    ("", "missing_property", "error"),
    types=_ASSOCIATION,
    action="ADD",
    childEPCs=[_URN],
)
_silent(
    "its own parent",
    ("parentID", "parent_is_child", "error"),
    types=FAMILY,
    action="ADD",
    parentID=_URN,
    childEPCs=[_LINK],
)
_silent(
    "a parent of no form",
    ("parentID", "bad_epc_urn", "error"),
    types=FAMILY,
    action="DELETE",
    parentID="urn:epc:id:sscc:1",
)
_silent(
    "a parent of a class",
    ("parentID", "class_for_instance", "warning"),
    types=FAMILY,
    action="DELETE",
    parentID=_CLASS,
)
_silent(
    "a parent number",
    ("parentID", "wrong_type", "error"),
    types=FAMILY,
    action="DELETE",
    parentID=5,
)
_silent(
    "a place as parent",
    types=_ASSOCIATION,
    action="DELETE",
    parentID="urn:epc:id:sgln:4012345.00002.0",
)
_silent("no objects bought", _NO_OBJECTS, types=_TRANSACTION, action="ADD")
_silent(
    "a parent bought",
    ("", "parent_only", "warning"),
    types=_TRANSACTION,
    action="ADD",
    parentID="urn:x:p",
)
_silent("all bought", types=_TRANSACTION, action="DELETE")
_silent("no sides", _NO_OBJECTS, types=_TRANSFORMATION)
_silent("no sides but an id", _NO_OBJECTS, types=_TRANSFORMATION, transformationID="urn:x:t")
_silent(
    "inputs alone",
    ("", "one_sided_transformation", "error"),
    types=_TRANSFORMATION,
    inputEPCList=[_URN],
)
_silent(
    "outputs alone",
    ("", "one_sided_transformation", "error"),
    types=_TRANSFORMATION,
    outputQuantityList=[{"epcClass": _CLASS}],
)
_silent("inputs and an id", types=_TRANSFORMATION, inputEPCList=[_URN], transformationID="urn:x:t")
_silent(
    "a bad id",
    ("transformationID", "bad_uri", "error"),
    types=_TRANSFORMATION,
    inputEPCList=[_URN],
    transformationID="t 1",
)
for _type in ALL:
    _other = "parentID" if _type in {"ObjectEvent", "TransformationEvent"} else "inputEPCList"
    _wrong = "urn:x:p" if _other == "parentID" else ["urn:x:p"]
    faulty(
        "misplaced",
        {_other: _wrong},
        (_other, "misplaced_property", "error"),
        types=frozenset({_type}),
    )

_S = "sensorElementList"
_GOOD = {"type": "Temperature", "value": 4.5, "uom": "CEL"}
_LATE = "2028-01-01T00:00:00Z"
_report("right", _GOOD)
_report("extended", {**_GOOD, "ex0:a": 1})
faulty("no sensors", {_S: []}, (_S, "empty_list", "warning"), types=ALL - _OBJECT)
faulty("sensors single", {_S: _ELEMENT[0]}, (_S, "single_for_list", "error"))
faulty("sensor a text", {_S: ["x"]}, (f"{_S}/0", "wrong_type", "error"))
faulty("sensor empty", {_S: [{}]}, (f"{_S}/0", "missing_property", "error"))
faulty("sensor bare", {_S: [{**_ELEMENT[0], "a": 1}]}, (f"{_S}/0/a", "unknown_property", "error"))
faulty(
    "sensor no reports",
    {_S: [{"sensorReport": []}]},
    (f"{_S}/0/sensorReport", "no_reports", "error"),
)
faulty(
    "sensor report no list",
    {_S: [{"sensorReport": _GOOD}]},
    (f"{_S}/0/sensorReport", "wrong_type", "error"),
)
_report("a text", "x", ("", "wrong_type", "error"))
_report("without type", {"value": 4.5, "uom": "CEL"}, ("", "missing_report_type", "error"))
_report("of unknown type", {**_GOOD, "type": "Warmth"}, ("/type", "unknown_word", "error"))
_report("of a full type", {**_GOOD, "type": "gs1:Temperature"}, ("/type", "full_name", "warning"))
_report("of own type", {"type": "ex0:Sweetness", "value": 4.5})
_report("value in letters", {**_GOOD, "value": "4.5"}, ("/value", "wrong_type", "error"))
_report("without value", {"type": "Temperature"}, ("", "no_value", "warning"))
_report("without unit", {"type": "Temperature", "value": 4.5}, ("", "missing_unit", "warning"))
_report("count without unit", {"type": "Count", "value": 4})
_report("unit a number", {**_GOOD, "uom": 5}, ("/uom", "wrong_type", "error"))
_report("unit in words", {**_GOOD, "uom": "degrees"}, ("/uom", "odd_unit", "warning"))
_report("unit unknown", {**_GOOD, "uom": "ZZ9"}, ("/uom", "unknown_unit", "warning"))
_report("unit of mass", {**_GOOD, "uom": "KGM"}, ("/uom", "unit_of_other_kind", "warning"))
_report("alarm", {"type": "Temperature", "exception": "ALARM_CONDITION"})
_report(
    "unknown exception", {**_GOOD, "exception": "ALARM"}, ("/exception", "unknown_word", "error")
)
_report("unknown component", {**_GOOD, "component": "w"}, ("/component", "unknown_word", "error"))
_report("yes for true", {**_GOOD, "booleanValue": "yes"}, ("/booleanValue", "wrong_type", "error"))
_report("text a number", {**_GOOD, "stringValue": 5}, ("/stringValue", "wrong_type", "error"))
_report("half a byte", {**_GOOD, "hexBinaryValue": "abc"}, ("/hexBinaryValue", "bad_hex", "error"))
_report("no hex", {**_GOOD, "hexBinaryValue": "xy"}, ("/hexBinaryValue", "bad_hex", "error"))
_report("hex a number", {**_GOOD, "hexBinaryValue": 10}, ("/hexBinaryValue", "wrong_type", "error"))
_report("no uri", {**_GOOD, "uriValue": "a b"}, ("/uriValue", "bad_uri", "error"))
_report("device no uri", {**_GOOD, "deviceID": "7"}, ("/deviceID", "bad_uri", "error"))
_report("bare name", {**_GOOD, "colour": "red"}, ("/colour", "unknown_property", "error"))
_report("time of a day", {**_GOOD, "time": "2019-01-01"}, ("/time", "bad_time", "error"))
_report(
    "time after the event", {**_GOOD, "time": _LATE}, ("/time", "sensor_after_event", "warning")
)
_report(
    "least above most",
    {**_GOOD, "minValue": 5, "maxValue": 4},
    ("/maxValue", "odd_statistics", "warning"),
)
_report(
    "mean below least",
    {**_GOOD, "minValue": 5, "meanValue": 4},
    ("/meanValue", "odd_statistics", "warning"),
)
_report("deviation negative", {**_GOOD, "sDev": -1}, ("/sDev", "odd_statistics", "warning"))
_report(
    "rank above 100",
    {**_GOOD, "percRank": 101, "percValue": 1},
    ("/percRank", "odd_statistics", "warning"),
)
_report("rank alone", {**_GOOD, "percRank": 50}, ("", "odd_statistics", "warning"))
_T1, _T2 = "1999-01-01T00:00:00Z", "1999-01-02T00:00:00Z"
_M = "/sensorMetadata"
_report("period", _GOOD, metadata={"startTime": _T1, "endTime": _T2, "deviceID": "urn:x:1"})
_report(
    "period turned",
    _GOOD,
    (f"{_M}/endTime", "odd_period", "warning"),
    metadata={"startTime": _T2, "endTime": _T1},
)
_report("period open", _GOOD, (_M, "odd_period", "warning"), metadata={"startTime": _T1})
_report(
    "period and time",
    _GOOD,
    (f"{_M}/time", "odd_period", "warning"),
    metadata={"time": _T1, "startTime": _T1, "endTime": _T2},
)
_report("metadata a text", _GOOD, (_M, "wrong_type", "error"), metadata="x")
_report(
    "metadata bare", _GOOD, (f"{_M}/device", "unknown_property", "error"), metadata={"device": "x"}
)
_report("metadata time bad", _GOOD, (f"{_M}/time", "bad_time", "error"), metadata={"time": "noon"})
_report(
    "metadata after the event",
    _GOOD,
    (f"{_M}/time", "sensor_after_event", "warning"),
    metadata={"time": _LATE},
)
_report("rules no uri", _GOOD, (f"{_M}/bizRules", "bad_uri", "error"), metadata={"bizRules": "own"})
