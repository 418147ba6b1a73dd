"""Events as answers, in both bindings and every form of identifiers."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from cloud.trace.base import CbvXmlFormat, EpcFormat, Formats
from cloud.trace.render import CHUNK_BYTES, Binding, Renderer
from cloud.trace.xml.read import read_xml
from protocols.epcis.document import Document
from protocols.epcis.event import Event
from protocols.epcis.read import read_document
from protocols.epcis.standard import load_standard
from tests.support.epcis_data import epcis_files
from tests.support.event_graph import graph

STANDARD = load_standard(Path("firmware_config/epcis"))
NOW_US = 1_900_000_000_000_000
CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
URN = "urn:epc:id:sgtin:6901234.056789.1"
LINK = "https://id.gs1.org/01/06901234567892/21/1"
SHOP = "https://shop.cn/01/06901234567892/21/1"


class Row(Struct, frozen=True):
    body: dict[str, Any]
    contexts: Sequence[str | dict[str, Any]] = (CONTEXT,)
    event_id: str = "urn:uuid:1"
    record_time_us: int = 1_775_113_200_000_001


def body_with(identifier: str) -> dict[str, Any]:
    return {
        "type": "ObjectEvent",
        "eventTime": "2026-04-02T15:00:00Z",
        "eventTimeZoneOffset": "+08:00",
        "epcList": [identifier, "urn:x:1"],
        "parentID": identifier,
        "quantityList": [{"epcClass": identifier, "quantity": 1}],
        "readPoint": {"id": identifier, "ex:id": URN},
        "bizTransactionList": [{"bizTransaction": identifier}],
        "sourceList": [{"type": "location", "source": identifier}],
        "sensorElementList": [
            {
                "sensorMetadata": {"deviceID": identifier, "rawData": SHOP},
                "sensorReport": [{"type": "Speed", "deviceID": identifier, "uriValue": SHOP}],
            }
        ],
        "ilmd": {"ex:id": URN},
    }


def small_body(identifier: str) -> dict[str, Any]:
    return {
        "type": "ObjectEvent",
        "eventTime": "2026-04-02T15:00:00Z",
        "eventTimeZoneOffset": "+08:00",
        "epcList": [identifier],
        "action": "OBSERVE",
    }


def read(binding: Binding, chunks: Iterable[bytes]) -> Document:
    data: Any = b"".join(chunks)
    if binding == "xml":
        data = read_xml(data, STANDARD, bytes_max=10_000_000).document
    return read_document(data, STANDARD, now_us=NOW_US)


def events_of(document: Document) -> list[Event]:
    found = [reading.event for reading in document.events]
    events = [event for event in found if event is not None]
    assert not [fault for fault in document.faults if fault.severity == "error"]
    assert len(events) == len(found)
    return events


@pytest.mark.parametrize(
    ("form", "given", "expected"),
    [
        ("Always_GS1_Digital_Link", URN, LINK),
        ("Always_GS1_Digital_Link", SHOP, SHOP),
        ("Always_EPC_URN", LINK, URN),
        ("Always_EPC_URN", SHOP, URN),
        (
            "Always_EPC_URN",
            "urn:epc:id:sgtin:690123405.6789.1",
            "urn:epc:id:sgtin:690123405.6789.1",
        ),
        ("Always_EPC_URN", "https://id.gs1.org/01/09991234567890/21/1", None),
        ("Never_Translates", URN, URN),
        ("No_Preference", SHOP, SHOP),
    ],
)
def test_identifiers_in_the_form_asked_for(
    form: EpcFormat, given: str, expected: str | None
) -> None:
    renderer = Renderer(STANDARD, Formats(epc=form))
    found = json.loads(renderer.json_event(Row(body_with(given))))
    added = {"eventID": "urn:uuid:1", "recordTime": "2026-04-02T07:00:00.000001Z"}
    assert found == {**body_with(expected or given), **added}


def test_document_without_events() -> None:
    renderer = Renderer(STANDARD, Formats())
    found = json.loads(b"".join(renderer.document("json", [], created_us=0)))
    assert found == {
        "@context": [CONTEXT],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "1970-01-01T00:00:00.000000Z",
        "epcisBody": {"eventList": []},
    }
    assert b"".join(renderer.document("xml", [], created_us=0)).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:2" schemaVersion="2.0"'
        ' creationDate="1970-01-01T00:00:00.000000Z"><EPCISBody><EventList></EventList>'
        "</EPCISBody></epcis:EPCISDocument>"
    )


@pytest.mark.parametrize("binding", ["json", "xml"])
def test_query_document(binding: Binding) -> None:
    rows = [
        Row({**small_body(URN), "ex:a": 1}, [CONTEXT, {"ex": "https://one.cn/"}], "urn:uuid:1"),
        Row({**small_body(LINK), "ex:a": 2}, [CONTEXT, {"ex": "https://two.cn/"}], "urn:uuid:2"),
    ]
    renderer = Renderer(STANDARD, Formats(epc="Never_Translates"))
    found = read(
        binding,
        renderer.query_document(
            binding, rows, created_us=0, query_name="a<b>", subscription_id="s&t"
        ),
    )
    assert (found.type, found.query_name, found.subscription_id) == (
        "EPCISQueryDocument",
        "a<b>",
        "s&t",
    )
    events = events_of(found)
    assert [event.event_id for event in events] == ["urn:uuid:1", "urn:uuid:2"]
    for row, event, namespace in zip(
        rows, events, ["https://one.cn/", "https://two.cn/"], strict=True
    ):
        names = {**STANDARD.prefixes, "ex": namespace}
        added = {"eventID": row.event_id}
        expected = graph({**row.body, **added}, names, STANDARD)
        assert graph(event.body, event.namespaces, STANDARD) == expected


@pytest.mark.parametrize("words", ["No_Preference", "Always_Web_URI", "Never_Translates"])
def test_standard_values_are_web_addresses(words: CbvXmlFormat) -> None:
    row = Row({**body_with(URN), "bizStep": "shipping"})
    found = Renderer(STANDARD, Formats(cbv_xml=words)).xml_event(row)
    assert b"<bizStep>https://ref.gs1.org/cbv/BizStep-shipping</bizStep>" in found


def test_standard_values_are_urns_where_asked_for() -> None:
    row = Row({**body_with(URN), "bizStep": "shipping"})
    found = Renderer(STANDARD, Formats(cbv_xml="Always_URN")).xml_event(row)
    assert b"<bizStep>urn:epcglobal:cbv:bizstep:shipping</bizStep>" in found
    assert b'type="https://gs1.org/voc/Speed"' in found


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("bizSteps", "https://ref.gs1.org/cbv/BizStep-shipping", "shipping"),
        ("bizSteps", "https://ref.gs1.org/cbv/BizStep-own", "https://ref.gs1.org/cbv/BizStep-own"),
        ("bizSteps", "shipping", "shipping"),
        ("dispositions", "https://ref.gs1.org/cbv/Disp-recalled", "recalled"),
        ("epcs", LINK, URN),
        ("readPoints", "https://a.cn/gate", "https://a.cn/gate"),
        ("eventTypes", "ObjectEvent", "ObjectEvent"),
    ],
)
def test_value_of_a_resource(kind: str, value: str, expected: str) -> None:
    assert Renderer(STANDARD, Formats(epc="Always_EPC_URN")).value(kind, value) == expected


def test_document_comes_in_chunks() -> None:
    rows = [Row({**body_with(URN), "ex:n": str(number)}) for number in range(1000)]
    chunks = list(Renderer(STANDARD, Formats()).document("json", iter(rows), created_us=0))
    assert len(chunks) > 2
    assert all(CHUNK_BYTES <= len(chunk) < 2 * CHUNK_BYTES for chunk in chunks[:-1])
    assert len(json.loads(b"".join(chunks))["epcisBody"]["eventList"]) == 1000


@pytest.mark.parametrize("form", ["Always_GS1_Digital_Link", "Always_EPC_URN", "Never_Translates"])
@pytest.mark.parametrize("path", epcis_files("gs1/**/*.jsonld"))
def test_published_document_says_the_same_in_every_form(path: Path, form: EpcFormat) -> None:
    captured = [
        reading.event
        for reading in read_document(path.read_bytes(), STANDARD, now_us=NOW_US).events
        if reading.event is not None
    ]
    rows = [
        Row(
            dict(one.body),
            [c if isinstance(c, str) else dict(c) for c in one.contexts],
            one.event_id or one.hash,
        )
        for one in captured
    ]
    for binding in ("json", "xml"):
        words: CbvXmlFormat = "Always_URN" if form == "Always_EPC_URN" else "Always_Web_URI"
        renderer = Renderer(STANDARD, Formats(form, words))
        chunks = renderer.query_document(binding, rows, created_us=0, query_name="Q")
        found = events_of(read(binding, chunks))
        assert [one.hash for one in found] == [one.hash for one in captured]
        for new, old, row in zip(found, captured, rows, strict=True):
            assert sorted(new.uses, key=repr) == sorted(old.uses, key=repr)
            if form == "Never_Translates":
                body = {**row.body, "eventID": row.event_id}
                expected = graph(body, old.namespaces, STANDARD)
                assert graph(new.body, new.namespaces, STANDARD) == expected


def test_answer_of_no_events_is_no_list_of_nothing() -> None:
    rows: list[Row] = []
    found = msgspec.json.decode(
        b"".join(
            Renderer(STANDARD, Formats()).query_document("json", rows, created_us=0, query_name="Q")
        )
    )
    assert found["epcisBody"] == {
        "queryResults": {"queryName": "Q", "resultsBody": {"eventList": []}}
    }
