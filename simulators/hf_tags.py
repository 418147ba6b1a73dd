"""HF tags as they answer on the air: a command's bytes in, the answer's bytes out, without CRC."""

import struct
from functools import reduce
from operator import xor
from typing import Literal, Protocol

CHIPS = {
    "ultralight": (16, 0x06, b""),
    "ntag213": (45, 0x12, bytes.fromhex("0004040201000F03")),
    "ntag215": (135, 0x3E, bytes.fromhex("0004040201001103")),
    "ntag216": (231, 0x6D, bytes.fromhex("0004040201001303")),
}
"""Pages of 4 bytes, size byte of the capability container, answer to GET_VERSION."""
NAK = b"\x00"
NDEF_APPLICATION = bytes.fromhex("D2760000850101")


class Tag(Protocol):
    """One tag; it answers as long as it lies in the field."""

    @property
    def technology(self) -> Literal["A", "F", "V"]:
        """NFC-A, NFC-F (FeliCa) or NFC-V (ISO 15693)."""
        ...

    @property
    def uid(self) -> bytes:
        """UID, or the IDm of a FeliCa tag."""
        ...

    def activate(self) -> None:
        """Forget what was selected: the field was off."""
        ...

    def command(self, data: bytes) -> bytes | None:
        """Answer a command; None is silence."""
        ...


def ndef_tlv(message: bytes) -> bytes:
    """Wrap an NDEF message as the memory of type 2 and type 5 tags carries it."""
    length = len(message)
    head = bytes([length]) if length < 0xFF else b"\xff" + struct.pack(">H", length)
    return b"\x03" + head + message + b"\xfe"


class Type2Tag:
    """An NTAG or Ultralight; `memory` may be changed to damage it."""

    technology: Literal["A"] = "A"
    sens_res, sel_res = b"\x44\x00", b"\x00"

    def __init__(
        self,
        uid: bytes,
        user: bytes,
        *,
        chip: str = "ntag213",
        signature: bytes = bytes(32),
    ) -> None:
        """Make a tag whose memory from page 4 on begins with `user`."""
        self.uid, self._signature = uid, signature
        pages, size, self._version = CHIPS[chip]
        self.memory = bytearray(pages * 4)
        checks = [0x88 ^ reduce(xor, uid[:3]), reduce(xor, uid[3:])]
        self.memory[:9] = bytes([*uid[:3], checks[0], *uid[3:], checks[1]])
        self.memory[12:16] = bytes([0xE1, 0x10, size, 0])
        self.memory[16 : 16 + len(user)] = user

    def activate(self) -> None:
        """Need nothing."""

    def command(self, data: bytes) -> bytes | None:
        """Answer READ, WRITE, GET_VERSION and READ_SIG."""
        code, known = data[0], bool(self._version)
        if code == 0x30 and len(data) == 2:
            start = data[1] * 4
            rolled = bytes(self.memory[start:] + self.memory[:12])
            return rolled[:16] if start < len(self.memory) else NAK
        if code == 0xA2 and len(data) == 6:
            start = data[1] * 4
            if not 16 <= start < len(self.memory):
                return NAK
            self.memory[start : start + 4] = data[2:]
            return b"\x0a"
        if code == 0x60 and known:
            return self._version
        if code == 0x3C and known:
            return self._signature
        return None


class Type4Tag:
    """ISO 14443-4A with the NDEF application, mapping 2.0; `files` may be changed to damage it."""

    technology: Literal["A"] = "A"
    sens_res, sel_res = b"\x44\x03", b"\x20"
    answer_to_select = bytes.fromhex("0578807002")

    def __init__(self, uid: bytes, message: bytes, *, size: int = 1024) -> None:
        self.uid = uid
        container = bytes.fromhex("000F20003B00340406E104") + struct.pack(">H", size) + b"\0\0"
        content = struct.pack(">H", len(message)) + message
        self.files = {0xE103: container, 0xE104: content.ljust(size, b"\0")}
        self._application, self._file = False, b""

    def activate(self) -> None:
        """Forget application and file."""
        self._application, self._file = False, b""

    def command(self, data: bytes) -> bytes | None:
        """Answer RATS and the blocks of ISO-DEP."""
        if data[0] == 0xE0:
            return self.answer_to_select
        if data[0] & 0xE2 == 0x02:
            return bytes([0x02 | data[0] & 1]) + self.apdu(data[1:])
        if data[0] & 0xE6 == 0xA2:
            return bytes([0xA2 | data[0] & 1])
        if data[0] & 0xF7 == 0xC2:
            return data[:1]
        return None

    def apdu(self, data: bytes) -> bytes:
        """Answer SELECT and READ BINARY."""
        instruction, p1, p2 = data[1:4]
        if instruction == 0xA4 and p1 == 4:
            self._application = data[5:12] == NDEF_APPLICATION
            return b"\x90\x00" if self._application else b"\x6a\x82"
        if instruction == 0xA4 and self._application:
            self._file = self.files.get(int.from_bytes(data[5:7], "big"), b"")
            return b"\x90\x00" if self._file else b"\x6a\x82"
        if instruction == 0xB0 and self._file:
            start, length = p1 << 8 | p2, data[4] or 256
            return self._file[start : start + length] + b"\x90\x00"
        return b"\x6d\x00" if instruction not in (0xA4, 0xB0) else b"\x69\x85"


class Type3Tag:
    """A FeliCa Lite: an attribute block, then data; `blocks` may be changed to damage it."""

    technology: Literal["F"] = "F"

    def __init__(self, idm: bytes, message: bytes, *, blocks: int = 13) -> None:
        self.uid = idm
        self.parameters, self.system = bytes.fromhex("0120220427674EFF"), b"\x12\xfc"
        attribute = struct.pack(">BBBHxxxxBB", 0x10, 4, 1, blocks, 0, 1)
        attribute += len(message).to_bytes(3, "big")
        attribute += struct.pack(">H", sum(attribute))
        data = [message[i * 16 : i * 16 + 16].ljust(16, b"\0") for i in range(blocks)]
        self.blocks = [attribute, *data]

    def activate(self) -> None:
        """Need nothing."""

    def command(self, data: bytes) -> bytes | None:
        """Answer polling and READ WITHOUT ENCRYPTION; the first byte is the length."""
        if data[1:2] == b"\0":
            return self._poll(data)
        if data[1] == 0x06 and data[2:10] == self.uid:
            return self._read(data)
        return None

    def _poll(self, data: bytes) -> bytes | None:
        wanted = zip(data[2:4], self.system, strict=True)
        if any(one not in (0xFF, own) for one, own in wanted):
            return None
        more = self.system if data[4] == 1 else b""
        return _with_length(b"\x01" + self.uid + self.parameters + more)

    def _read(self, data: bytes) -> bytes:
        at = 11 + 2 * data[10]
        count, at = data[at], at + 1
        found = []
        for _ in range(count):
            short = bool(data[at] & 0x80)
            block = data[at + 1] if short else data[at + 1] | data[at + 2] << 8
            at += 2 if short else 3
            if block >= len(self.blocks):
                return _with_length(b"\x07" + self.uid + b"\xff\xa8")
            found.append(self.blocks[block])
        return _with_length(b"\x07" + self.uid + b"\0\0" + bytes([count]) + b"".join(found))


class Type5Tag:
    """An ICODE SLIX; `memory` may be changed to damage it."""

    technology: Literal["V"] = "V"

    def __init__(self, uid: bytes, message: bytes, *, blocks: int = 28) -> None:
        """Make a tag; a UID begins with E0."""
        self.uid = uid
        self.memory = bytearray(blocks * 4)
        content = bytes([0xE1, 0x40, blocks * 4 // 8, 0]) + ndef_tlv(message)
        self.memory[: len(content)] = content

    def activate(self) -> None:
        """Need nothing."""

    def command(self, data: bytes) -> bytes | None:
        """Answer READ SINGLE BLOCK, not addressed: flags, code, block."""
        if len(data) == 3 and data[1] == 0x20:
            start = data[2] * 4
            block = bytes(self.memory[start : start + 4])
            return b"\x00" + block if block else b"\x01\x10"
        return None


def _with_length(body: bytes) -> bytes:
    return bytes([len(body) + 1]) + body
