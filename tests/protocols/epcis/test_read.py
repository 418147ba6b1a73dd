"""What becomes of documents and events that are right, tolerated, too large, or hostile."""

import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.catalog.files import data_root
from protocols.epcis.document import Document, Reading
from protocols.epcis.event import ErrorDeclaration, Event, Use
from protocols.epcis.faults import CaptureFault
from protocols.epcis.inspection import ERRORS_MAX, WARNINGS_MAX
from protocols.epcis.read import read_document, read_event
from protocols.epcis.standard import load_tolerances
from protocols.epcis.tolerances import STANDARD as AS_WRITTEN
from protocols.epcis.tolerances import Tolerances
from tests.support.epcis_documents import (
    CONTEXT,
    NOW_US,
    document_of,
    event_list,
    minimal_event,
    standard,
    valid_documents,
)

STANDARD = standard()
EPC = "urn:epc:id:sgtin:0614141.107346.2018"
LINK = "https://id.gs1.org/01/10614141073464/21/2018"
CBV = "https://ref.gs1.org/cbv/"


def _read(data: Any, tolerances: Tolerances = AS_WRITTEN, *, now_us: int = NOW_US) -> Document:
    return read_document(data, STANDARD, now_us=now_us, tolerances=tolerances)


def _one(event: Any, tolerances: Tolerances = AS_WRITTEN, **others: Any) -> Reading:
    return _read(document_of(event, **others), tolerances).events[0]


def _event(event: Any, tolerances: Tolerances = AS_WRITTEN) -> Event:
    found = _one(event, tolerances).event
    assert found is not None
    return found


def _partner(name: str) -> Tolerances:
    return load_tolerances(data_root() / "epcis" / "tolerances" / f"{name}.toml", STANDARD)


def _rules(faults: tuple[CaptureFault, ...]) -> list[str]:
    return [one.rule for one in faults]


def test_all_public_documents_are_taken() -> None:
    events = 0
    for path in valid_documents():
        data = path.read_bytes()
        read = _read(data)
        listed = event_list(msgspec.json.decode(data))[1]
        assert [one.event is not None for one in read.events] == [True] * len(listed), path
        assert {one.severity for one in read.faults} <= {"warning"}
        events += len(listed)
    assert events > 1000


def test_event_is_read_into_canonical_form() -> None:
    written = minimal_event(
        eventID="urn:uuid:374d95fc-9457-4a51-bd6a-0bba133845a8",
        disposition="https://ref.gs1.org/cbv/Disp-in_transit",
        readPoint={"id": "urn:epc:id:sgln:0012345.11111.400"},
        quantityList=[{"epcClass": "urn:epc:class:lgtin:4012345.012345.998877", "quantity": 200}],
        errorDeclaration={
            "declarationTime": "2026-02-01T00:00:00Z",
            "reason": "incorrect_data",
            "correctiveEventIDs": ["urn:uuid:1"],
        },
    )
    event = _event(written)
    assert event.body == written
    assert event.contexts == [CONTEXT, {"ex": "https://example.org/ns/"}]
    assert event.namespaces["ex"] == "https://example.org/ns/"
    assert event.namespaces["cbv"] == CBV
    assert (event.type, event.action) == ("ObjectEvent", "OBSERVE")
    assert event.event_time_us == 1_769_817_600_000_000
    assert event.time_zone_offset == "+08:00"
    assert event.event_id == written["eventID"]
    assert event.biz_step == f"{CBV}BizStep-shipping"
    assert event.disposition == f"{CBV}Disp-in_transit"
    assert event.read_point == "https://id.gs1.org/414/0012345111112/254/400"
    assert event.uses == (
        Use(role="epc", id=LINK),
        Use(
            role="epc",
            id="https://id.gs1.org/01/04012345123456/10/998877",
            by_class=True,
            quantity=200.0,
        ),
    )
    assert event.declaration == ErrorDeclaration(
        declared_at_us=1_769_904_000_000_000,
        reason=f"{CBV}ER-incorrect_data",
        corrective_event_ids=("urn:uuid:1",),
    )


def test_uses_of_parents_and_of_both_sides_of_a_transformation() -> None:
    family = minimal_event(type="AggregationEvent", action="ADD", parentID="urn:x:p")
    family["childEPCs"] = family.pop("epcList")
    roles = [(use.role, use.id) for use in _event(family).uses]
    assert sorted(roles) == [("child", LINK), ("parent", "urn:x:p")]
    change = minimal_event(type="TransformationEvent", inputEPCList=[EPC])
    change["outputQuantityList"] = [{"epcClass": "urn:x:c", "quantity": 2.5, "uom": "KGM"}]
    change["transformationID"] = "urn:x:t"
    del change["epcList"], change["action"]
    event = _event(change)
    assert (event.action, event.transformation_id) == (None, "urn:x:t")
    assert event.uses == (
        Use(role="input", id=LINK),
        Use(role="output", id="urn:x:c", by_class=True, quantity=2.5, uom="KGM"),
    )


def test_record_time_and_own_context_are_no_part_of_the_body() -> None:
    own = {"own": "https://example.org/own/"}
    written = {**minimal_event(), "own:a": 1, "recordTime": "2026-02-01T00:00:00Z"}
    event = _event({**written, "@context": own})
    assert event.body == {**minimal_event(), "own:a": 1}
    assert event.contexts[-1] == own
    assert event.namespaces["own"] == "https://example.org/own/"


def test_prefixes_of_one_event_do_not_hold_for_the_next() -> None:
    own = {"own": "https://example.org/own/"}
    first, second = _read(
        document_of(minimal_event(**{"@context": own, "own:a": 1}), minimal_event(**{"own:a": 1}))
    ).events
    assert first.event is not None
    assert _rules(second.faults) == ["undeclared_prefix"]


def test_compact_names_are_written_out() -> None:
    written = minimal_event(type="ex:Filling", bizStep="ex:filling", epcList=["ex:cylinder/1"])
    event = _event(written)
    assert event.type == "https://example.org/ns/Filling"
    assert event.biz_step == "https://example.org/ns/filling"
    assert event.uses[0].id == "https://example.org/ns/cylinder/1"


def test_type_by_its_full_name_is_the_standards() -> None:
    for name in ("epcis:ObjectEvent", "https://ref.gs1.org/epcis/ObjectEvent"):
        reading = _one(minimal_event(type=name))
        assert reading.event is not None
        assert reading.event.type == "ObjectEvent"
        assert _rules(reading.faults) == ["full_name"]
        refused = _one({**minimal_event(type=name), "action": "CHANGE"})
        assert _rules(refused.faults) == ["full_name", "wrong_value"]


def test_a_bad_event_leaves_the_others_as_they_are() -> None:
    read = _read(document_of(minimal_event(), minimal_event(action="x"), minimal_event()))
    assert [one.event is None for one in read.events] == [False, True, False]
    assert [one.pointer for one in read.events[1].faults] == ["/epcisBody/eventList/1/action"]


def test_fault_tells_what_was_expected_and_found() -> None:
    (fault,) = _one(minimal_event(bizStep="x" * 500)).faults
    assert str(fault).startswith("/epcisBody/eventList/0/bizStep: expected a standard value of")
    assert len(fault.found) == 200
    (fault,) = _one({**minimal_event(), "a/b~c": 1}).faults
    assert fault.pointer == "/epcisBody/eventList/0/a~1b~0c"
    assert fault.found == "a/b~c"


def test_master_data_of_the_header() -> None:
    element = {
        "id": "urn:epc:id:sgln:0037000.00729.8201",
        "attributes": [
            {"id": "cbvmda:name", "attribute": "Plant"},
            {"id": "cbvmda:address", "attribute": {"cbvmda:city": "Jilin"}},
        ],
        "children": ["urn:epc:id:sgln:0037000.00729.8202"],
    }
    type_ = "urn:epcglobal:epcis:vtype:BusinessLocation"
    listed = [{"type": type_, "vocabularyElementList": [element]}]
    header = {"epcisMasterData": {"vocabularyList": listed}}
    (found,) = _read(document_of(epcisHeader=header)).master
    assert found.type == type_
    assert found.id == "https://id.gs1.org/414/0037000007296/254/8201"
    assert found.attributes == [
        ("urn:epcglobal:cbv:mda:name", "Plant"),
        ("urn:epcglobal:cbv:mda:address", '{"cbvmda:city":"Jilin"}'),
    ]
    assert found.children == ["https://id.gs1.org/414/0037000007296/254/8202"]


def _query_document(**others: Any) -> dict[str, Any]:
    body = {"eventList": [minimal_event()]}
    results = {"queryName": "q", "subscriptionID": "s", "resultsBody": body}
    return {
        "@context": CONTEXT,
        "type": "EPCISQueryDocument",
        "epcisBody": {"queryResults": results},
        **others,
    }


def test_query_document() -> None:
    read = _read(_query_document())
    assert (read.type, read.query_name, read.subscription_id) == ("EPCISQueryDocument", "q", "s")
    assert len(read.events) == 1
    assert read.faults == ()


def test_single_event_needs_no_context_of_its_own() -> None:
    read = read_event(msgspec.json.encode(minimal_event()), STANDARD, now_us=NOW_US)
    assert read.event is not None
    assert read.event.contexts == [CONTEXT]
    assert read.faults == ()
    ex = {"ex": "https://example.org/ns/"}
    event = minimal_event(**{"ex:a": 1})
    assert read_event(event, STANDARD, now_us=NOW_US, contexts=[ex]).event is not None
    assert [one.pointer for one in read_event(event, STANDARD, now_us=NOW_US).faults] == ["/ex:a"]
    own = {**event, "@context": [CONTEXT, ex]}
    found = read_event(own, STANDARD, now_us=NOW_US).event
    assert found is not None
    assert found.contexts == [CONTEXT, ex]


@pytest.mark.parametrize("data", [b"", b"[]", b"5", b"{", b"[" * 99_999, b'"\xff"'])
def test_what_is_no_event_is_told(data: bytes) -> None:
    read = read_event(data, STANDARD, now_us=NOW_US)
    assert read.event is None
    assert len(read.faults) == 1


def test_master_data_in_a_query_document_by_tolerance() -> None:
    header = {"epcisMasterData": {"vocabularyList": [{"type": "urn:x:t"}]}}
    document = _query_document(epcisHeader=header, schemaVersion="1.2")
    assert [one.severity for one in _read(document).faults] == ["error", "error"]
    tolerated = _read(document, _partner("food_networks"))
    assert {one.severity for one in tolerated.faults} == {"warning"}
    assert len(tolerated.events) == 1


def test_single_source_by_tolerance_becomes_a_list() -> None:
    source = {"type": "location", "source": "urn:x:1"}
    written = minimal_event(sourceList=source, epcList=EPC)
    assert _one(written).event is None
    event = _event(written, _partner("food_networks"))
    assert event.body["sourceList"] == [source]
    assert event.body["epcList"] == [EPC]
    assert event.hash == _event(minimal_event(sourceList=[source])).hash


def test_comments_by_tolerance_are_left_out() -> None:
    written = minimal_event(_comment="a", **{"ex:a": [{"ex:b": 1, "_comment2": "b"}]})
    assert _rules(_one(written).faults) == ["comment_key"] * 2
    event = _event(written, _partner("open_tools"))
    assert event.body == minimal_event(**{"ex:a": [{"ex:b": 1}]})
    assert written["_comment"] == "a"


def test_report_without_type_and_old_vocabulary_by_tolerance() -> None:
    written = minimal_event(
        bizStep="urn:epcglobal:cbv:bizstep:shipping",
        sensorElementList=[{"sensorReport": [{"value": 4.0, "uom": "CEL"}]}],
    )
    assert sorted(_rules(_one(written).faults)) == ["missing_report_type", "vocabulary_form"]
    event = _event(written, _partner("open_tools"))
    assert event.biz_step == f"{CBV}BizStep-shipping"


def test_strict_partner_is_refused_what_else_is_a_warning() -> None:
    written = minimal_event(epcList=["https://id.gs1.org/01/04012345999883/21/9"])
    assert _one(written).event is not None
    assert _one(written, _partner("strict")).event is None


def test_clock_of_the_receiver_decides_what_is_the_future() -> None:
    at_us = _event(minimal_event()).event_time_us
    late, early = at_us - 299_000_000, at_us - 301_000_000
    assert _read(document_of(minimal_event()), now_us=late).events[0].faults == ()
    (fault,) = _read(document_of(minimal_event()), now_us=early).events[0].faults
    assert fault.rule == "future_time"
    strict = _partner("strict")
    assert _read(document_of(minimal_event()), strict, now_us=late).events[0].event is None


def test_faults_of_one_event_are_listed_up_to_a_limit() -> None:
    links = [f"https://id.gs1.org/01/04012345999883/21/{index}" for index in range(5000)]
    reading = _one(minimal_event(epcList=[*links, *("x y",) * 5000]))
    found = [one.severity for one in reading.faults]
    assert (found.count("error"), found.count("warning")) == (ERRORS_MAX, WARNINGS_MAX)
    assert reading.event is None


def test_an_error_behind_many_warnings_refuses_the_event() -> None:
    links = [f"https://id.gs1.org/01/04012345999883/21/{index}" for index in range(500)]
    assert _one(minimal_event(epcList=[*links, "x y"])).event is None


def test_no_address_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was made")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    contexts = [CONTEXT, "http://127.0.0.1/c", "https://example.org/c", {"@import": "http://x/c"}]
    read = _read(document_of(minimal_event(), **{"@context": contexts}))
    assert _rules(read.faults) == ["unknown_context"] * 3
    assert read.events[0].event is not None


def test_contexts_beyond_the_limits_are_refused() -> None:
    for contexts in (
        [CONTEXT, *({f"p{index}": "https://example.org/"} for index in range(100))],
        [CONTEXT, {f"p{index}": "https://example.org/" for index in range(200)}],
    ):
        read = _read(document_of(minimal_event(), **{"@context": contexts}))
        assert _rules(read.faults) == ["too_many"]
        assert read.events == ()


def test_document_without_epcis_context_is_read_with_a_warning() -> None:
    read = _read(document_of(minimal_event(), **{"@context": {"ex": "https://example.org/"}}))
    assert _rules(read.faults) == ["missing_epcis_context"]
    assert read.events[0].event is not None


def _deep(levels: int) -> Any:
    found: Any = {}
    for _ in range(levels):
        found = {"ex:a": found}
    return found


def test_deep_objects_are_refused_wherever_they_stand() -> None:
    deep = _deep(800)
    element = {"id": "urn:x:1", "attributes": [{"id": "urn:x:2", "attribute": deep}]}
    listed = [{"type": "urn:x:t", "vocabularyElementList": [element]}]
    for changes in (
        {"@context": [CONTEXT, deep, deep]},
        {"epcisHeader": {"epcisMasterData": {"vocabularyList": listed}}},
        {"ex:a": deep},
    ):
        read = _read({**document_of(minimal_event()), **changes})
        assert "too_deep" in _rules(read.faults)
    for changes in ({"@context": [deep, deep]}, {"ex:a": deep}, {"ilmd": {"ex:a": deep}}):
        reading = _one({**minimal_event(action="ADD"), **changes})
        assert _rules(reading.faults) == ["too_deep"]
    for name in ("bizStep", "type", "epcList", "eventTime", "readPoint", "certificationInfo"):
        assert _one({**minimal_event(), name: deep}).event is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
NAMES = [
    *("type", "eventTime", "action", "epcList", "quantityList", "childEPCs", "parentID", "ilmd"),
    *("bizTransactionList", "sourceList", "sensorElementList", "errorDeclaration", "readPoint"),
    *("persistentDisposition", "certificationInfo", "bizStep", "@context", "ex:a", "eventID"),
]


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), JSON, max_size=4))
def test_any_json_in_an_event_gives_an_event_or_an_error(changes: dict[str, Any]) -> None:
    (reading,) = _read(document_of({**minimal_event(), **changes})).events
    refused = any(one.severity == "error" for one in reading.faults)
    assert (reading.event is None) == refused
    assert all(len(one.found) <= 200 for one in reading.faults)


@given(st.dictionaries(st.sampled_from([*document_of(), "epcisHeader"]), JSON, max_size=3))
def test_any_json_in_a_document_is_read_without_an_exception(changes: dict[str, Any]) -> None:
    read = _read({**document_of(minimal_event()), **changes})
    assert read.events or read.faults or changes["epcisBody"]["eventList"] == []


@given(st.binary(max_size=40))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    assert _read(data).faults


def test_shipped_files_are_all_tried_here() -> None:
    folder: Path = data_root() / "epcis" / "tolerances"
    assert {path.stem for path in folder.glob("*.toml")} == {
        "food_networks",
        "open_tools",
        "strict",
    }
