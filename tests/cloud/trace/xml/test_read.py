"""XML documents in the shape of the JSON binding, and XML that is refused."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.trace.xml.read import read_xml
from protocols.epcis.event_hash import event_hash
from protocols.epcis.read import read_document
from protocols.epcis.standard import load_standard
from protocols.errors import RefuseInput
from tests.support.epcis_data import epcis_files, event_list, ignored_fields

STANDARD = load_standard(Path("firmware_config/epcis"))
CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
BYTES_MAX = 10_000_000
V1_2 = """<?xml version="1.0"?>
<epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:1" schemaVersion="1.2"
    creationDate="2026-04-02T15:00:00Z" xmlns:ex="https://ns.example.com/"
    xmlns:cbvmda="urn:epcglobal:cbv:mda" xmlns:https="https://ns.example.com/2/"
    xmlns:sbdh="http://www.unece.org/cefact/namespaces/StandardBusinessDocumentHeader"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <EPCISHeader>
    <sbdh:StandardBusinessDocumentHeader>
      <sbdh:Sender><sbdh:Identifier>urn:epc:id:sgln:1</sbdh:Identifier></sbdh:Sender>
      <sbdh:DocumentIdentification>
        <sbdh:InstanceIdentifier>7</sbdh:InstanceIdentifier>
      </sbdh:DocumentIdentification>
    </sbdh:StandardBusinessDocumentHeader>
    <extension><EPCISMasterData><VocabularyList>
      <Vocabulary type="urn:epcglobal:epcis:vtype:BusinessLocation"><VocabularyElementList>
        <VocabularyElement id="urn:epc:id:sgln:6901234.00001.0">
          <attribute id="urn:epcglobal:cbv:mda#name">Hall</attribute>
          <attribute id="urn:x:address"><ex:city>Jilin</ex:city></attribute>
          <children><id>urn:epc:id:sgln:6901234.00001.1</id></children>
        </VocabularyElement>
      </VocabularyElementList></Vocabulary>
    </VocabularyList></EPCISMasterData></extension>
  </EPCISHeader>
  <EPCISBody><EventList>
    <ObjectEvent>
      <!-- a comment -->
      <eventTime>2026-04-02T15:00:00Z</eventTime>
      <eventTimeZoneOffset>+08:00</eventTimeZoneOffset>
      <baseExtension>
        <eventID>urn:uuid:1</eventID>
        <errorDeclaration>
          <declarationTime>2026-04-03T15:00:00Z</declarationTime>
          <reason>urn:epcglobal:cbv:er:did_not_occur</reason>
          <correctiveEventIDs><correctiveEventID>urn:uuid:2</correctiveEventID></correctiveEventIDs>
          <ex:by who="me">shift <![CDATA[<1>]]></ex:by>
        </errorDeclaration>
      </baseExtension>
      <epcList/>
      <action>ADD</action>
      <bizStep>urn:epcglobal:cbv:bizstep:commissioning</bizStep>
      <disposition>https://example.com/disp</disposition>
      <readPoint><id>urn:epc:id:sgln:6901234.00001.0</id><ex:gate>7</ex:gate></readPoint>
      <bizTransactionList>
        <bizTransaction type="urn:epcglobal:cbv:btt:po">urn:x:po:1</bizTransaction>
        <bizTransaction>urn:x:2</bizTransaction>
      </bizTransactionList>
      <extension>
        <quantityList><quantityElement>
          <epcClass>urn:epc:class:lgtin:6901234.056789.L</epcClass>
          <quantity>20.5</quantity><uom>KGM</uom>
        </quantityElement></quantityList>
        <sourceList>
          <source type="urn:epcglobal:cbv:sdt:owning_party">urn:epc:id:pgln:6901234.00001</source>
        </sourceList>
        <ilmd><cbvmda:lotNumber>L</cbvmda:lotNumber></ilmd>
        <extension><sensorElementList><sensorElement>
          <sensorMetadata time="2026-04-02T14:00:00Z" ex:probe="3"/>
          <sensorReport type="gs1:Temperature" value="26" uom="CEL" booleanValue="true"
            component="https://ref.gs1.org/cbv/Comp-x"/>
          <sensorReport type="ex:Own" minValue="1.50" exception="gs1:ALARM_CONDITION"/>
        </sensorElement></sensorElementList></extension>
      </extension>
      <ex:pallet>1</ex:pallet><ex:pallet xsi:type="xsd:integer">2</ex:pallet>
      <https:note/>
      <own xmlns="https://ns.example.com/3/"><deep>1</deep></own>
    </ObjectEvent>
    <extension><TransformationEvent><eventTime>x</eventTime></TransformationEvent></extension>
    <QuantityEvent><epcClass>urn:x:1</epcClass><quantity>3</quantity></QuantityEvent>
  </EventList></EPCISBody>
</epcis:EPCISDocument>"""
EVENT: dict[str, Any] = {
    "type": "ObjectEvent",
    "eventTime": "2026-04-02T15:00:00Z",
    "eventTimeZoneOffset": "+08:00",
    "eventID": "urn:uuid:1",
    "errorDeclaration": {
        "declarationTime": "2026-04-03T15:00:00Z",
        "reason": "did_not_occur",
        "correctiveEventIDs": ["urn:uuid:2"],
        "ex:by": {"who": "me", "#text": "shift <1>"},
    },
    "action": "ADD",
    "bizStep": "commissioning",
    "disposition": "https://example.com/disp",
    "readPoint": {"id": "urn:epc:id:sgln:6901234.00001.0", "ex:gate": "7"},
    "bizTransactionList": [
        {"type": "po", "bizTransaction": "urn:x:po:1"},
        {"bizTransaction": "urn:x:2"},
    ],
    "quantityList": [
        {"epcClass": "urn:epc:class:lgtin:6901234.056789.L", "quantity": 20.5, "uom": "KGM"}
    ],
    "sourceList": [{"type": "owning_party", "source": "urn:epc:id:pgln:6901234.00001"}],
    "ilmd": {"cbvmda:lotNumber": "L"},
    "sensorElementList": [
        {
            "sensorMetadata": {"time": "2026-04-02T14:00:00Z", "ex:probe": "3"},
            "sensorReport": [
                {
                    "type": "Temperature",
                    "value": 26,
                    "uom": "CEL",
                    "booleanValue": True,
                    "component": "x",
                },
                {"type": "ex:Own", "minValue": 1.5, "exception": "ALARM_CONDITION"},
            ],
        }
    ],
    "ex:pallet": ["1", 2],
    "ns1:note": "",
    "ns2:own": {"ns2:deep": "1"},
}


def test_document_of_version_1_2() -> None:
    found = read_xml(V1_2.encode(), STANDARD, bytes_max=BYTES_MAX).document
    assert found == {
        "@context": [
            CONTEXT,
            {
                "ex": "https://ns.example.com/",
                "ns1": "https://ns.example.com/2/",
                "ns2": "https://ns.example.com/3/",
            },
        ],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-04-02T15:00:00Z",
        "sender": "urn:epc:id:sgln:1",
        "instanceIdentifier": "7",
        "epcisHeader": {
            "epcisMasterData": {
                "vocabularyList": [
                    {
                        "type": "urn:epcglobal:epcis:vtype:BusinessLocation",
                        "vocabularyElementList": [
                            {
                                "id": "urn:epc:id:sgln:6901234.00001.0",
                                "attributes": [
                                    {"id": "urn:epcglobal:cbv:mda#name", "attribute": "Hall"},
                                    {"id": "urn:x:address", "attribute": {"ex:city": "Jilin"}},
                                ],
                                "children": ["urn:epc:id:sgln:6901234.00001.1"],
                            }
                        ],
                    }
                ]
            }
        },
        "epcisBody": {
            "eventList": [
                EVENT,
                {"type": "TransformationEvent", "eventTime": "x"},
                {
                    "type": "ObjectEvent",
                    "action": "OBSERVE",
                    "quantityList": [{"epcClass": "urn:x:1", "quantity": 3}],
                },
            ]
        },
    }


@pytest.mark.parametrize("path", epcis_files("hash/examples/*.xml"))
def test_published_hash(path: Path) -> None:
    data = path.read_bytes()
    if b"EPCISBody" not in data:  # one is published without its body
        data = data.replace(b"<queryName>", b"<EPCISBody><QueryResults><queryName>")
        data = data.replace(b"</resultsBody>", b"</resultsBody></QueryResults></EPCISBody>")
    found = read_xml(data, STANDARD, bytes_max=BYTES_MAX)
    ignored = set(ignored_fields(found.document))
    hashes = [event_hash(e, found.namespaces, ignored=ignored) for e in event_list(found.document)]
    assert hashes == path.with_suffix(".hashes").read_text(encoding="utf-8").split()


@pytest.mark.parametrize("path", epcis_files("hash/expected_equal/*.xml"))
def test_published_documents_of_equal_events(path: Path) -> None:
    found = read_xml(path.read_bytes(), STANDARD, bytes_max=BYTES_MAX)
    assert len({event_hash(e, found.namespaces) for e in event_list(found.document)}) == 1


@pytest.mark.parametrize("path", epcis_files("hash/examples/*.xml"))
def test_published_document_is_captured_with_its_hash(path: Path) -> None:
    found = read_xml(path.read_bytes(), STANDARD, bytes_max=BYTES_MAX).document
    if "epcisBody" not in found or any("ignoreFields" in name for name in found):
        return  # one has no body; two say themselves that part of them is not hashed
    document = read_document(found, STANDARD, now_us=1_900_000_000_000_000)
    hashes = [one.event.hash if one.event else None for one in document.events]
    expected = path.with_suffix(".hashes").read_text(encoding="utf-8").split()
    if path.stem == "SensorDataExamples":  # its last has CBV attributes, hashed as in JSON
        hashes, expected = hashes[:-1], expected[:-1]
    assert hashes == expected


def test_vocabulary_of_a_query_document() -> None:
    found = read_xml(
        b'<q:EPCISQueryDocument xmlns:q="urn:epcglobal:epcis-query:xsd:2" schemaVersion="2.0">'
        b"<EPCISBody><q:QueryResults><queryName>Q</queryName><resultsBody><VocabularyList>"
        b'<Vocabulary type="t"/></VocabularyList></resultsBody></q:QueryResults></EPCISBody>'
        b"</q:EPCISQueryDocument>",
        STANDARD,
        bytes_max=BYTES_MAX,
    )
    assert found.document["epcisBody"] == {
        "queryResults": {"queryName": "Q", "resultsBody": {"vocabularyList": [{"type": "t"}]}}
    }


def wrapped(inside: str, before: str = "") -> bytes:
    root = 'epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:2"'
    return f"{before}<{root}>{inside}</epcis:EPCISDocument>".encode()


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "line 1, column 1: "),
        (wrapped("\n<EPCISBody>"), "line 2, "),
        (wrapped("", '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">'), "document type"),
        (wrapped("&a;", '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'), "document type"),
        (wrapped("&b;", '<!DOCTYPE a [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>'), "document type"),
        (wrapped("&a;"), "'a' not defined"),
        (wrapped("<a>" * 300 + "</a>" * 300), "depth"),
        (wrapped("\xff").replace("\xff".encode(), b"\xff"), "line 1"),
        (b'<?xml version="1.0" encoding="x-none"?><a/>', "encoding"),
        (b"<EPCISDocument/>", "expected EPCISDocument or EPCISQueryDocument in a namespace"),
        (b'<e:EPCISDocument xmlns:e="urn:x"/>', "found {urn:x}EPCISDocument"),
    ],
)
def test_bad_xml_is_refused_with_its_place(data: bytes, detail: str) -> None:
    with pytest.raises(RefuseInput) as caught:
        read_xml(data, STANDARD, bytes_max=BYTES_MAX)
    assert caught.value.reason == "bad_xml"
    assert detail in caught.value.detail
    assert caught.value.detail.startswith("line ")


def test_too_large_a_document_is_refused() -> None:
    with pytest.raises(RefuseInput, match="too_large"):
        read_xml(V1_2.encode(), STANDARD, bytes_max=1000)


@pytest.mark.parametrize("subset", ["", ' [<!ATTLIST EPCISBody own CDATA "x">]'])
def test_document_type_that_says_nothing_is_passed_over(subset: str) -> None:
    data = wrapped("<EPCISBody/>", f"<!DOCTYPE project{subset}>")
    assert read_xml(data, STANDARD, bytes_max=BYTES_MAX).document["epcisBody"] == {}


def test_what_is_twice_or_in_the_wrong_list_does_not_pass_unseen() -> None:
    event = (
        "<ObjectEvent><bizStep>a</bizStep><bizStep>b</bizStep><readPoint><id>x</id></readPoint>"
        "<readPoint><id>y</id></readPoint><epcList><epc>1</epc><other>2</other></epcList>"
        "</ObjectEvent>"
    )
    data = wrapped(f"<EPCISBody><EventList>{event}</EventList></EPCISBody>")
    assert event_list(read_xml(data, STANDARD, bytes_max=BYTES_MAX).document) == [
        {
            "type": "ObjectEvent",
            "bizStep": ["a", "b"],
            "readPoint": [{"id": "x"}, {"id": "y"}],
            "epcList": ["1", {"other": "2"}],
        }
    ]


@pytest.mark.parametrize("where", ["attribute", "element"])
def test_too_many_namespaces_are_refused(where: str) -> None:
    declared = " ".join(f'xmlns:n{n}="https://example.com/{n}/"' for n in range(1001))
    data = wrapped(f"<EPCISBody><EventList><ObjectEvent {declared}/></EventList></EPCISBody>")
    if where == "element":
        inside = "".join(f'<own xmlns="https://example.com/{n}/"/>' for n in range(1001))
        data = wrapped(inside)
    with pytest.raises(RefuseInput, match="at most 200 namespaces"):
        read_xml(data, STANDARD, bytes_max=BYTES_MAX)


@given(st.integers(0, len(V1_2)), st.integers(0, 40), st.binary(max_size=6) | st.text(max_size=6))
def test_damaged_xml_is_refused_or_read(at: int, length: int, other: bytes | str) -> None:
    put = other if isinstance(other, bytes) else other.encode()
    data = V1_2.encode()
    data = data[:at] + put + data[at + length :]
    try:
        found = read_xml(data, STANDARD, bytes_max=BYTES_MAX).document
    except RefuseInput:
        return
    read_document(found, STANDARD, now_us=1_900_000_000_000_000)
