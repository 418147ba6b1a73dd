"""Our verdicts beside those of the official JSON schema: where they differ, and why.

The schema's format `uri` is read as a scheme or a blank node and something behind it: to the letter
of RFC 3986 it refuses some of GS1's own documents.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from tests.support import epcis_faults, epcis_object_faults
from tests.support.epcis_document_faults import DOCUMENT_FAULTS
from tests.support.epcis_documents import CONTEXT, document_of, epcis_data, minimal_event
from tests.support.epcis_single_faults import EVENT_FAULTS, Json

_TABLES = (epcis_faults, epcis_object_faults)
_URI = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*|_):\S+")
WE_REFUSE: Mapping[str, tuple[str, ...]] = {
    "the schema takes any text with a scheme for an identifier": (
        "objects of no form ",
        "objects of a bad escape",
        "readPoint of no form",
        "bizLocation of no form",
        "a parent of no form",
    ),
    "the schema takes each EPC once only in some lists": ("objects again",),
    "the schema does not read contexts": (
        "extension of no namespace",
        "inner of no namespace",
        "master data of no namespace",
        "property of no namespace",
        "type of no namespace",
        "context of a defined term of EPCIS",
        "context of a number",
        "context of a relative namespace",
        "context of a scheme",
        "context of a term of EPCIS",
    ),
    "the schema leaves these objects open to bare names": (
        "readPoint with a bare name",
        "bizLocation with a bare name",
        "body with more",
        "master data bare",
        "master data element/name unknown_property",
        "inner comment",
    ),
    "the schema takes any version": ("version '1.2'", "version '3.0'"),
    "the schema does not see what properties say together": (
        "its own parent",
        "no parent",
        "no parent of all",
        "no objects listed",
    ),
    "times are xsd:dateTimeStamp, in the schema RFC 3339": (
        "time beyond +14:00",
        "time in small letters",
        "time of year 0",
        "time of year 1",
        "time of year 9999",
    ),
    "the schema asks a number for nothing": ("quantity huge", "quantity negative"),
    "hexBinary is whole bytes, in the schema hexadecimal digits": ("sensor half a byte",),
    "limits of this service": (
        "bizStep 'https://example.org/yyy",
        "disposition 'https://example.org/yyy",
        "id long",
        "objects long",
        "too deep",
        "text with U+0000",
        "inner text with U+0000",
    ),
}
"""Reasons, and the names (or the beginnings of names) of single faults."""
WE_TAKE: Mapping[str, tuple[str, ...]] = {
    "a context told twice says nothing else: a warning": ("context again",),
    "a parent alone is told by the text, and warned of": ("a parent bought",),
}


def _known(reasons: Mapping[str, tuple[str, ...]], name: str) -> bool:
    return any(
        name == one or (one[-1] in " y" and name.startswith(one))
        for names in reasons.values()
        for one in names
    )


@pytest.fixture(scope="module")
def schema() -> jsonschema_rs.Validator:
    text = (epcis_data() / "api" / "EPCIS-JSON-Schema.json").read_bytes()
    uri = {"uri": lambda text: _URI.fullmatch(text) is not None}
    return jsonschema_rs.validator_for(
        msgspec.json.decode(text), validate_formats=True, formats=uri
    )


def _events() -> Iterator[Json]:
    """Make a valid event of each type."""
    epc, parent = "urn:epc:id:sgtin:0614141.107346.2018", "urn:epc:id:sscc:0614141.1234567890"
    yield minimal_event(eventID="urn:x:event")
    for type_ in ("AggregationEvent", "AssociationEvent"):
        family = minimal_event(type=type_, parentID=parent, childEPCs=[epc], action="ADD")
        del family["epcList"]
        yield family
    yield minimal_event(type="TransactionEvent", bizTransactionList=[{"bizTransaction": "urn:x:1"}])
    change = minimal_event(type="TransformationEvent", inputEPCList=[epc], outputEPCList=[parent])
    del change["epcList"], change["action"]
    yield change


def _documents() -> Iterator[Json]:
    yield document_of()
    results: dict[str, Any] = {"queryName": "q", "resultsBody": {"eventList": []}}
    yield {
        "@context": [CONTEXT],
        "type": "EPCISQueryDocument",
        "creationDate": "2026-01-31T09:00:00Z",
        "epcisBody": {"queryResults": results},
    }


def _compared(schema: jsonschema_rs.Validator) -> Iterator[tuple[str, bool, bool]]:
    """Yield name, whether we take it, whether the schema does, of every fault."""
    declared = [CONTEXT, {"ex0": "https://example.org/zero/"}]
    for event in _events():
        assert schema.is_valid(document_of(event))
        for fault in EVENT_FAULTS:
            if event["type"] in fault.types and fault.fits(event):
                changed = document_of(fault.of(event), **{"@context": declared})
                yield fault.name, fault.harmless, schema.is_valid(changed)
    for document in _documents():
        whole = {**document, "@context": declared}
        assert schema.is_valid(whole)
        for fault in DOCUMENT_FAULTS:
            if fault.fits(whole):
                yield fault.name, fault.harmless, schema.is_valid(fault.of(whole))


def test_verdicts_differ_from_the_schema_where_it_is_known(
    schema: jsonschema_rs.Validator,
) -> None:
    differing = {(name, ours) for name, ours, theirs in _compared(schema) if ours != theirs}
    unknown = {
        (name, ours) for name, ours in differing if not _known(WE_TAKE if ours else WE_REFUSE, name)
    }
    assert unknown == set()
    for reasons, ours in ((WE_REFUSE, False), (WE_TAKE, True)):
        for names in reasons.values():
            for one in names:
                assert any(_known({"": (one,)}, name) and ours == o for name, o in differing), one
