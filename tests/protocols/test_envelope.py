import time
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import envelope
from protocols.errors import RefuseInput
from protocols.limits import ENVELOPE_BYTES_MAX, RECORDS_PER_BATCH_MAX
from protocols.readings import ClockState
from protocols.records import Readings, Record, Status, encode_records

SPOOL = "9f" * 16
HEAD = (
    b'{"schema":1,"spool":"%b","seq":17,"boot_id":"b","clock":"synced","sent_at":1,"records":'
    % (SPOOL.encode())
)
GOOD = b'{"kind":"status","at":1,"uptime_s":1}'
BAD = [
    b'{"kind":"status","at":1,"uptime_s":NaN}',
    b'{"kind":"status","at":1,"uptime_s":-Infinity}',
    b'{"kind":"status","at":' + b"9" * 100_000 + b',"uptime_s":1}',
    b'{"kind":"status","at":1,"uptime_s":1,"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    b'{"kind":"status","at":1,"uptime_s":1,"x":' + b'{"a":' * 9_000 + b"1" + b"}" * 9_000 + b"}",
    b'{"kind":"status","at":1,"uptime_s":1,"x":"],}\\"[{"' + b"",
    b'{"kind":"later"}',
    b'{"kind":"status","at":1,"uptime_s":}',
    b'{"kind":"status","at":"\xff","uptime_s":1}',
    b"nonsense",
    b"null",
    b"17",
    b'"text, with ] and }"',
    b"[1,2]",
    b'{"kind":"readings","asset":"a:b","at":[1,2],"values":{"speed":[1]}}',
    b'{"kind":"readings","asset":"a:b","at":[1],"values":{"":[1]}}',
]


def payload(*records: bytes) -> bytes:
    return HEAD + b"[" + b",".join(records) + b"]}"


def refusal(raw: bytes) -> RefuseInput:
    with pytest.raises(RefuseInput) as caught:
        envelope.decode(raw)
    assert len(str(caught.value)) < 500
    return caught.value


@given(
    seq=st.integers(1, 2**53),
    sent_at=st.integers(0, 2**53),
    clock=st.sampled_from(["synced", "free"]),
    count=st.integers(0, 5),
)
def test_wrapped_records_come_back(seq: int, sent_at: int, clock: ClockState, count: int) -> None:
    records: list[Record] = [Status(at=index, uptime_s=1.5) for index in range(count)]
    raw = encode_records(records)
    wrapped = envelope.wrap(
        spool=SPOOL, seq=seq, boot_id="b", clock=clock, sent_at=sent_at, records_raw=raw
    )
    found = envelope.decode(wrapped)
    assert (found.spool, found.seq, found.boot_id) == (SPOOL, seq, "b")
    assert (found.clock, found.sent_at) == (clock, sent_at)
    assert found.records == tuple(records)
    assert found.refused == ()
    assert (found.records_raw, found.crc) == (raw, zlib.crc32(raw))
    assert envelope.peek_key(wrapped) == (SPOOL, seq)


@pytest.mark.parametrize("bad", [one for one in BAD if one.count(b'"') % 2 == 0])
def test_good_records_are_taken_and_the_bad_one_is_set_aside(bad: bytes) -> None:
    found = envelope.decode(payload(GOOD, bad, GOOD))
    assert len(found.records) == 2
    (refused,) = found.refused
    assert (refused.index, refused.raw) == (1, bad)
    assert refused.reason in ("bad_record", "unknown_kind", "bad_asset_id")
    assert found.seq == 17


def test_bad_records_at_both_ends_are_set_aside() -> None:
    found = envelope.decode(payload(BAD[0], GOOD, BAD[3], b" ", BAD[6]))
    assert len(found.records) == 1
    assert [one.reason for one in found.refused] == ["bad_record", "bad_record", "unknown_kind"]


@given(st.lists(st.integers(-1, len(BAD) - 1), max_size=6))
def test_the_same_bytes_always_split_alike(chosen: list[int]) -> None:
    records = [GOOD if number < 0 else BAD[number] for number in chosen]
    raw = b"[" + b",".join(records) + b"]"
    first, again = envelope.decode_records(raw), envelope.decode_records(raw)
    assert first == again
    assert len(first[0]) <= records.count(GOOD)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\x00\xff", "not_json"),
        (b"hello", "not_json"),
        (HEAD + b"[", "not_json"),
        (HEAD + b"[" + b"[" * 100_000, "not_json"),
        (HEAD + b'["' + b'\\"' * 100_000, "not_json"),
        (b"[" * 100_000, "bad_header"),
        (b"[]", "bad_header"),
        (b"17", "bad_header"),
        (b'"text"', "bad_header"),
        (b"{}", "bad_header"),
        (HEAD + b"{}}", "bad_header"),
        (HEAD + b"null}", "bad_header"),
        (HEAD + b'  "[]"}', "bad_header"),
        (payload(GOOD).replace(b'"seq":17', b'"seq":0'), "bad_header"),
        (payload(GOOD).replace(b'"seq":17', b'"seq":1.5'), "bad_header"),
        (payload(GOOD).replace(b'"seq":17', b'"seq":' + b"9" * 100_000), "bad_header"),
        (payload(GOOD).replace(b'"seq":17,', b""), "bad_header"),
        (payload(GOOD).replace(SPOOL.encode(), b"9f"), "bad_header"),
        (payload(GOOD).replace(SPOOL.encode(), SPOOL.upper().encode()), "bad_header"),
        (payload(GOOD).replace(SPOOL.encode(), SPOOL.encode() + b"\\n"), "bad_header"),
        (payload(GOOD).replace(b'"synced"', b'"guessed"'), "bad_header"),
        (payload(GOOD).replace(b'"boot_id":"b"', b'"boot_id":""'), "bad_header"),
        (payload(GOOD).replace(b'"schema":1', b'"schema":2'), "bad_schema"),
        (payload(b'"' + b"x" * ENVELOPE_BYTES_MAX + b'"'), "too_large"),
    ],
)
def test_payload_that_is_no_envelope_is_refused_whole(raw: bytes, reason: str) -> None:
    assert refusal(raw).reason == reason


@given(st.binary(max_size=300))
def test_any_bytes_are_an_envelope_or_refused(raw: bytes) -> None:
    refusal(raw)


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 40))
def test_damaged_envelope_is_read_or_refused(junk: bytes, at: int, cut: int) -> None:
    whole = payload(GOOD, BAD[0], GOOD)
    damaged = whole[:at] + junk + whole[at + cut :]
    try:
        found = envelope.decode(damaged)
    except RefuseInput:
        return
    assert found.seq >= 1


def test_header_of_a_later_version_with_more_keys_is_read() -> None:
    found = envelope.decode(payload(GOOD).replace(b'"seq"', b'"later":{"records":[]},"seq"'))
    assert len(found.records) == 1


def test_records_beyond_the_bound_are_set_aside_as_one() -> None:
    extra = 3
    found = envelope.decode(payload(*[GOOD] * (RECORDS_PER_BATCH_MAX + extra)))
    assert len(found.records) == RECORDS_PER_BATCH_MAX
    (refused,) = found.refused
    assert (refused.index, refused.reason) == (RECORDS_PER_BATCH_MAX, "too_many_records")
    assert len(msgspec.json.decode(refused.raw)) == extra


@pytest.mark.parametrize(
    "body",
    [b"[]," * 80_000 + b"1]}", b"NaN," * 60_000 + b"1]}", b"[" * 100_000 + b"]" * 100_001 + b"}"],
)
def test_hostile_envelope_costs_little_and_gives_few_entries(body: bytes) -> None:
    began = time.process_time()
    found = envelope.decode(HEAD + b"[" + body)
    assert len(found.refused) <= RECORDS_PER_BATCH_MAX + 1
    assert time.process_time() - began < 2


def test_unclosed_string_costs_little() -> None:
    began = time.process_time()
    refusal(HEAD + b'["' + b'\\"' * 100_000)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        (HEAD + b"[garbage", (SPOOL, 17)),
        (HEAD.replace(b":", b" : "), (SPOOL, 17)),
        (b'{"seq":17,"x":', None),
        (b'{"spool":"%b"' % SPOOL.encode(), None),
        (b'{"spool":"%b","seq":0,' % SPOOL.encode(), None),
        (b'{"spool":"%b","seq":%b,' % (SPOOL.encode(), b"9" * 17), None),
        (b" " * 200 + HEAD, None),
        (b"", None),
    ],
)
def test_key_of_a_broken_payload_is_found_in_its_first_bytes(
    raw: bytes, key: tuple[str, int] | None
) -> None:
    assert envelope.peek_key(raw) == key


def test_doubled_key_gives_one_value() -> None:
    twice: Any = envelope.decode(payload(GOOD).replace(b'"seq":17', b'"seq":16,"seq":17'))
    assert twice.seq == 17
    doubled = b'{"kind":"readings","asset":"a:b","asset":"a:c","at":[1],"values":{"speed":[1]}}'
    (record,) = envelope.decode(payload(doubled)).records
    assert isinstance(record, Readings)
    assert record.asset == "a:c"
