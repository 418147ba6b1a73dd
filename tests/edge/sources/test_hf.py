"""Reading HF tags: whole, or a finding; whatever is torn, swapped or damaged in between."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from edge.sources.base import TagGone, TagSeen
from edge.sources.hf import (
    READS_MAX,
    Attended,
    Memory,
    Unanswered,
    key_of,
    read_type2,
    read_type3,
    read_type4,
    read_type5,
    sighting,
)
from simulators.hf_field import HfField
from simulators.hf_tags import Tag, Type2Tag, Type3Tag, Type4Tag, Type5Tag, ndef_tlv

MESSAGES = (b"\xd1\x01\x08T\x02zh\xe6\xb0\x94AB", b"\xd1\x01\x7cU\x00" + b"b" * 123)
UIDS = (b"\x04ABCDEF", b"\x04ABCDEG")


@dataclass
class Air:
    """A field as the reading functions see it."""

    field: HfField

    def command(self, data: bytes) -> bytes:
        answer = self.field.answer(data)
        if answer is None:
            raise Unanswered
        return answer

    def read_pages(self, page: int) -> bytes:
        answer = self.command(bytes([0x30, page]))
        if len(answer) != 16:
            raise Unanswered
        return answer

    def read_block3(self, number: int) -> bytes:
        idm = self.field.tag.uid if self.field.tag else bytes(8)
        answer = self.command(b"\x10\x06" + idm + b"\x01\x0b\x00\x01\x80" + bytes([number]))
        if answer[10]:
            raise Unanswered
        return answer[13:]

    def read_block5(self, number: int) -> bytes:
        answer = self.command(bytes([2, 0x20, number]))
        if answer[0]:
            raise Unanswered
        return answer[1:]

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        tag = self.field.touch()
        if not isinstance(tag, Type4Tag):
            raise Unanswered
        answer = tag.apdu(apdu)
        return answer[:-2], int.from_bytes(answer[-2:], "big")


def type2(number: int) -> Tag:
    return Type2Tag(UIDS[number], ndef_tlv(MESSAGES[number]), signature=bytes([number]) * 32)


def type3(number: int) -> Tag:
    return Type3Tag(bytes([2, 0xFE, number]) + bytes(5), MESSAGES[number])


def type4(number: int) -> Tag:
    return Type4Tag(UIDS[number], MESSAGES[number])


def type5(number: int) -> Tag:
    return Type5Tag(b"\xe0\x04" + bytes(5) + bytes([number]), MESSAGES[number][:90])


KINDS: dict[str, tuple[Callable[[int], Tag], Callable[[bytes, Air], Memory]]] = {
    "type2": (type2, read_type2),
    "type3": (type3, lambda uid, air: read_type3(air.read_block3)),
    "type4": (type4, lambda uid, air: read_type4(air.transmit)),
    "type5": (type5, lambda uid, air: read_type5(air.read_block5)),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def whole(kind: str, number: int) -> tuple[Memory, int]:
    make, read = KINDS[kind]
    field, tag = HfField(), make(number)
    field.place(tag)
    return read(tag.uid, Air(field)), field.commands


def test_a_tag_that_stays_is_read_whole(kind: str) -> None:
    memory, _ = whole(kind, 0)
    assert memory.complete
    assert memory.same
    assert any(MESSAGES[0] in bank for bank in memory.banks.values())


def test_a_tag_torn_away_at_any_moment_is_never_complete(kind: str) -> None:
    make, read = KINDS[kind]
    complete, commands = whole(kind, 0)
    for left in range(commands):
        field, tag = HfField(), make(0)
        field.place_until(tag, left)
        memory = read(tag.uid, Air(field))
        assert not (memory.complete and memory.same), left
        assert memory.banks.items() <= complete.banks.items(), left


def test_a_tag_that_turns_into_another_at_any_moment_gives_no_bank_of_it(kind: str) -> None:
    """Type 4 is left out: a second card does not answer within the first one's session."""
    if kind == "type4":
        return
    make, read = KINDS[kind]
    own, commands = whole(kind, 0)
    for left in range(1, commands):
        field, tag = HfField(), make(0)
        field.place_until(tag, left, make(1))
        memory = read(tag.uid, Air(field))
        there = field.touch()
        memory.same = memory.same and there is not None and there.uid == tag.uid  # as drivers do
        told = sighting(tag.uid, "type2", memory)
        assert not told.complete or told.banks == own.banks, left
        assert told.banks.items() <= own.banks.items(), left


@pytest.mark.parametrize("chip", ["ultralight", "ntag213", "ntag215", "ntag216"])
def test_all_user_memory_of_a_chip_is_read(chip: str) -> None:
    user_bytes = {"ultralight": 48, "ntag213": 144, "ntag215": 504, "ntag216": 888}[chip]
    field, content = HfField(), random.Random(1).randbytes(user_bytes)
    field.place(Type2Tag(UIDS[0], content, chip=chip))
    memory = read_type2(UIDS[0], Air(field))
    assert (memory.complete, memory.same) == (True, True)
    assert memory.banks["user"] == content
    assert ("version" in memory.banks) == (chip != "ultralight")


def test_damaged_memory_is_read_as_it_is_or_not_complete(kind: str) -> None:
    rng = random.Random(2)
    make, read = KINDS[kind]
    for _ in range(300):
        field, tag = HfField(), make(rng.randrange(2))
        if isinstance(tag, Type2Tag | Type5Tag):
            tag.memory[rng.randrange(len(tag.memory))] ^= 1 << rng.randrange(8)
        elif isinstance(tag, Type3Tag):
            block = bytearray(tag.blocks[0])
            block[rng.randrange(16)] ^= 1 << rng.randrange(8)
            tag.blocks[0] = bytes(block)
        elif isinstance(tag, Type4Tag):
            file = rng.choice(list(tag.files))
            content = bytearray(tag.files[file])
            content[rng.randrange(15)] ^= 1 << rng.randrange(8)
            tag.files[file] = bytes(content)
        field.place(tag)
        memory = read(tag.uid, Air(field))
        assert kind != "type3" or not memory.complete
        assert field.commands < 300


def test_a_uid_that_the_memory_does_not_have_gives_no_banks() -> None:
    field = HfField()
    field.place(type2(0))
    told = sighting(UIDS[1], "type2", read_type2(UIDS[1], Air(field)))
    assert (told.complete, told.banks) == (False, {})


def test_a_type5_size_that_counts_the_container_is_read_to_the_last_block() -> None:
    field, tag = HfField(), Type5Tag(b"\xe0\x04" + bytes(6), b"x" * 90)
    field.place(tag)
    assert read_type5(Air(field).read_block5).banks["user"] == bytes(tag.memory)
    tag.memory[2] -= 1
    assert read_type5(Air(field).read_block5).banks["user"] == bytes(tag.memory[:-4])


def test_a_random_uid_is_no_identity() -> None:
    told = sighting(b"\x08\x01\x02\x03", "type4", Memory.none())
    assert told.uid is None
    assert told.key == key_of(b"\x08\x09\x09\x09")


def test_an_attended_tag_is_read_until_whole_and_told_when_it_leaves() -> None:
    attended, torn = Attended(), Memory()
    reads = [sighting(UIDS[0], "type2", torn)] * 2 + [sighting(UIDS[0], "type2", Memory.none())]
    told = [attended.look(UIDS[0], lambda: reads.pop(0)) for _ in range(5)]
    assert [len(one) for one in told] == [1, 1, 1, 0, 0]
    other = attended.look(UIDS[1], lambda: sighting(UIDS[1], "type2", Memory.none()))
    assert [type(one) for one in other] == [TagGone, TagSeen]
    assert attended.none() == [TagGone(UIDS[1])]
    assert attended.none() == []


def test_a_tag_that_cannot_be_read_whole_is_given_up() -> None:
    attended, torn = Attended(), sighting(UIDS[0], "type2", Memory())
    told = [attended.look(UIDS[0], lambda: torn) for _ in range(READS_MAX + 5)]
    assert [len(one) for one in told] == [1] * READS_MAX + [0] * 5
