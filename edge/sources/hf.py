"""Reads the memory of HF tags through whatever reader: a bank is read whole, or not at all."""

import contextlib
from collections.abc import Callable
from typing import Literal, Protocol, Self

from edge.sources.base import Seen, TagGone, TagSeen

READS_MAX = 10
"""A tag that could not be read whole is tried so often while it stays."""
PAGE_BYTES, PAGES_MAX = 4, 256
"""Type 2: READ answers with four pages; beyond 256 another sector would have to be selected."""
UNKNOWN_USER_BYTES = 48
"""Of a type 2 tag without capability container: every one has as much."""
_NDEF_MAGIC, _NXP = 0xE1, 0x04
_CONTAINER_5 = (0xE1, 0xE2)
_USER_BYTES = {0x0F: 144, 0x11: 504, 0x13: 888}
"""By storage size in the answer to GET_VERSION: NTAG213, NTAG215, NTAG216."""
_NTAG_SIZES = (0x12, 0x3E, 0x6D)
_UNKNOWN_BLOCKS_5 = 28
_RANDOM_FIRST = 0x08
_RANDOM_KEY = b"random"
_SELECT_APPLICATION = bytes.fromhex("00A4040007D276000085010100")
_CONTAINER_FILE = b"\xe1\x03"
_READ_BYTES_MAX = 0xF0
_OK = 0x9000

HfTechnology = Literal["type2", "type3", "type4", "type5", "other"]
Transmit = Callable[[bytes], tuple[bytes, int]]
"""Takes an APDU, returns data and status word; raises Unanswered."""


class Unanswered(Exception):
    """The tag did not answer, or not as its type must: it is torn away or damaged."""


class Type2Link(Protocol):
    """A way to a type 2 tag; both raise Unanswered."""

    def read_pages(self, page: int) -> bytes:
        """Return 16 bytes from a page on."""
        ...

    def command(self, data: bytes) -> bytes:
        """Send a command of the chip and return its answer."""
        ...


class Memory:
    """What could be read of a tag."""

    def __init__(self) -> None:
        self.banks: dict[str, bytes] = {}
        self.complete = False
        self.same = False
        """It was the same tag from beginning to end, as far as its memory can tell."""

    @classmethod
    def none(cls) -> Self:
        """Return that of a tag of which only the UID is read."""
        memory = cls()
        memory.complete = memory.same = True
        return memory


def read_type2(uid: bytes, link: Type2Link) -> Memory:
    """Read capability container, user memory and, of an NTAG, version and signature."""
    memory = Memory()
    try:
        head = link.read_pages(0)
        if len(uid) == 7 and head[:3] + head[4:8] != uid:
            return memory
        container = memory.banks["cc"] = head[12:16]
        memory.banks["user"] = _user_memory(link, container)
        if _is_ntag(uid, container):
            _read_extras(link, memory.banks)
        memory.complete = True
    except Unanswered:
        pass
    with contextlib.suppress(Unanswered):
        memory.same = "cc" in memory.banks and link.read_pages(0) == head
    return memory


def read_type3(read_block: Callable[[int], bytes]) -> Memory:
    """Read the NDEF message of a FeliCa tag, one block of 16 bytes at a time."""
    memory = Memory()
    try:
        attributes = read_block(0)
        length = int.from_bytes(attributes[11:14], "big")
        most = int.from_bytes(attributes[3:5], "big") * 16
        if sum(attributes[:14]) != int.from_bytes(attributes[14:], "big") or length > most:
            raise Unanswered("bad attribute block")
        blocks = [read_block(1 + at // 16) for at in range(0, length, 16)]
        memory.banks["ndef"] = b"".join(blocks)[:length]
        memory.same = read_block(0) == attributes
        memory.complete = True
    except Unanswered:
        pass
    return memory


def read_type4(transmit: Transmit) -> Memory:
    """Read the NDEF application, if there is one."""
    memory = Memory()
    memory.same = True  # an ISO-DEP session is with one card
    try:
        if transmit(_SELECT_APPLICATION)[1] == _OK:
            _read_files(transmit, memory.banks)
        memory.complete = True
    except Unanswered:
        pass
    return memory


def read_type5(read_block: Callable[[int], bytes]) -> Memory:
    """Read the memory of an ISO 15693 tag, capability container included."""
    memory = Memory()
    try:
        first = read_block(0)
        known = first[0] in _CONTAINER_5 and first[2] > 0
        blocks = [first]
        # The size is given with or without the container: a last block may be missing.
        needed = first[2] * 8 // len(first) if known else 1
        wanted = needed + 1 if known else _UNKNOWN_BLOCKS_5
        try:
            blocks += [read_block(at) for at in range(1, needed)]
            while len(blocks) < min(wanted, PAGES_MAX):
                blocks.append(read_block(len(blocks)))
        except Unanswered:
            if len(blocks) < needed:
                raise
        memory.banks = {"cc": first, "user": b"".join(blocks)}
        memory.same = read_block(0) == first
        memory.complete = True
    except Unanswered:
        pass
    return memory


def is_random(uid: bytes) -> bool:
    """Tell a UID that the chip makes up anew each time it comes (ISO/IEC 14443-3)."""
    return len(uid) == 4 and uid[0] == _RANDOM_FIRST


def key_of(uid: bytes) -> bytes:
    """Return what tells this tag from others on the reader."""
    return _RANDOM_KEY if is_random(uid) else uid


class Attended:
    """The tag at a reader that holds one at a time: told when it comes, is read, and leaves."""

    def __init__(self) -> None:
        self._key: bytes | None = None
        self._reads_left = 0

    def none(self) -> list[Seen]:
        """Take that there is no tag."""
        key, self._key = self._key, None
        return [] if key is None else [TagGone(key)]

    def look(self, uid: bytes, read: Callable[[], TagSeen]) -> list[Seen]:
        """Take the tag that is there; `read` is called until it was read whole."""
        key, seen = key_of(uid), list[Seen]()
        if key != self._key:
            seen = self.none()
            self._key, self._reads_left = key, READS_MAX
        if self._reads_left:
            tag = read()
            self._reads_left = 0 if tag.complete else self._reads_left - 1
            seen.append(tag)
        return seen


def sighting(uid: bytes, technology: HfTechnology, memory: Memory) -> TagSeen:
    """Say what was read of a tag that stays; what may be of two tags is left out."""
    return TagSeen(
        key=key_of(uid),
        technology=technology,
        uid=None if is_random(uid) else uid,
        banks=memory.banks if memory.same else {},
        complete=memory.complete and memory.same,
        stays=True,
    )


def _user_memory(link: Type2Link, container: bytes) -> bytes:
    known = container[0] == _NDEF_MAGIC
    return _read_user(link, container[2] * 8 if known else UNKNOWN_USER_BYTES)


def _read_user(link: Type2Link, length: int, start: bytes = b"") -> bytes:
    found = bytearray(start)
    while len(found) < length:
        page = 4 + len(found) // PAGE_BYTES
        if page >= PAGES_MAX:
            raise Unanswered(f"page {page}")
        found += link.read_pages(page)
    return bytes(found[:length])


def _is_ntag(uid: bytes, container: bytes) -> bool:
    return uid[0] == _NXP and container[0] == _NDEF_MAGIC and container[2] in _NTAG_SIZES


def _read_extras(link: Type2Link, banks: dict[str, bytes]) -> None:
    """Read what only the chip's own commands give; few readers let them through."""
    try:
        version = link.command(b"\x60")
        if len(version) == 8:
            banks["version"] = version
            length = _USER_BYTES.get(version[6], 0)
            banks["user"] = _read_user(link, max(length, len(banks["user"])), banks["user"])
        signature = link.command(b"\x3c\x00")
        if len(signature) == 32:
            banks["signature"] = signature
    except Unanswered:
        pass  # whether the tag is still there, the last read tells


def _read_files(transmit: Transmit, banks: dict[str, bytes]) -> None:
    """Read container and message (NFC Forum Type 4 Tag 2.0)."""
    container = _read_file(transmit, _CONTAINER_FILE, 0, 15)
    if container[7] != 4 or container[8] < 6:
        raise Unanswered("no NDEF file control TLV")
    banks["cc"] = container
    at_once = min(int.from_bytes(container[3:5], "big"), _READ_BYTES_MAX)
    file, most = container[9:11], int.from_bytes(container[11:13], "big")
    length = int.from_bytes(_read_file(transmit, file, 0, 2), "big")
    if length > most - 2 or not at_once:
        raise Unanswered(f"message of {length} bytes in a file of {most}")
    message = b""
    while len(message) < length:
        part = min(at_once, length - len(message))
        message += _read_binary(transmit, 2 + len(message), part)
    if int.from_bytes(_read_binary(transmit, 0, 2), "big") != length:
        raise Unanswered("the message changed meanwhile")
    banks["ndef"] = message


def _read_file(transmit: Transmit, file: bytes, at: int, length: int) -> bytes:
    if transmit(b"\x00\xa4\x00\x0c\x02" + file)[1] != _OK:
        raise Unanswered(f"no file {file.hex()}")
    return _read_binary(transmit, at, length)


def _read_binary(transmit: Transmit, at: int, length: int) -> bytes:
    data, status = transmit(b"\x00\xb0" + at.to_bytes(2, "big") + bytes([length]))
    if status != _OK or len(data) != length:
        raise Unanswered(f"READ BINARY of {length} bytes at {at}: {len(data)}, {status:04X}")
    return data
