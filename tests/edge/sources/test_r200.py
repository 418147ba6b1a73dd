"""Frames of UHF modules: the vendor's own, and any of ours among noise."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sources import r200
from edge.sources.r200 import Bank, Command, Frame, FrameReader

NOTICE = bytes.fromhex("BB02220011C9340030751FEB705C5904E3D50D703A76EF7E")


def frames_of(*parts: bytes) -> list[Frame]:
    reader = FrameReader()
    return [found for part in parts for found in reader.feed(part)] + list(reader.quiet())


@pytest.mark.parametrize(
    ("written", "published"),
    [
        (r200.frame(r200.COMMAND, Command.INFO, b"\0"), "BB00030001 00 04 7E"),
        (r200.frame(r200.COMMAND, Command.INVENTORY), "BB 00 22 00 00 22 7E"),
        (r200.inventory(10_000), "BB 00 27 00 03 22 27 10 83 7E"),
        (r200.frame(r200.COMMAND, Command.STOP), "BB 00 28 00 00 28 7E"),
        (r200.read(Bank.TID, 6), "BB 00 39 00 09 00 00 00 00 02 00 00 00 06 4A 7E"),
        (r200.frame(r200.REPLY, Command.ERROR, b"\x15"), "BB 01 FF 00 01 15 16 7E"),
    ],
)
def test_frame_is_the_published_one(written: bytes, published: str) -> None:
    assert written == bytes.fromhex(published)


def test_power_is_in_hundredths_of_a_dbm() -> None:
    assert r200.power(20.0)[5:7] == bytes.fromhex("07D0")


def test_published_notice_gives_its_tag() -> None:
    (found,) = frames_of(NOTICE)
    seen = r200.sighting(found.parameters)
    assert seen is not None
    assert (seen.rssi_dbm, seen.pc.hex()) == (-55, "3400")
    assert seen.epc.hex().upper() == "30751FEB705C5904E3D50D70"


@pytest.mark.parametrize("bit", range(8, (len(NOTICE) - 2) * 8))
def test_a_flipped_bit_never_gives_another_tag(bit: int) -> None:
    noisy = bytearray(NOTICE)
    noisy[bit // 8] ^= 1 << bit % 8
    for found in frames_of(bytes(noisy), NOTICE):
        seen = r200.sighting(found.parameters)
        assert seen is None or seen.epc.hex().upper() == "30751FEB705C5904E3D50D70"


def test_a_wrong_tag_crc_in_a_right_frame_is_no_tag() -> None:
    (found,) = frames_of(NOTICE)
    wrong = bytearray(found.parameters)
    wrong[5] ^= 1
    (again,) = frames_of(r200.frame(r200.NOTICE, Command.INVENTORY, bytes(wrong)))
    assert r200.sighting(again.parameters) is None


def test_half_a_frame_then_a_whole_one_costs_only_the_half() -> None:
    reader = FrameReader()
    assert list(reader.feed(NOTICE[:11])) == []
    assert [one.command for one in (*reader.feed(NOTICE), *reader.quiet())] == [0x22]
    assert reader.bytes_skipped == 11


def test_error_reply_tells_its_code() -> None:
    (found,) = frames_of(bytes.fromhex("BB01FF000115167E"))
    assert found.error == r200.NO_TAG


def test_memory_of_another_tag_is_not_taken() -> None:
    epc, other = b"\x30" * 12, b"\x31" * 12
    reply = bytes([14]) + b"\x34\x00" + epc + b"\xe2\x00"
    assert r200.memory(reply, epc) == b"\xe2\x00"
    assert r200.memory(reply, other) is None
    assert r200.memory(reply[:-1], epc) is None
    assert r200.memory(reply[:-2], epc) is None
    assert r200.memory(b"", epc) is None


FRAMES = st.tuples(st.integers(0, 2), st.integers(0, 255), st.binary(max_size=40))


@settings(max_examples=200, deadline=None)
@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(1, 20), max_size=20))
def test_frames_come_out_whole_however_the_line_cuts_them(
    wanted: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(r200.frame(*one) for one in wanted)
    parts = []
    for cut in cuts:
        parts.append(stream[:cut])
        stream = stream[cut:]
    found = frames_of(*parts, stream)
    assert [(one.type, one.command, one.parameters) for one in found] == wanted


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_a_frame_after_any_noise_is_found_once_the_line_is_quiet(noise: bytes) -> None:
    assert any(one.parameters == NOTICE[5:-2] for one in frames_of(noise + NOTICE))
