"""What a person at the terminal reads, in Chinese and English."""

import time
from collections.abc import Callable


class Teller:
    """Prints lines with the seconds since it was made.

    Args:
        write: takes a line without its end.

    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write, self._begun_s = write, time.monotonic()

    def say(self, chinese: str, english: str) -> None:
        """Print one thing that has happened now."""
        self._write(f"{time.monotonic() - self._begun_s:7.1f} s  {chinese} | {english}")

    def plain(self, text: str = "") -> None:
        """Print a line as it is."""
        self._write(text)
