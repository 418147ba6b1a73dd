"""A real disk of a few MiB that can be filled, taken away and made read-only; needs root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BALLAST = "ballast"


class SmallDisk:
    """A tmpfs mounted on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Take all room that is left, as a log that nobody rotates does."""
        with (self.folder / BALLAST).open("ab") as out:
            for size in (65_536, 4096, 1):
                try:
                    while True:
                        os.write(out.fileno(), b"x" * size)
                except OSError:
                    continue

    def empty(self) -> None:
        """Give the room back."""
        (self.folder / BALLAST).unlink(missing_ok=True)

    def writable(self, *, yes: bool) -> None:
        """Mount it again, read-only or not; files that are open stay writable on a tmpfs."""
        _run("mount", "-o", f"remount,{'rw' if yes else 'ro'}", str(self.folder))


@contextmanager
def small_disk(folder: Path, size_kib: int) -> Iterator[SmallDisk]:
    """Mount a disk for the length of a block; skips the test where that is not allowed."""
    folder.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "suyuan-test", str(folder))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may mount a disk")
    try:
        yield SmallDisk(folder)
    finally:
        _run("umount", "--lazy", str(folder))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
