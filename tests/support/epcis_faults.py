"""Single faults in what events of all types have: times, ids, words, names, places, lists."""

from typing import Any

from tests.support.epcis_single_faults import (
    ALL,
    EVENT_FAULTS,
    ORIGINS,
    Json,
    SingleFault,
    Told,
    faulty,
    without,
)


def _nested(levels: int) -> Any:
    found: Any = "x"
    for _ in range(levels):
        found = {"ex0:a": found}
    return found


# ---- type, times, ids

without("type", ("", "missing_property", "error"))
faulty("type of no standard", {"type": "ShippingEvent"}, ("type", "unknown_word", "error"))
faulty("type null", {"type": None}, ("type", "wrong_type", "error"))
faulty("type in a list", {"type": ["ObjectEvent"]}, ("type", "wrong_type", "error"))
faulty("type of a namespace", {"type": "ex0:Filling"}, ("type", "extension_type", "warning"))
faulty("type full", {"type": "https://example.org/F"}, ("type", "extension_type", "warning"))
faulty("type of no namespace", {"type": "nono:Filling"}, ("type", "undeclared_prefix", "error"))
without("eventTime", ("", "missing_property", "error"))
for _name, _time in {
    "without zone": "2020-01-31T08:00:00",
    "of month 13": "2020-13-01T08:00:00Z",
    "of 31 June": "2020-06-31T08:00:00Z",
    "of 29 February 2019": "2019-02-29T08:00:00Z",
    "of hour 25": "2020-01-31T25:00:00Z",
    "with 60 seconds": "2020-01-31T08:00:60Z",
    "a day": "2020-01-31",
    "without colon in the zone": "2020-01-31T08:00:00+0800",
    "beyond +14:00": "2020-01-31T08:00:00+14:01",
    "in small letters": "2020-01-31t08:00:00z",
    "of year 0": "0000-01-01T00:00:00Z",
    "of year 1": "0001-01-01T00:00:00+14:00",
    "of year 9999": "9999-12-31T23:59:59.9999-14:00",
    "empty": "",
    "with a line end": "2020-01-31T08:00:00Z\n",
    "in other digits": "２０20-01-31T08:00:00Z",
}.items():
    faulty(f"time {_name}", {"eventTime": _time}, ("eventTime", "bad_time", "error"))
faulty("time a number", {"eventTime": 1580457600}, ("eventTime", "wrong_type", "error"))
faulty("time null", {"eventTime": None}, ("eventTime", "wrong_type", "error"))
faulty(
    "time in the future",
    {"eventTime": "2040-01-01T00:00:00Z"},
    ("eventTime", "future_time", "warning"),
    fits=lambda event: "errorDeclaration" not in event,
)
faulty("record time bad", {"recordTime": "now"}, ("recordTime", "bad_time", "error"))
faulty("record time", {"recordTime": "2020-01-31T08:00:00Z"})
without("eventTimeZoneOffset", ("", "missing_property", "error"))
for _offset in ("+15:00", "-14:01", "+8:00", "Z", "+0800", "08:00", "+08:60", ""):
    faulty(
        f"offset {_offset!r}",
        {"eventTimeZoneOffset": _offset},
        ("eventTimeZoneOffset", "bad_offset", "error"),
    )
faulty("offset number", {"eventTimeZoneOffset": 8}, ("eventTimeZoneOffset", "wrong_type", "error"))
faulty("offset far", {"eventTimeZoneOffset": "-14:00"})
faulty("id with a space", {"eventID": "urn:x: y"}, ("eventID", "bad_uri", "error"))
faulty("id without scheme", {"eventID": "12345"}, ("eventID", "bad_uri", "error"))
faulty("id number", {"eventID": 12345}, ("eventID", "wrong_type", "error"))
faulty("id long", {"eventID": "urn:x:" + "y" * 1000}, ("eventID", "too_long", "error"))
faulty("id blank", {"eventID": "_:event1"}, ("eventID", "blank_id", "warning"))
faulty(
    "id a bad hash",
    {"eventID": "ni:///sha-256;12ab?ver=CBV2.0"},
    ("eventID", "bad_hash_id", "warning"),
)
faulty("id of another kind", {"eventID": "https://example.org/events/1"})

# ---- vocabulary

_NO_TEXTS: tuple[Any, ...] = (5, None, [], {})

for _list, _prefix, _urn in (("bizStep", "BizStep", "bizstep"), ("disposition", "Disp", "disp")):
    _known = "shipping" if _list == "bizStep" else "in_transit"
    for _value, _rule in {
        "no_such_word": "unknown_word",
        _known.upper(): "unknown_word",
        "": "unknown_word",
        f"urn:epcglobal:cbv:{_urn}:{_known}": "vocabulary_form",
        f"https://ns.gs1.org/cbv/{_prefix}-{_known}": "vocabulary_form",
        "https://a b": "bad_uri",
        "https://example.org/" + "y" * 1000: "too_long",
    }.items():
        faulty(f"{_list} {_value[:50]!r}", {_list: _value}, (_list, _rule, "error"))
    for _value, _rule in {
        f"https://ref.gs1.org/cbv/{_prefix}-{_known}": "full_name",
        f"cbv:{_prefix}-{_known}": "full_name",
        f"https://ref.gs1.org/cbv/{_prefix}-no_such_word": "unknown_standard_value",
        "nono:filling": "odd_scheme",
    }.items():
        faulty(f"{_list} {_value[:50]!r}", {_list: _value}, (_list, _rule, "warning"))
    faulty(f"{_list} known", {_list: _known})
    faulty(f"{_list} of a namespace", {_list: "ex0:filling"})
    faulty(f"{_list} an address", {_list: "https://example.org/steps/filling"})
    for _found in _NO_TEXTS:
        faulty(f"{_list} {_found!r}", {_list: _found}, (_list, "wrong_type", "error"))

# ---- names

faulty("bare property", {"myField": 1}, ("myField", "unknown_property", "error"))
faulty("property @type", {"@type": "x"}, ("@type", "unknown_property", "error"))
faulty("comment", {"_comment": "x"}, ("_comment", "comment_key", "error"))
faulty(
    "property of the document",
    {"schemaVersion": "2"},
    ("schemaVersion", "unknown_property", "error"),
)
faulty("extension", {"ex0:a": {"ex0:b": [1, {"ex0:c": None}]}})
faulty("extension of a full name", {"https://example.org/a": "x"})
faulty("extension of a bad name", {"urn:a b": 1}, ("urn:a b", "bad_uri", "error"))
faulty("extension of no namespace", {"nono:a": 1}, ("nono:a", "undeclared_prefix", "error"))
faulty("extension without name", {"ex0:": 1}, ("ex0:", "unknown_property", "error"))
faulty(
    "inner of no namespace",
    {"ex0:a": [{"nono:b": 1}]},
    ("ex0:a/0/nono:b", "undeclared_prefix", "error"),
)
faulty("inner bare", {"ex0:a": {"b": 1}}, ("ex0:a/b", "bare_name", "warning"))
faulty("inner keyword", {"ex0:a": {"@type": "@id", "id": "x"}})
faulty("inner comment", {"ex0:a": {"_comment1": 1}}, ("ex0:a/_comment1", "comment_key", "error"))
faulty(
    "inner context", {"ex0:a": {"@context": {}}}, ("ex0:a/@context", "nested_context", "warning")
)
faulty("deep", {"ex0:a": _nested(60)})
faulty("too deep", {"ex0:a": _nested(64)}, ("ex0:a", "too_deep", "error"))
faulty("text with U+0000", {"ex0:a": "x\0"}, ("ex0:a", "control_character", "error"))
faulty("inner text with U+0000", {"ex0:a": ["\0"]}, ("ex0:a/0", "control_character", "error"))

# ---- where

for _place in ("readPoint", "bizLocation"):
    faulty(f"{_place} a text", {_place: "urn:x:1"}, (_place, "wrong_type", "error"))
    faulty(f"{_place} empty", {_place: {}}, (_place, "missing_property", "error"))
    faulty(f"{_place} id a number", {_place: {"id": 7}}, (f"{_place}/id", "wrong_type", "error"))
    faulty(f"{_place} id no uri", {_place: {"id": "gate 1"}}, (f"{_place}/id", "bad_uri", "error"))
    faulty(
        f"{_place} of no form",
        {_place: {"id": "urn:epc:id:sgln:0614141.1234.x"}},
        (f"{_place}/id", "bad_epc_urn", "error"),
    )
    faulty(
        f"{_place} of a wrong check digit",
        {_place: {"id": "https://id.gs1.org/414/4012345000008"}},
        (f"{_place}/id", "bad_check_digit", "warning"),
    )
    faulty(
        f"{_place} with a bare name",
        {_place: {"id": "urn:x:1", "name": "x"}},
        (f"{_place}/name", "unknown_property", "error"),
    )
    faulty(f"{_place} extended", {_place: {"id": "urn:x:1", "ex0:a": "x"}})
    faulty(
        f"{_place} in other letters",
        {_place: {"id": "https://example.org/id/仓库"}},
        (f"{_place}/id", "non_ascii_uri", "warning"),
    )

# ---- transactions, sources, destinations

_T = "bizTransactionList"
for _list, _key in (
    (_T, "bizTransaction"),
    ("sourceList", "source"),
    ("destinationList", "destination"),
):
    _type = "po" if _list == _T else "location"
    _good = {"type": _type, _key: "urn:x:1"}
    faulty(f"{_list} right", {_list: [_good]})
    faulty(f"{_list} a text", {_list: "x"}, (_list, "wrong_type", "error"))
    faulty(f"{_list} single", {_list: _good}, (_list, "single_for_list", "error"))
    faulty(f"{_list} of texts", {_list: ["x"]}, (f"{_list}/0", "wrong_type", "error"))
    faulty(
        f"{_list} without {_key}",
        {_list: [{"type": _type}]},
        (f"{_list}/0", "missing_property", "error"),
    )
    faulty(
        f"{_list} of more",
        {_list: [{**_good, "a": 1}]},
        (f"{_list}/0/a", "unknown_property", "error"),
    )
    faulty(
        f"{_list} extended",
        {_list: [{**_good, "ex0:a": 1}]},
        (f"{_list}/0/ex0:a", "unknown_property", "error"),
    )
    faulty(
        f"{_list} of unknown type",
        {_list: [{**_good, "type": "x"}]},
        (f"{_list}/0/type", "unknown_word", "error"),
    )
    faulty(
        f"{_list} of bad id",
        {_list: [{**_good, _key: "x y"}]},
        (f"{_list}/0/{_key}", "bad_uri", "error"),
    )
faulty("transaction without type", {_T: [{"bizTransaction": "urn:x:1"}]})
faulty(
    "source without type",
    {"sourceList": [{"source": "urn:x:1"}]},
    ("sourceList/0", "missing_property", "error"),
)
faulty("no source", {"sourceList": []}, ("sourceList", "empty_list", "warning"))
faulty(
    "no transaction",
    {_T: []},
    (_T, "empty_list", "warning"),
    types=ALL - {"TransactionEvent"},
)
faulty(
    "no transaction of a transaction event",
    {_T: []},
    (_T, "empty_list", "warning"),
    (_T, "no_transactions", "error"),
    types=frozenset({"TransactionEvent"}),
)
without(_T, ("", "missing_property", "error"), types=frozenset({"TransactionEvent"}))

# ---- certificates, declarations, dispositions, master data

faulty(
    "certificate an object",
    {"certificationInfo": {"id": "urn:x:1"}},
    ("certificationInfo", "wrong_type", "error"),
)
faulty("certificates", {"certificationInfo": ["urn:x:1", "https://example.org/c"]})
faulty(
    "certificate no uri",
    {"certificationInfo": ["urn:x:1", "c 1"]},
    ("certificationInfo/1", "bad_uri", "error"),
)
_D = "errorDeclaration"
_ID = {"eventID": "urn:x:event"}
_WHEN = {"declarationTime": "2029-01-01T00:00:00Z"}
faulty("declaration", {**_ID, _D: {**_WHEN, "reason": "did_not_occur", "ex0:a": 1}})
faulty("declaration a text", {**_ID, _D: "wrong"}, (_D, "wrong_type", "error"))
faulty(
    "declaration without time",
    {**_ID, _D: {"reason": "incorrect_data"}},
    (_D, "missing_property", "error"),
)
faulty(
    "declaration of a day",
    {**_ID, _D: {"declarationTime": "2029-01-01"}},
    (f"{_D}/declarationTime", "bad_time", "error"),
)
faulty(
    "declaration in the future",
    {**_ID, _D: {"declarationTime": "2040-01-01T00:00:00Z"}},
    (f"{_D}/declarationTime", "future_time", "warning"),
)
faulty(
    "declaration before the event",
    {**_ID, _D: {"declarationTime": "1999-01-01T00:00:00Z"}},
    (f"{_D}/declarationTime", "declared_before_event", "warning"),
)
faulty(
    "declaration of unknown reason",
    {**_ID, _D: {**_WHEN, "reason": "typo"}},
    (f"{_D}/reason", "unknown_word", "error"),
)
faulty(
    "declaration with a bare name",
    {**_ID, _D: {**_WHEN, "by": "x"}},
    (f"{_D}/by", "unknown_property", "error"),
)
faulty(
    "corrective id no list",
    {**_ID, _D: {**_WHEN, "correctiveEventIDs": "urn:x:2"}},
    (f"{_D}/correctiveEventIDs", "wrong_type", "error"),
)
faulty(
    "corrective id no uri",
    {**_ID, _D: {**_WHEN, "correctiveEventIDs": ["2"]}},
    (f"{_D}/correctiveEventIDs/0", "bad_uri", "error"),
)
faulty(
    "corrects itself",
    {**_ID, _D: {**_WHEN, "correctiveEventIDs": ["urn:x:event"]}},
    (f"{_D}/correctiveEventIDs", "corrects_itself", "warning"),
)


def _declare_without_id(event: Json) -> None:
    event.pop("eventID", None)
    event[_D] = dict(_WHEN)


EVENT_FAULTS.append(
    SingleFault(
        "declaration without id",
        _declare_without_id,
        (("", "declaration_without_id", "warning"),),
    )
)
_P = "persistentDisposition"
_PERSISTENT: tuple[tuple[Any, tuple[Told, ...]], ...] = (
    ({"set": ["recalled"]}, ()),
    ([], ((_P, "wrong_type", "error"),)),
    ({}, ((_P, "missing_property", "error"),)),
    ({"set": []}, ((f"{_P}/set", "wrong_type", "error"),)),
    ({"set": "recalled"}, ((f"{_P}/set", "wrong_type", "error"),)),
    ({"set": ["x"]}, ((f"{_P}/set/0", "unknown_word", "error"),)),
    ({"set": ["recalled"] * 2}, ((f"{_P}/set/1", "duplicate", "error"),)),
    ({"set": ["recalled"], "unset": ["recalled"]}, ((f"{_P}/unset", "set_and_unset", "warning"),)),
    ({"set": ["recalled"], "ex0:a": 1}, ((f"{_P}/ex0:a", "unknown_property", "error"),)),
)
for _dispositions, _told in _PERSISTENT:
    faulty(
        f"persistent disposition {_dispositions}",
        {_P: _dispositions},
        *_told,
        types=ORIGINS,
    )
faulty(
    "persistent disposition misplaced",
    {_P: {"set": ["recalled"]}},
    (_P, "misplaced_property", "error"),
    types=ALL - ORIGINS,
)
faulty(
    "master data misplaced",
    {"ilmd": {}},
    ("ilmd", "misplaced_property", "error"),
    types=ALL - ORIGINS,
)
faulty(
    "master data a text",
    {"action": "ADD", "ilmd": "x"},
    ("ilmd", "wrong_type", "error"),
    types=frozenset({"ObjectEvent"}),
)
faulty(
    "master data bare",
    {"action": "ADD", "ilmd": {"lot": 1}},
    ("ilmd/lot", "unknown_property", "error"),
    types=frozenset({"ObjectEvent"}),
)
faulty(
    "master data of no namespace",
    {"action": "ADD", "ilmd": {"nono:lot": 1}},
    ("ilmd/nono:lot", "undeclared_prefix", "error"),
    types=frozenset({"ObjectEvent"}),
)
faulty(
    "master data without ADD",
    {"action": "OBSERVE", "ilmd": {"ex0:a": 1}},
    ("ilmd", "ilmd_not_allowed", "error"),
    types=frozenset({"ObjectEvent"}),
)
faulty(
    "master data of a deletion",
    {"action": "DELETE", "ilmd": {"ex0:a": 1}},
    ("ilmd", "ilmd_not_allowed", "error"),
    types=frozenset({"ObjectEvent"}),
)
faulty(
    "master data of an addition",
    {"action": "ADD", "ilmd": {"ex0:a": 1}},
    types=frozenset({"ObjectEvent"}),
)
faulty(
    "action of a transformation",
    {"action": "ADD"},
    ("action", "misplaced_property", "error"),
    types=frozenset({"TransformationEvent"}),
)
_WITH_ACTION = ALL - {"TransformationEvent"}
for _word in ("add", "CHANGE", ""):
    faulty(
        f"action {_word!r}",
        {"action": _word},
        ("action", "wrong_value", "error"),
        types=_WITH_ACTION,
    )
faulty("action null", {"action": None}, ("action", "wrong_type", "error"), types=_WITH_ACTION)
without("action", ("", "missing_property", "error"), types=_WITH_ACTION)
