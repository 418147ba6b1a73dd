from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import RefuseInput
from protocols.readings import Quality, Value
from protocols.records import (
    Gap,
    Readings,
    Record,
    Reply,
    Status,
    decode_record,
    encode_records,
)

SPOOL = "9f" * 16
READINGS: dict[str, Any] = {
    "kind": "readings",
    "asset": "elevator:31101099920240017",
    "at": [1764000000123, 1764000001123],
    "values": {"car_position": [12, 13], "speed": [1.75, None]},
    "quality": {"speed": ["good", "no_value"]},
}
SCAN: dict[str, Any] = {
    "kind": "scan",
    "reader": "fill-1",
    "at": 1764000002000,
    "codes": [{"scheme": "tag_uid", "value": "04A1"}, {"scheme": "cylinder", "value": "JL2B1"}],
    "step": "filling",
    "verdict": {"decision": "fill", "reasons": [], "rules_version": "7"},
    "operator": "op-7",
}
GAP: dict[str, Any] = {
    "kind": "gap",
    "spool": SPOOL,
    "stream": "data",
    "from_seq": 3,
    "to_seq": 9,
    "from_at": 1763999000000,
    "to_at": 1763999100000,
    "reason": "disk_full",
    "records": 412,
}
STATUS: dict[str, Any] = {"kind": "status", "at": 1, "uptime_s": 86400, "counters": {"skipped": 0}}
REPLY: dict[str, Any] = {"kind": "reply", "at": 1, "command_id": "c", "ok": True, "result": {}}
ALL = [READINGS, SCAN, GAP, STATUS, REPLY]

points = st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True)
finite = st.floats(allow_nan=False, allow_infinity=False)
values: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    finite,
    st.text(max_size=20),
    st.lists(st.text(max_size=5), max_size=4),
)
qualities: st.SearchStrategy[Quality] = st.sampled_from(
    ["good", "no_value", "unknown_value", "stale", "time_unknown"]
)


@st.composite
def readings(draw: st.DrawFn) -> Readings:
    length = draw(st.integers(1, 4))
    column = st.lists(values, min_size=length, max_size=length)
    columns = draw(st.dictionaries(points, column, min_size=1, max_size=4))
    named = draw(st.lists(st.sampled_from(sorted(columns)), unique=True))
    quality = st.lists(qualities, min_size=length, max_size=length)
    return Readings(
        asset=draw(st.from_regex(r"[a-z][a-z0-9_]{0,31}:[A-Za-z0-9._-]{1,64}", fullmatch=True)),
        at=draw(st.lists(st.integers(0, 2**53), min_size=length, max_size=length)),
        values=columns,
        quality={name: draw(quality) for name in named},
    )


def refusal(data: object) -> RefuseInput:
    raw = data if isinstance(data, bytes) else msgspec.json.encode(data)
    with pytest.raises(RefuseInput) as caught:
        decode_record(raw)
    assert len(str(caught.value)) < 500
    return caught.value


def first(record: Record) -> bytes:
    return bytes(msgspec.json.decode(encode_records([record]), type=list[msgspec.Raw])[0])


@given(readings())
def test_readings_written_are_read_back(record: Readings) -> None:
    assert decode_record(first(record)) == record


@pytest.mark.parametrize("data", ALL, ids=lambda data: data["kind"])
def test_record_of_the_design_is_read_and_written_back(data: dict[str, Any]) -> None:
    record = decode_record(msgspec.json.encode(data))
    assert msgspec.json.decode(first(record)) == data


@pytest.mark.parametrize("data", ALL, ids=lambda data: data["kind"])
def test_unknown_keys_of_a_later_version_do_no_harm(data: dict[str, Any]) -> None:
    assert decode_record(msgspec.json.encode(data | {"later": [1]})) == decode_record(
        msgspec.json.encode(data)
    )


@pytest.mark.parametrize("data", ALL, ids=lambda data: data["kind"])
def test_record_without_a_needed_key_is_refused(data: dict[str, Any]) -> None:
    optional = {"quality", "step", "verdict", "operator", "counters", "result", "from_at", "to_at"}
    for key in set(data) - optional - ({"records"} if data["kind"] == "gap" else set()):
        wrong = {name: value for name, value in data.items() if name != key}
        assert refusal(wrong).reason in ("bad_record", "unknown_kind"), key


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "later", "at": 1},
        {"kind": ""},
        {"kind": 7},
        {"kind": None},
        {},
    ],
)
def test_unknown_kind_is_told_apart(data: dict[str, Any]) -> None:
    assert refusal(data).reason in ("unknown_kind", "bad_record")
    if isinstance(data.get("kind"), str):
        assert refusal(data).reason == "unknown_kind"


@pytest.mark.parametrize(
    "change",
    [
        {"at": [1764000000123]},
        {"at": []},
        {"at": 1764000000123},
        {"at": [1764000000123, "1764000001123"]},
        {"at": [1764000000123, 1.5]},
        {"at": [1764000000123, 2**53 + 1]},
        {"at": [1764000000123, -(2**53) - 1]},
        {"at": [0] * 10_001, "values": {"speed": [0] * 10_001}, "quality": {}},
        {"values": {}},
        {"values": {"speed": [1]}},
        {"values": {"speed": [1, 2, 3]}},
        {"values": {"speed": 1}},
        {"values": {"": [1, 2]}},
        {"values": {"Speed": [1, 2]}},
        {"values": {"speed ": [1, 2]}},
        {"values": {"s" * 65: [1, 2]}},
        {"values": {"speed": [{}, 2]}},
        {"values": {"speed": [[1], 2]}},
        {"values": {"speed": [[[]], 2]}},
        {"quality": {"speed": ["good"]}},
        {"quality": {"speed": ["good", "fine"]}},
        {"quality": {"car_direction": ["good", "good"]}},
    ],
)
def test_readings_that_do_not_line_up_are_refused(change: dict[str, Any]) -> None:
    assert refusal(READINGS | {"quality": {}} | change).reason == "bad_record"


@pytest.mark.parametrize(
    "asset", ["", "elevator", "elevator:", "Elevator:1", "elevator:1 ", "a:电"]
)
def test_readings_of_a_bad_asset_are_refused(asset: str) -> None:
    assert refusal(READINGS | {"asset": asset}).reason == "bad_asset_id"


@pytest.mark.parametrize(
    "change",
    [
        {"from_seq": 0},
        {"from_seq": 10},
        {"to_seq": 2**53 + 1},
        {"spool": "9f"},
        {"spool": SPOOL + "\n"},
        {"stream": "other"},
        {"reason": ""},
        {"records": -1},
    ],
)
def test_gap_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    assert refusal(GAP | change).reason == "bad_record"


def test_gap_with_unknown_tail_is_read() -> None:
    record = decode_record(msgspec.json.encode(GAP | {"to_seq": None, "records": None}))
    assert isinstance(record, Gap)
    assert record.to_seq is None


@pytest.mark.parametrize(
    "change",
    [
        {"codes": []},
        {"reader": ""},
        {"codes": [{"scheme": "", "value": "1"}]},
        {"step": ""},
        {"codes": [{"scheme": "s", "value": "v" * 4097}]},
        {"verdict": {"decision": "maybe"}},
    ],
)
def test_scan_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    assert refusal(SCAN | change).reason == "bad_record"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"kind":"status","at":1,"uptime_s":NaN}',
        b'{"kind":"status","at":1,"uptime_s":1e999}',
        b'{"kind":"status","at":1,"uptime_s":' + b"9" * 100_000 + b"}",
        b'{"kind":"status","at":' + b"9" * 100_000 + b',"uptime_s":1}',
        b'{"kind":"status","at":1,"uptime_s":-1}',
        b'{"kind":"status","at":1,"uptime_s":1,"counters":{"a":"b"}}',
        b'{"kind":"status","at":1,"uptime_s":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"kind":"readings","asset":"a:b","at":[1],"values":{"speed":[NaN]}}',
        b'{"kind":"readings","asset":"a:b","at":[1],"values":{"speed":[-Infinity]}}',
        b'{"kind":"readings","asset":"a:b","at":[1],"values":{"speed":[' + b"9" * 100_000 + b"]}}",
        b'{"kind":"readings","asset":"a:b","at":[1],"values":{"s":[' + b"[" * 50_000 + b"]}}",
        b'{"kind":"readings","asset":"a:b","at":[1],"values":{"speed":["\xff"]}}',
        b'{"kind":"readings","asset":"a:b","at":[1],"values":{"speed":["\\ud800"]}}',
    ],
)
def test_hostile_bytes_are_refused(raw: bytes) -> None:
    assert refusal(raw).reason in ("bad_record", "unknown_kind")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_record_or_a_refusal(raw: bytes) -> None:
    assert refusal(raw)


def test_the_last_of_doubled_keys_counts_everywhere_alike() -> None:
    record = decode_record(
        b'{"kind":"readings","asset":"a:b","at":[1],"values":{"speed":[1],"speed":[2]}}'
    )
    assert isinstance(record, Readings)
    assert record.values == {"speed": [2]}


def test_status_and_reply_keep_what_they_carry() -> None:
    status = decode_record(msgspec.json.encode(STATUS))
    assert isinstance(status, Status)
    assert status.counters == {"skipped": 0}
    reply = decode_record(msgspec.json.encode(REPLY | {"result": {"a": [1]}}))
    assert isinstance(reply, Reply)
    assert reply.result == {"a": [1]}
