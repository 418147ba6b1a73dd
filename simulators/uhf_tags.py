"""UHF tags in front of a simulated reader: they come, they go, some of them badly readable."""

import threading
from dataclasses import dataclass

from protocols.epc import AssetKey, encode_epc, grai


@dataclass(frozen=True)
class UhfTag:
    """One EPC Gen2 tag."""

    epc: bytes
    tid: bytes = b""
    """Empty: the tag lets nobody read it."""
    user: bytes = b""
    """Empty: the tag has no user memory."""
    rssi_dbm: int = -55
    readable: bool = True
    """False: it is seen, but never near enough for its memory to be read."""

    @property
    def pc(self) -> bytes:
        """The protocol control word, which tells the length of the EPC."""
        return (len(self.epc) // 2 << 11).to_bytes(2, "big")

    def bank(self, number: int) -> bytes:
        """Return a memory bank by its Gen2 number."""
        return {2: self.tid, 3: self.user}.get(number, b"")


class TagField:
    """The tags that a reader sees now; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tags: dict[bytes, UhfTag] = {}

    def put(self, *tags: UhfTag) -> None:
        """Let tags come, or change what they hold."""
        with self._lock:
            self._tags |= {tag.epc: tag for tag in tags}

    def take(self, *tags: UhfTag) -> None:
        """Let tags go."""
        with self._lock:
            for tag in tags:
                self._tags.pop(tag.epc, None)

    def seen(self) -> list[UhfTag]:
        """Return the tags that are there."""
        with self._lock:
            return list(self._tags.values())

    def find(self, epc: bytes) -> UhfTag | None:
        """Return the tag with this EPC if it is there and its memory can be read."""
        with self._lock:
            tag = self._tags.get(epc)
        return tag if tag is not None and tag.readable else None


def cylinder_tag(serial: int, *, user: bytes = b"") -> UhfTag:
    """Make the tag of a returnable cylinder: GRAI-96 of one asset type, TID of its own."""
    key = AssetKey(scheme="grai", value=grai("0614141", "12345", str(serial)), prefix="0614141")
    tid = b"\xe2\x80\x11\x60\x20\x00" + serial.to_bytes(6, "big")
    return UhfTag(encode_epc(key), tid=tid, user=user)
