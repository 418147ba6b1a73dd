"""Room beside the spool that nobody else can take: given up when the disk is full."""

import os
from contextlib import suppress
from pathlib import Path

FILE = "spool.reserve"
_LEAST_SHARE = 1 / 8


class Reserve:
    """A file of allocated and unused blocks."""

    def __init__(self, file: Path, size: int) -> None:
        self._file, self.bytes = file, size

    def hold(self, *, part: bool = False) -> bool:
        """Set the room aside; False when the disk has less. `part`: a half or so will do."""
        with suppress(OSError):
            if self._file.stat().st_blocks * 512 >= self.bytes:
                return True
        size = self.bytes
        while not (held := self._allocate(size)) and part and size >= self.bytes * _LEAST_SHARE:
            size //= 2
        return held

    def release(self) -> bool:
        """Give the room back to the disk; False when there was none."""
        try:
            self._file.unlink()
        except OSError:
            return False
        return True

    def _allocate(self, size: int) -> bool:
        try:
            with self._file.open("wb") as out:
                os.posix_fallocate(out.fileno(), 0, size)
        except OSError:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
            return False
        return True
