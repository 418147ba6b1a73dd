"""Single faults of documents besides their events."""

from collections.abc import Callable
from typing import Any

import msgspec

from tests.support.epcis_single_faults import Json, SingleFault, Told

DOCUMENT_FAULTS: list[SingleFault] = []
BYTES_FAULTS: dict[str, tuple[Callable[[bytes], bytes], Told]] = {
    "cut": (lambda data: data[:-2], ("", "bad_json", "error")),
    "empty": (lambda _: b"", ("", "bad_json", "error")),
    "with more behind": (lambda data: data + b"{}", ("", "bad_json", "error")),
    "in Latin 1": (lambda data: data[:-1] + b',"\xe9":1}', ("", "bad_json", "error")),
    "with NaN": (lambda data: data[:-1] + b',"a:b":NaN}', ("", "bad_json", "error")),
    "with 1e999": (lambda data: data[:-1] + b',"a:b":1e999}', ("", "bad_json", "error")),
    "with half a surrogate": (
        lambda data: data[:-1] + b',"a:b":"\\ud800"}',
        ("", "bad_json", "error"),
    ),
    "deep": (lambda data: data[:-1] + b',"a:b":' + b"[" * 99_999, ("", "too_deep", "error")),
    "a list": (lambda data: b"[" + data + b"]", ("", "wrong_type", "error")),
    "a number": (lambda _: b"1", ("", "wrong_type", "error")),
}
"""Changes of a document's bytes."""


def _document(name: str, changes: Json, *told: Told, query: bool | None = None) -> None:
    def change(document: Json) -> None:
        document.update(msgspec.convert(msgspec.to_builtins(changes), Json))

    DOCUMENT_FAULTS.append(SingleFault(name, change, told, fits=_kind(query)))


def _without(name: str, *told: Told, query: bool | None = None) -> None:
    fault = SingleFault(f"without {name}", lambda one: one.pop(name, None), told, fits=_kind(query))
    DOCUMENT_FAULTS.append(fault)


def _kind(query: bool | None) -> Callable[[Json], bool]:
    if query is None:
        return lambda _: True
    return lambda document: (document["type"] == "EPCISQueryDocument") is query


def _context(name: str, entry: Any, *told: Told) -> None:
    """Put another context behind those of the document."""

    def change(document: Json) -> None:
        document["@context"] = [*document["@context"], entry]

    below = tuple((f"@context/-{at}", rule, severity) for at, rule, severity in told)
    DOCUMENT_FAULTS.append(SingleFault(f"context {name}", change, below))


_without("@context", ("", "missing_property", "error"))
_without("type", ("", "missing_property", "error"))
_without("epcisBody", ("", "missing_property", "error"))
_without("schemaVersion", ("", "missing_property", "error"), query=False)
_without("creationDate", ("", "missing_property", "error"), query=False)
_without("creationDate", query=True)
_document("type of another", {"type": "Document"}, ("type", "wrong_value", "error"))
_document("type a list", {"type": []}, ("type", "wrong_type", "error"))
for _version in ("1.2", "3.0", "two", "2.", "", 2.0, 2, None):
    _document(
        f"version {_version!r}",
        {"schemaVersion": _version},
        ("schemaVersion", "schema_version", "error"),
    )
_document("version 2.0.1", {"schemaVersion": "2.0.1"})
_document(
    "date without zone",
    {"creationDate": "2026-01-31T09:00:00"},
    ("creationDate", "bad_time", "error"),
)
_document("date a number", {"creationDate": 1}, ("creationDate", "wrong_type", "error"))
_document("id no uri", {"id": "document 1"}, ("id", "bad_uri", "error"))
_document("id blank", {"id": "_:document1"}, ("id", "blank_id", "warning"))
_document("bare property", {"comment": "x"}, ("comment", "unknown_property", "error"))
_document("comment", {"_comment1": "x"}, ("_comment1", "comment_key", "error"))
_document("property of no namespace", {"nono:a": "x"}, ("nono:a", "undeclared_prefix", "error"))
_document("extension", {"ex0:a": "x"})
_document("sender a number", {"sender": 5}, ("sender", "wrong_type", "error"), query=False)
_document("body null", {"epcisBody": None}, ("epcisBody", "wrong_type", "error"))
_document("body a list", {"epcisBody": []}, ("epcisBody", "wrong_type", "error"))
_document("body empty", {"epcisBody": {}}, ("epcisBody", "missing_property", "error"))
_document(
    "events an object",
    {"epcisBody": {"eventList": {}}},
    ("epcisBody/eventList", "wrong_type", "error"),
    query=False,
)
_document(
    "body with more",
    {"epcisBody": {"eventList": [], "events": []}},
    ("epcisBody/events", "unknown_property", "error"),
    query=False,
)
_R = "epcisBody/queryResults"
_document(
    "no query name",
    {"epcisBody": {"queryResults": {"resultsBody": {"eventList": []}}}},
    (_R, "missing_property", "error"),
    query=True,
)
_document(
    "no results",
    {"epcisBody": {"queryResults": {"queryName": "q"}}},
    (_R, "missing_property", "error"),
    query=True,
)
_document(
    "results a text",
    {"epcisBody": {"queryResults": {"queryName": "q", "resultsBody": "x"}}},
    (f"{_R}/resultsBody", "wrong_type", "error"),
    query=True,
)
_document(
    "no result list",
    {"epcisBody": {"queryResults": {"queryName": "q", "resultsBody": {}}}},
    (f"{_R}/resultsBody", "missing_property", "error"),
    query=True,
)
_document(
    "header of a query document",
    {"epcisHeader": {}},
    ("epcisHeader", "header_in_query_document", "error"),
    query=True,
)
_M = "epcisHeader/epcisMasterData"
_L = f"{_M}/vocabularyList"
_VT = "urn:epcglobal:epcis:vtype:ReadPoint"


def _master(name: str, found: Any, *told: Told) -> None:
    _document(
        f"master data {name}", {"epcisHeader": {"epcisMasterData": found}}, *told, query=False
    )


_GOOD = {
    "id": "urn:epc:id:sgln:0614141.07346.1234",
    "attributes": [{"id": "cbvmda:name", "attribute": "Gate"}],
    "children": ["urn:epc:id:sgln:0614141.07346.1235"],
}
_master("right", {"vocabularyList": [{"type": _VT, "vocabularyElementList": [_GOOD]}]})
_master("a list", [], (_M, "wrong_type", "error"))
_master("no list", {"vocabularyList": {}}, (_L, "wrong_type", "error"))
_master("of no type", {"vocabularyList": [{}]}, (f"{_L}/0", "missing_property", "error"))
_master("bare", {"vocabularies": []}, (f"{_M}/vocabularies", "unknown_property", "error"))
for _element, _at, _rule in (
    ({}, "", "missing_property"),
    ({**_GOOD, "id": "gate 1"}, "/id", "bad_uri"),
    ({**_GOOD, "name": "x"}, "/name", "unknown_property"),
    ({**_GOOD, "attributes": {}}, "/attributes", "wrong_type"),
    ({**_GOOD, "attributes": [{"attribute": "x"}]}, "/attributes/0", "missing_property"),
    (
        {**_GOOD, "attributes": [{"id": "urn:x:1", "attribute": None}]},
        "/attributes/0/attribute",
        "wrong_type",
    ),
    ({**_GOOD, "children": "urn:x:1"}, "/children", "wrong_type"),
    ({**_GOOD, "children": [5]}, "/children/0", "wrong_type"),
):
    _master(
        f"element{_at} {_rule}",
        {"vocabularyList": [{"type": _VT, "vocabularyElementList": [_element]}]},
        (f"{_L}/0/vocabularyElementList/0{_at}", _rule, "error"),
    )

_context("right", {"ex9": "https://example.org/nine/"})
_context("of a term", {"ex9:a": {"@type": "@id"}, "@version": 1.1})
_context("of a prefix by a prefix", {"ex9": "ex0:nine/"})
_context("on the network", "https://example.org/context.jsonld", ("", "unknown_context", "warning"))
_context("inside", "http://127.0.0.1:8080/context.jsonld", ("", "unknown_context", "warning"))
_context("in a file", "file:///etc/passwd", ("", "unknown_context", "warning"))
_context(
    "imported", {"@import": "https://example.org/c"}, ("/@import", "unknown_context", "warning")
)
_context("relative", "context.jsonld", ("", "bad_uri", "error"))
_context("a number", 5, ("", "wrong_type", "error"))
_context("again", {"ex0": "https://example.org/zero/"}, ("", "repeated_context", "warning"))
_context("of a relative namespace", {"ex9": "nine"}, ("/ex9", "bad_namespace", "error"))
_context("of a number", {"ex9": 9}, ("/ex9", "wrong_type", "error"))
_context("of a scheme", {"urn": "https://example.org/"}, ("/urn", "reserved_prefix", "error"))
_context(
    "of a term of EPCIS",
    {"eventTime": "https://example.org/t"},
    ("/eventTime", "redefined_term", "error"),
)
_context(
    "of a defined term of EPCIS",
    {"epcList": {"@id": "urn:x:1"}},
    ("/epcList", "redefined_term", "error"),
)
_context(
    "of a prefix of EPCIS",
    {"rdfs": "https://example.org/"},
    ("/rdfs", "redefined_prefix", "warning"),
)
_context("of a prefix as it is", {"xsd": "http://www.w3.org/2001/XMLSchema#"})
_context("of an odd prefix", {"9x": "https://example.org/"}, ("/9x", "odd_prefix", "warning"))
