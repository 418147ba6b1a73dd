"""What pymodbus is shown of the bytes that came, and what these are called."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sources.sift import REASONS, Question, name_rtu, name_tcp, sift_rtu, well_formed_tcp
from tests.support.faulty_rtu import crc

ASKED = Question(unit=3, function=3, transaction=7)


def rtu(unit: int, *body: int) -> bytes:
    frame = bytes([unit, *body])
    return frame + crc(frame)


def tcp(transaction: int, unit: int, *body: int) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(body) + 1, unit) + bytes(body)


GOOD = rtu(3, 3, 2, 0, 9)


def test_foreign_frames_before_the_reply_are_left_out() -> None:
    foreign = rtu(4, 3, 2, 1, 1) + rtu(5, 0x83, 2)
    assert sift_rtu(foreign + GOOD, ASKED) == GOOD
    assert sift_rtu(foreign, ASKED) == b""


@pytest.mark.parametrize("data", [b"", b"\x03", rtu(3, 4, 2, 0, 9), rtu(9, 0x2B, 14, 1, 0, 0)])
def test_what_cannot_be_the_reply_is_not_shown(data: bytes) -> None:
    assert sift_rtu(data, ASKED) == b""


@given(st.binary(max_size=60))
def test_any_bytes_are_named_and_never_raise(data: bytes) -> None:
    shown = sift_rtu(data, ASKED)
    assert data.endswith(shown)
    assert name_rtu(data, ASKED) in REASONS
    assert name_tcp(data, ASKED) in REASONS
    assert well_formed_tcp(data) in {True, False}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "silent"),
        (rtu(4, 3, 2, 0, 9), "wrong_unit"),
        (rtu(3, 4, 2, 0, 9), "wrong_function"),
        (GOOD[:4], "short"),
        (GOOD[:-1], "short"),
        (GOOD[:-1] + b"\0", "corrupt"),
    ],
)
def test_rtu_failures_have_their_names(data: bytes, name: str) -> None:
    assert name_rtu(data, ASKED) == name


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "silent"),
        (tcp(7, 3, 3, 2, 0, 9)[:8], "short"),
        (tcp(7, 3, 3, 2, 0, 9)[:10], "short"),
        (tcp(8, 3, 3, 2, 0, 9), "wrong_transaction"),
        (tcp(7, 4, 3, 2, 0, 9), "wrong_unit"),
        (tcp(7, 3, 4, 2, 0, 9), "wrong_function"),
        (b"HTTP/1.1 400", "corrupt"),
        (tcp(7, 3, 3, 9, 0, 9), "corrupt"),
    ],
)
def test_tcp_failures_have_their_names(data: bytes, name: str) -> None:
    assert name_tcp(data, ASKED) == name


def test_torn_reply_that_an_older_one_completes_is_not_well_formed() -> None:
    older, reply = tcp(6, 3, 3, 4, 0, 1, 0, 2), tcp(7, 3, 3, 4, 0, 9, 0, 9)
    assert well_formed_tcp(older + reply)
    assert all(well_formed_tcp((older + reply)[:size]) for size in range(27))
    for cut in range(1, len(reply)):
        assert not well_formed_tcp(reply[:cut] + older + reply)
