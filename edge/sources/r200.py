"""Frames of the R200 / M100 / QM100 family of UHF modules; pure.

BB, type, command, length (2 bytes), parameters, checksum, 7E. BB and 7E may stand in the
parameters too, so a frame is found by its length and its checksum, never by its end.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum

from msgspec import Struct

from protocols.tag_memory import crc16

HEAD, END = 0xBB, 0x7E
FRAME_OVERHEAD_BYTES = 7
PARAMETER_BYTES_MAX = 160
"""A longer length field is noise: the longest that we ask for is 32 words of a tag with the longest
EPC, 129 bytes."""
COMMAND, REPLY, NOTICE = 0x00, 0x01, 0x02
ROUNDS = 0xFFFF
"""Rounds of one multiple inventory; it ends by itself after them."""
_FOR_ACCESS_ONLY = 0x02
_EPC_BANK = 0x01
_EPC_AT_BITS = 32


class Command(IntEnum):
    """What is asked of the module; a reply names it again."""

    INFO = 0x03
    SELECT = 0x0C
    SELECT_MODE = 0x12
    INVENTORY = 0x22
    INVENTORY_MANY = 0x27
    STOP = 0x28
    READ = 0x39
    POWER = 0xB6
    ERROR = 0xFF


class Bank(IntEnum):
    """Memory banks of an EPC Gen2 tag that are read beside the EPC."""

    TID = 2
    USER = 3


NO_TAG = 0x15
OVERRUN = 0xA3
"""The tag says that its memory ends before what was asked of it; Gen2 error 3."""


class Frame(Struct, frozen=True):
    """One frame that is whole and whose checksum is right."""

    type: int
    command: int
    parameters: bytes = b""

    @property
    def error(self) -> int | None:
        """The code of an error reply; None for any other frame."""
        if self.command != Command.ERROR:
            return None
        return self.parameters[0] if self.parameters else 0


class Sighting(Struct, frozen=True):
    """A tag in an inventory notice."""

    pc: bytes
    epc: bytes
    rssi_dbm: int


def frame(type_: int, command: int, parameters: bytes = b"") -> bytes:
    """Write one frame."""
    body = struct.pack(">BBH", type_, command, len(parameters)) + parameters
    return bytes([HEAD]) + body + bytes([sum(body) & 0xFF, END])


def inventory(rounds: int = ROUNDS) -> bytes:
    """Ask for tags again and again, `rounds` times."""
    return frame(COMMAND, Command.INVENTORY_MANY, struct.pack(">BH", Command.INVENTORY, rounds))


def select(epc: bytes) -> bytes:
    """Choose the tag that `read` speaks to: the one with this EPC."""
    mask = struct.pack(">BIBB", _EPC_BANK, _EPC_AT_BITS, len(epc) * 8, 0) + epc
    return frame(COMMAND, Command.SELECT, mask)


def select_for_access() -> bytes:
    """Let the chosen tag matter for reading memory only, not for the inventory."""
    return frame(COMMAND, Command.SELECT_MODE, bytes([_FOR_ACCESS_ONLY]))


def read(bank: Bank, words: int, *, offset_words: int = 0) -> bytes:
    """Ask for memory of the chosen tag, without a password."""
    parameters = struct.pack(">IBHH", 0, bank, offset_words, words)
    return frame(COMMAND, Command.READ, parameters)


def power(dbm: float) -> bytes:
    """Set the transmit power."""
    return frame(COMMAND, Command.POWER, struct.pack(">H", round(dbm * 100)))


def sighting(parameters: bytes) -> Sighting | None:
    """Read an inventory notice; None unless the tag's own CRC and length fit."""
    if len(parameters) < 5:
        return None
    rssi, body, crc = parameters[0], parameters[1:-2], parameters[-2:]
    if crc16(body) != int.from_bytes(crc, "big"):
        return None
    pc, epc = body[:2], body[2:]
    if len(epc) != (pc[0] >> 3) * 2:
        return None
    return Sighting(pc=pc, epc=epc, rssi_dbm=rssi - 256 if rssi > 127 else rssi)


def memory(parameters: bytes, epc: bytes) -> bytes | None:
    """Take the words out of the reply to `read`; None if it is of another tag or cut."""
    if not parameters:
        return None
    length = parameters[0]
    pc_and_epc, words = parameters[1 : 1 + length], parameters[1 + length :]
    whole = pc_and_epc[2:] == epc and len(pc_and_epc) == length
    return words if whole and words and len(words) % 2 == 0 else None


class FrameReader:
    """Finds frames in what a serial line gives, and goes on after noise."""

    def __init__(self) -> None:
        self._buffer = b""
        self.bytes_skipped = 0
        self.checksums_bad = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes; yield the frames that are whole now."""
        self._buffer += data
        while (start := self._buffer.find(HEAD)) >= 0:
            self._skip(start)
            if len(self._buffer) < 5:
                return
            length = int.from_bytes(self._buffer[3:5], "big")
            size = length + FRAME_OVERHEAD_BYTES
            if length > PARAMETER_BYTES_MAX or self._buffer[1] > NOTICE:
                self._skip(1)
            elif len(self._buffer) < size:
                return
            elif (found := self._whole(size)) is None:
                self._skip(1)
            else:
                yield found
                self._buffer = self._buffer[size:]
        self._skip(len(self._buffer))

    def quiet(self) -> Iterator[Frame]:
        """Learn that nothing has come for a while: what is begun will not be completed."""
        while self._buffer:
            self._skip(1)
            yield from self.feed(b"")

    def _whole(self, size: int) -> Frame | None:
        body, checksum, end = self._buffer[1 : size - 2], *self._buffer[size - 2 : size]
        if end != END:
            return None
        if sum(body) & 0xFF != checksum:
            self.checksums_bad += 1
            return None
        return Frame(body[0], body[1], body[4:])

    def _skip(self, count: int) -> None:
        self.bytes_skipped += count
        self._buffer = self._buffer[count:]
