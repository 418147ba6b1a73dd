"""Whether SQLite would leave out commits of its write-ahead log, which it does without a word.

It reads the log up to the first frame that is not as it was written, and takes that for the end: so
it is after a power cut, but not when the card turned over a bit in the middle. Format: "WAL-mode
File Format" of the SQLite documentation.
"""

import struct
from itertools import pairwise
from pathlib import Path

HEADER, FRAME_HEADER = 32, 24
HEAD_BYTES, APPLICATION_ID = 100, slice(68, 72)
"""Of a file's first page."""
RUNS_MAX = 1_000_000
"""Each run of the log has a first salt that is one higher than the last one's."""
_LITTLE_ENDIAN_MAGIC, _BIG_ENDIAN_MAGIC = 0x377F0682, 0x377F0683


def leaves_out_commits(wal: Path, page_bytes: int) -> bool:
    """Tell whether a frame with the end of a commit lies behind one that is damaged.

    Raises:
        OSError: the log cannot be read.

    """
    log = wal.read_bytes() if wal.exists() else b""
    size = FRAME_HEADER + page_bytes
    starts = range(HEADER, len(log) - size + 1, size)
    if not starts:
        return False
    sums = _sums(log, 0, 24, (0, 0)) if _known(log, page_bytes) else None
    if sums is None or struct.pack(">II", *sums) != log[24:32]:
        return any(log[at + 8 : at + 16] == salts(log, page_bytes) for at in starts[1:])
    good = True
    for at in starts:
        mine = log[at + 8 : at + 16] == log[16:24]
        if good and mine:
            sums = _sums(log, at, at + 8, sums)
            sums = _sums(log, at + FRAME_HEADER, at + size, sums)
            good = struct.pack(">II", *sums) == log[at + 16 : at + 24]
        else:
            good = False
        if mine and not good and log[at + 4 : at + 8] != b"\0\0\0\0":
            return True
    return False


def is_of_another(wal: Path, file: Path, page_bytes: int) -> bool:
    """Tell whether a log belongs to another file: SQLite would write it over this one.

    Raises:
        OSError: one of them cannot be read.

    """
    log = wal.read_bytes() if wal.exists() else b""
    head = b""
    if file.is_file():
        with file.open("rb") as source:
            head = source.read(HEAD_BYTES)
    if len(head) < HEAD_BYTES or len(log) < HEADER:
        return False
    if int.from_bytes(log[8:12], "big") != page_bytes:
        return _known_magic(log)
    size = FRAME_HEADER + page_bytes
    firsts = [
        log[at + FRAME_HEADER : at + FRAME_HEADER + HEAD_BYTES]
        for at in range(HEADER, len(log) - size + 1, size)
        if log[at : at + 4] == b"\0\0\0\1" and log[at + 8 : at + 16] == log[16:24]
    ]
    return bool(firsts) and all(one[APPLICATION_ID] != head[APPLICATION_ID] for one in firsts)


class Log:
    """The log beside a file, as it was before SQLite opened it, told by its salts alone."""

    def __init__(self, wal: Path, page_bytes: int) -> None:
        """Read it.

        Raises:
            OSError: it cannot be read.

        """
        log = wal.read_bytes() if wal.exists() else b""
        self.bytes, self._newest = len(log), log[16:20]
        starts = range(HEADER, len(log) - 15, FRAME_HEADER + page_bytes)
        self._frames = [log[at + 8 : at + 12] for at in starts]

    def goes_on_after(self, frames: int) -> bool:
        """Tell whether something was written behind the frames that SQLite believes.

        It may be a commit that a power cut broke off, or commits that the card has lost. Frames of
        earlier runs are neither: their first salt is a little lower.
        """
        if not self.bytes:
            return False
        return not frames or not all(map(self._of_earlier_run, self._frames[frames:]))

    def _of_earlier_run(self, salt: bytes) -> bool:
        back = int.from_bytes(self._newest, "big") - int.from_bytes(salt, "big")
        return 1 <= back % 2**32 <= RUNS_MAX


def salts(log: bytes, page_bytes: int) -> bytes:
    """Return what the frames of the newest run of the log carry, even if the header is damaged.

    The newest run is at the beginning; frames of older ones may follow.
    """
    told, size = log[16:24], FRAME_HEADER + page_bytes
    found = [log[at + 8 : at + 16] for at in range(HEADER, len(log) - size + 1, size)]
    if told in found[:2]:
        return told
    return next((one for one, next_one in pairwise(found) if one == next_one), told)


def _known(log: bytes, page_bytes: int) -> bool:
    return _known_magic(log) and int.from_bytes(log[8:12], "big") == page_bytes


def _known_magic(log: bytes) -> bool:
    return int.from_bytes(log[:4], "big") in {_LITTLE_ENDIAN_MAGIC, _BIG_ENDIAN_MAGIC}


def _sums(log: bytes, start: int, end: int, before: tuple[int, int]) -> tuple[int, int]:
    order = ">" if log[3] & 1 else "<"
    first, second = before
    words = struct.unpack_from(f"{order}{(end - start) // 4}I", log, start)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
