"""The hash of an event, against published examples and by its own rules."""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocols.epcis.event_hash import event_hash, prehash
from tests.support.epcis_data import (
    PREFIXES,
    epcis_files,
    event_list,
    ignored_fields,
    namespaces,
)

EVENT: dict[str, Any] = {
    "type": "ObjectEvent",
    "eventTime": "2026-04-02T15:00:00.000+08:00",
    "eventTimeZoneOffset": "+08:00",
    "epcList": ["urn:epc:id:sgtin:6901234.056789.2", "urn:epc:id:sgtin:6901234.056789.10"],
    "action": "OBSERVE",
    "bizStep": "shipping",
    "readPoint": {"id": "urn:epc:id:sgln:6901234.00001.0", "ex:gate": "7"},
    "ex:pallets": [2, 1],
    "ilmd": {"ex:origin": {"ex:field": "12", "ex:county": "220202"}},
}
NAMESPACES = {**PREFIXES, "ex": "https://ns.example.com/"}


@pytest.mark.parametrize("path", epcis_files("hash/examples/*.jsonld"))
def test_published_hash(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    names, ignored = namespaces(document), set(ignored_fields(document))
    events = event_list(document)
    expected = path.with_suffix(".hashes").read_text(encoding="utf-8").split()
    assert [event_hash(one, names, ignored=ignored) for one in events] == expected
    texts = path.with_suffix(".prehashes")
    if not texts.exists():
        return
    lines = texts.read_text(encoding="utf-8").split("\n")
    for event, text, found in zip(events, filter(None, lines), expected, strict=True):
        if hashlib.sha256(text.encode()).hexdigest() in found:  # three published texts are spoilt
            assert prehash(event, names, ignored=ignored) == text


@pytest.mark.parametrize("path", epcis_files("hash/expected_equal/*.json"))
def test_published_documents_of_equal_events(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    assert len({event_hash(one, namespaces(document)) for one in event_list(document)}) == 1


def test_text_that_is_hashed() -> None:
    assert prehash(EVENT, NAMESPACES) == (
        "eventType=ObjectEvent"
        "eventTime=2026-04-02T07:00:00.000Z"
        "eventTimeZoneOffset=+08:00"
        "epcListepc=https://id.gs1.org/01/06901234567892/21/10"
        "epc=https://id.gs1.org/01/06901234567892/21/2"
        "action=OBSERVE"
        "bizStep=https://ref.gs1.org/cbv/BizStep-shipping"
        "readPointid=https://id.gs1.org/414/6901234000016{https://ns.example.com/}gate=7"
        "ilmd{https://ns.example.com/}origin"
        "{https://ns.example.com/}county=220202{https://ns.example.com/}field=12"
        "{https://ns.example.com/}pallets=1{https://ns.example.com/}pallets=2"
    )


Change = Callable[[dict[str, Any]], object]
SAME: dict[str, Change] = {
    "id": lambda e: e.update(eventID="urn:uuid:1"),
    "record time": lambda e: e.update(recordTime="2026-05-01T00:00:00Z"),
    "declaration": lambda e: e.update(errorDeclaration={"declarationTime": "2026-05-01T00:00:00Z"}),
    "comment": lambda e: e.update({"rdfs:comment": "by hand"}),
    "order of a list": lambda e: e["epcList"].reverse(),
    "zone of the time": lambda e: e.update(eventTime="2026-04-02T07:00:00Z"),
    "fraction": lambda e: e.update(eventTime="2026-04-02T07:00:00.0004999Z"),
    "digital link": lambda e: e["epcList"].__setitem__(0, "https://a.cn/01/06901234567892/21/2"),
    "full name": lambda e: e.update(bizStep="https://ref.gs1.org/cbv/BizStep-shipping"),
    "compact name": lambda e: e.update(bizStep="cbv:BizStep-shipping"),
    "urn": lambda e: e.update(bizStep="urn:epcglobal:cbv:bizstep:shipping"),
    "zeros": lambda e: e.update({"ex:pallets": [1.0, "2.000"]}),
    "empty list": lambda e: e.update(quantityList=[], childEPCs=[]),
}
OTHER: dict[str, Change] = {
    "offset": lambda e: e.update(eventTimeZoneOffset="+07:00"),
    "half a millisecond": lambda e: e.update(eventTime="2026-04-02T07:00:00.0005Z"),
    "item": lambda e: e["epcList"].append("urn:epc:id:sgtin:6901234.056789.3"),
    "extension": lambda e: e["readPoint"].update({"ex:gate": "8"}),
    "certificate": lambda e: e.update(certificationInfo="https://a.cn/c/1"),
    "unknown word": lambda e: e.update(other="x"),
    "type": lambda e: e.update(type="ex:CustomEvent"),
}


@pytest.mark.parametrize("name", SAME)
def test_same_event_in_other_words(name: str) -> None:
    event = copy.deepcopy(EVENT)
    SAME[name](event)
    assert event_hash(event, NAMESPACES) == event_hash(EVENT, NAMESPACES)


@pytest.mark.parametrize("name", OTHER)
def test_another_event(name: str) -> None:
    event = copy.deepcopy(EVENT)
    OTHER[name](event)
    assert event_hash(event, NAMESPACES) != event_hash(EVENT, NAMESPACES)


def test_prefixes_say_nothing() -> None:
    event = json.loads(json.dumps(EVENT).replace('"ex:', '"e2:'))
    names = {**PREFIXES, "e2": NAMESPACES["ex"]}
    assert event_hash(event, names) == event_hash(EVENT, NAMESPACES)


def test_numbers_beyond_a_double_stand_as_text() -> None:
    event = {**EVENT, "ex:huge": "1e999", "ex:serial": "81999990000000000017x"}
    text = prehash(event, NAMESPACES)
    assert "huge=1e999" in text
    assert "serial=81999990000000000017x" in text


def test_what_is_ignored_is_not_hashed() -> None:
    event = {**EVENT, "ex:captured": "1"}
    assert event_hash(event, NAMESPACES, ignored={"ex:captured"}) == event_hash(EVENT, NAMESPACES)
