"""LLRP messages: what is written reads back, and what is malformed is refused."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sources import llrp_messages as llrp
from edge.sources.llrp_messages import Message, MessageReader, TagReport
from protocols.errors import RefuseInput


def tlv(kind: int, body: bytes) -> bytes:
    return struct.pack(">HH", kind, 4 + len(body)) + body


def test_a_report_tells_epc_signal_and_reads() -> None:
    tag = b"\x8d" + bytes(range(12)) + b"\x81\0\x02" + b"\x86\xc9" + b"\x8c\x30\0" + b"\x88\0\1"
    tag += tlv(349, struct.pack(">BHH", 0, 1, 2) + b"\xe2\x80\x11\x60")
    tag += tlv(349, struct.pack(">BHH", 4, 2, 0)) + tlv(1023, b"vendor's own")
    (found,) = llrp.tag_reports(tlv(240, tag))
    assert found == TagReport(
        epc=bytes(range(12)),
        pc=b"\x30\0",
        antenna=2,
        rssi_dbm=-55,
        reads={1: (0, b"\xe2\x80\x11\x60"), 2: (4, b"")},
    )


def test_an_epc_of_any_length_is_told() -> None:
    (found,) = llrp.tag_reports(tlv(240, tlv(241, struct.pack(">H", 176) + bytes(22))))
    assert found.epc == bytes(22)


@pytest.mark.parametrize(
    "tag",
    [
        b"\x8d" + bytes(11),
        b"\xff\0\0",
        b"\0\xf1\0\0",
        tlv(241, struct.pack(">H", 97) + bytes(13)),
        tlv(241, struct.pack(">H", 96) + bytes(10)),
        tlv(241, struct.pack(">H", 512) + bytes(64)),
        tlv(349, bytes(4)),
        tlv(349, struct.pack(">BHH", 0, 1, 3) + bytes(4)),
        b"\0",
    ],
)
def test_a_malformed_report_is_refused(tag: bytes) -> None:
    with pytest.raises(RefuseInput, match="bad_parameter"):
        llrp.tag_reports(tlv(240, tag))


def test_a_status_that_is_missing_is_refused() -> None:
    with pytest.raises(RefuseInput, match="no status"):
        llrp.status(tlv(246, b""))


def test_a_length_that_no_message_has_is_refused() -> None:
    with pytest.raises(RefuseInput, match="bad_length"):
        list(MessageReader().feed(struct.pack(">HII", 1 << 10 | 61, 2**31, 0)))


MESSAGES = st.builds(
    Message, st.integers(0, 1023), st.integers(0, 2**32 - 1), st.binary(max_size=50)
)


@settings(max_examples=100, deadline=None)
@given(st.lists(MESSAGES, max_size=5), st.lists(st.integers(1, 30), max_size=10))
def test_messages_come_out_whole_however_the_stream_is_cut(
    wanted: list[Message], cuts: list[int]
) -> None:
    reader, found = MessageReader(), []
    stream = b"".join(map(llrp.write, wanted))
    for cut in [*cuts, len(stream)]:
        found += list(reader.feed(stream[:cut]))
        stream = stream[cut:]
    assert found == wanted


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_any_report_is_read_or_refused(body: bytes) -> None:
    try:
        reports = llrp.tag_reports(body)
    except RefuseInput:
        return
    assert all(isinstance(one, TagReport) for one in reports)
