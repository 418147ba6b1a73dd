"""Checks a write-ahead log better than its engine does.

DuckDB joins the checksums of 8-byte words by exclusive or: where the same word stands an even
number of times (the lengths of equal names, say) zeroed bytes pass unseen and values change
silently. So after each commit the CRC-32 of what the log grew by is noted in a file beside it. It
is not synced: what it does not cover is left to the engine, what it covers must agree.
"""

import os
import zlib
from contextlib import suppress
from pathlib import Path

import msgspec

_encoder = msgspec.json.Encoder()
_chunks = msgspec.json.Decoder(tuple[int, int, int])
"""(offset, length, CRC-32), one a line."""
NOTES = ".crc"


class LogGuard:
    """Follows the write-ahead log of one attached day file.

    It never fails: without notes (a full disk) the engine's own check is what is left.
    """

    def __init__(self, main: Path) -> None:
        self._log = main.with_name(main.name + ".wal")
        self._notes = _notes_of(main)
        self._inode, self._end = 0, 0

    def begin(self) -> None:
        """Note the whole log as it is."""
        self._inode, self._end = 0, 0
        with suppress(OSError):
            self._notes.unlink(missing_ok=True)
        self.follow()

    def follow(self) -> None:
        """Note what the log grew by; one that is shorter or another file is a new one."""
        with suppress(OSError):
            self._follow()

    def _follow(self) -> None:
        try:
            file = self._log.open("rb")
        except FileNotFoundError:  # written back into the main file
            if self._end:
                self._end = 0
                self._notes.unlink(missing_ok=True)
            return
        with file:
            status = os.fstat(file.fileno())
            if status.st_ino != self._inode or status.st_size < self._end:
                self._inode, self._end = status.st_ino, 0
                self._notes.unlink(missing_ok=True)
            if status.st_size > self._end:
                file.seek(self._end)
                grown = file.read(status.st_size - self._end)
                self._note(grown)

    def _note(self, grown: bytes) -> None:
        chunk = (self._end, len(grown), zlib.crc32(grown))
        with self._notes.open("ab") as notes:
            notes.write(_encoder.encode(chunk) + b"\n")
        self._end += len(grown)


def first_damage(main: Path) -> int | None:
    """Return where the log of a closed file first differs from what was noted; None: nowhere."""
    log = main.with_name(main.name + ".wal")
    if not log.exists():
        return None
    with log.open("rb") as file:
        for offset, length, crc in _read_notes(main):
            file.seek(offset)
            part = file.read(length)
            if len(part) < length:  # a cut end is what the engine does see
                return None
            if zlib.crc32(part) != crc:
                return offset
    return None


def forget_notes(main: Path) -> None:
    """The log is not the one that was noted."""
    _notes_of(main).unlink(missing_ok=True)


def _notes_of(main: Path) -> Path:
    return main.with_name(main.stem + NOTES)


def _read_notes(main: Path) -> list[tuple[int, int, int]]:
    """Read the notes up to the first line that is none."""
    chunks: list[tuple[int, int, int]] = []
    with suppress(FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        for line in _notes_of(main).read_bytes().splitlines():
            offset, length, crc = _chunks.decode(line)
            if offset != (sum(chunks[-1][:2]) if chunks else 0) or length <= 0:
                break
            chunks.append((offset, length, crc))
    return chunks
