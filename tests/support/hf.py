"""What the harnesses of HF readers have in common: their field, and the tags in it."""

import time

import ndef

from simulators.hf_field import HfField
from simulators.hf_tags import Tag, Type2Tag, Type4Tag, ndef_tlv
from tests.support.readers import Told


def torn_after(number: int) -> int:
    """Return how many commands a tag answers before it is torn away: reading has begun, no more."""
    return 5 + number % 5


def message(number: int) -> bytes:
    """Return the NDEF message of a tag."""
    records = [ndef.UriRecord(f"urn:test:cylinder:{number}"), ndef.TextRecord("气瓶" * 20, "zh")]
    return b"".join(ndef.message_encoder(records))


def uid(number: int) -> bytes:
    """Return the UID of a tag."""
    return b"\x04" + number.to_bytes(6, "big")


def tag(number: int) -> Tag:
    """Make a tag: NTAG216, NTAG213, NTAG215 and type 4 in turn."""
    if number % 4 == 3:
        return Type4Tag(uid(number), message(number))
    chip = ("ntag216", "ntag213", "ntag215")[number % 4]
    signature = bytes([number % 256]) * 32
    return Type2Tag(uid(number), ndef_tlv(message(number)), chip=chip, signature=signature)


def told(number: int) -> Told:
    """Return what a reader that can do everything tells of it."""
    one = tag(number)
    if isinstance(one, Type4Tag):
        return Told(one.uid, {"cc": one.files[0xE103], "ndef": message(number)})
    assert isinstance(one, Type2Tag)
    version, signature = one.command(b"\x60"), one.command(b"\x3c\x00")
    assert version is not None
    assert signature is not None
    bytes_of = {0x0F: 144, 0x11: 504, 0x13: 888}
    memory = bytes(one.memory)
    user = memory[16 : 16 + bytes_of[version[6]]]
    banks = {"cc": memory[12:16], "user": user, "version": version, "signature": signature}
    return Told(one.uid, banks)


class FieldHarness:
    """Brings tags to a field and takes them away."""

    def __init__(self, notice_s: float) -> None:
        """Make an empty field.

        Args:
            notice_s: how long the reader may take to notice that a tag has left.

        """
        self.field = HfField()
        self._notice_s = notice_s

    def told(self, number: int) -> Told:
        return told(number)

    def bring(self, number: int) -> None:
        self.field.place(tag(number))

    def take_away(self) -> None:
        self.field.remove()
        time.sleep(self._notice_s)

    def tear(self, number: int) -> None:
        self.field.place_until(tag(number), torn_after(number))
        self._wait_for(None)

    def two_at_once(self, number: int, other: int) -> None:
        second = tag(other)
        self.field.place_until(tag(number), torn_after(number), second)
        self._wait_for(second)

    def _wait_for(self, last: Tag | None) -> None:
        deadline = time.monotonic() + 5
        while self.field.tag is not last:
            assert time.monotonic() < deadline, "the reader never read so far"
            time.sleep(0.01)
