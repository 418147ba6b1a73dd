"""Events in the XML binding, and back."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from cloud.trace.xml.read import read_xml
from cloud.trace.xml.write import Words, write_event
from protocols.epcis.event_hash import event_hash
from protocols.epcis.standard import load_standard
from tests.support.epcis_data import epcis_files, event_list, namespaces
from tests.support.event_graph import graph

STANDARD = load_standard(Path("firmware_config/epcis"))
NAMES = {**STANDARD.prefixes, "ex": "https://ns.example.com/"}
EVENT: dict[str, Any] = {
    "type": "TransformationEvent",
    "ex:pallet": ["1", 2],
    "eventTimeZoneOffset": "+08:00",
    "eventTime": "2026-04-02T15:00:00Z",
    "outputQuantityList": [{"uom": "KGM", "quantity": 20.5, "epcClass": "urn:x:1"}],
    "inputEPCList": ["urn:epc:id:sgtin:6901234.056789.<&>"],
    "transformationID": "urn:x:t",
    "bizStep": "commissioning",
    "persistentDisposition": {"set": ["recalled"], "unset": ["active"]},
    "ilmd": {"cbvmda:lotNumber": "L", "ex:net": {"unit": "KGM", "#text": "3.5"}},
    "sourceList": [{"type": "owning_party", "source": "urn:x:s"}],
    "errorDeclaration": {
        "ex:by": {"ex:who": True},
        "reason": "did_not_occur",
        "declarationTime": "2026-04-03T15:00:00Z",
        "correctiveEventIDs": ["urn:uuid:2"],
    },
    "sensorElementList": [
        {
            "ex:set": 1.5,
            "sensorReport": [{"type": "Temperature", "value": 26, "ex:k": ["a", "b"]}],
            "sensorMetadata": {"time": "2026-04-02T14:00:00Z", "ex:probe": "3"},
        }
    ],
}


XSI = (
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
)


def back(xml: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    root = b'<e:EPCISDocument xmlns:e="urn:epcglobal:epcis:xsd:2"><EPCISBody><EventList>'
    end = b"</EventList></EPCISBody></e:EPCISDocument>"
    document = read_xml(root + xml + end, STANDARD, bytes_max=10_000_000).document
    return event_list(document)[0], {**STANDARD.prefixes, **namespaces(document)}


def test_event_in_the_order_of_the_schema() -> None:
    written = write_event(EVENT, NAMES, STANDARD, words="urn")
    assert written.decode() == (
        '<TransformationEvent xmlns:ex="https://ns.example.com/" '
        'xmlns:cbvmda="urn:epcglobal:cbv:mda">'
        "<eventTime>2026-04-02T15:00:00Z</eventTime>"
        "<eventTimeZoneOffset>+08:00</eventTimeZoneOffset>"
        "<errorDeclaration><declarationTime>2026-04-03T15:00:00Z</declarationTime>"
        "<reason>urn:epcglobal:cbv:er:did_not_occur</reason><correctiveEventIDs>"
        "<correctiveEventID>urn:uuid:2</correctiveEventID></correctiveEventIDs>"
        f'<ex:by><ex:who {XSI} xsi:type="xsd:boolean">true</ex:who></ex:by></errorDeclaration>'
        "<inputEPCList><epc>urn:epc:id:sgtin:6901234.056789.&lt;&amp;&gt;</epc></inputEPCList>"
        "<outputQuantityList><quantityElement><epcClass>urn:x:1</epcClass>"
        "<quantity>20.5</quantity><uom>KGM</uom></quantityElement></outputQuantityList>"
        "<transformationID>urn:x:t</transformationID>"
        "<bizStep>urn:epcglobal:cbv:bizstep:commissioning</bizStep>"
        '<sourceList><source type="urn:epcglobal:cbv:sdt:owning_party">urn:x:s</source>'
        "</sourceList><sensorElementList><sensorElement>"
        '<sensorMetadata time="2026-04-02T14:00:00Z" ex:probe="3"/>'
        '<sensorReport type="https://gs1.org/voc/Temperature" value="26">'
        "<ex:k>a</ex:k><ex:k>b</ex:k></sensorReport>"
        f'<ex:set {XSI} xsi:type="xsd:double">1.5</ex:set>'
        "</sensorElement></sensorElementList><persistentDisposition>"
        "<unset>urn:epcglobal:cbv:disp:active</unset><set>urn:epcglobal:cbv:disp:recalled</set>"
        "</persistentDisposition><ilmd><cbvmda:lotNumber>L</cbvmda:lotNumber>"
        '<ex:net unit="KGM">3.5</ex:net></ilmd>'
        f'<ex:pallet>1</ex:pallet><ex:pallet {XSI} xsi:type="xsd:integer">2</ex:pallet>'
        "</TransformationEvent>"
    )


@pytest.mark.parametrize("words", ["web", "urn"])
def test_event_comes_back(words: Words) -> None:
    event, names = back(write_event(EVENT, NAMES, STANDARD, words=words))
    assert names["ex"] == NAMES["ex"]
    assert event == EVENT


@pytest.mark.parametrize(
    "path", epcis_files("gs1/**/*.jsonld", "hash/examples/*.jsonld", "load/*.json*")
)
def test_published_event_comes_back_as_a_graph(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    names = {**STANDARD.prefixes, **namespaces(document)}
    for number, event in enumerate(event_list(document)):
        words: Words = "urn" if number % 2 else "web"
        found, found_names = back(write_event(event, names, STANDARD, words=words))
        assert graph(found, found_names, STANDARD) == graph(event, names, STANDARD)
        assert event_hash(found, found_names) == event_hash(event, names)


def test_empty_list_that_the_schema_wants() -> None:
    event = {"type": "AggregationEvent", "action": "DELETE", "parentID": "urn:x:1"}
    written = etree.fromstring(write_event(event, NAMES, STANDARD, words="web"))
    assert [child.tag for child in written] == ["parentID", "childEPCs", "action"]
    assert back(write_event(event, NAMES, STANDARD, words="web"))[0] == event


def test_names_that_xml_has_not() -> None:
    event: dict[str, Any] = {
        "type": "ex:Odd",
        "ex:two words": "1",
        "ex:1st": {"ex:": "2", "@id": "3", "bare": "4", "ex:_x0020_": "5", "ex:a:b": "6"},
        "https://other.example.com/#x": "7",
        "xmlns:y": "8",
        "一:名": "9",
    }
    names = {**NAMES, "xmlns": "https://z.example.com/", "一": "https://y.example.com/"}
    found, found_names = back(write_event(event, names, STANDARD, words="web"))
    expected = graph({**event, "ex:1st": {**event["ex:1st"], "ex:_": "2"}}, names, STANDARD)
    del expected["https://ns.example.com/1st"][0]["https://ns.example.com/"]
    assert graph(found, found_names, STANDARD) == expected


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10)
VALUES = st.recursive(
    TEXTS | st.integers(-(10**15), 10**15) | st.booleans() | st.floats(-1e9, 1e9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXTS.map(lambda t: f"ex:{t}x"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS.map(lambda t: f"ex:x{t}"), VALUES, max_size=4))
def test_any_extension_is_written_and_is_well_formed(extensions: dict[str, Any]) -> None:
    event, _ = back(
        write_event({"type": "ObjectEvent", **extensions}, NAMES, STANDARD, words="web")
    )
    assert event["type"] == "ObjectEvent"


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1))
def test_text_and_name_come_back(text: str) -> None:
    event = {"type": "ObjectEvent", f"ex:{text}": text, "ilmd": {f"ex:{text}": {"#text": text}}}
    found, names = back(write_event(event, NAMES, STANDARD, words="web"))
    event["ilmd"] = {f"ex:{text}": text}
    assert (found, names["ex"]) == (event, NAMES["ex"])
