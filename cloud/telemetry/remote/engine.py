"""What a store asks of an engine that runs as a server of its own."""

from collections.abc import Mapping
from typing import Protocol

from cloud.telemetry.day_files.queries import Entry, Window
from cloud.telemetry.remote.book import Mark
from cloud.telemetry.remote.lines import Dialect
from protocols.readings import Value

Limits = Mapping[str, int]
"""Tag `log` -> the last position whose rows count."""


class Engine(Protocol):
    """One place in one engine. Every call may raise RetryLater: it is away."""

    dialect: Dialect
    settle_ms: int
    """What was written is kept for good after so long, whatever happens; 0: on return."""

    def write(self, body: bytes) -> None:
        """Write lines; RefuseInput: it will never take them."""
        ...

    def run(self) -> str:
        """Return a word that changes when the engine may hold less than it took."""
        ...

    def marks(self) -> list[Mark]:
        """Return what the marks say: the highest of each, of `kept_to` the lowest."""
        ...

    def mark_at(self, now_ms: int) -> int:
        """Return the time that a mark is written at."""
        ...

    def page(self, window: Window, size: int, limits: Limits) -> tuple[list[Entry], int | None]:
        """Return about `size` values from the window's beginning, in order; each time is whole.

        Also returns from where to ask on; None: that is all.
        """
        ...

    def last_before(self, window: Window, limits: Limits) -> dict[str, Value]:
        """Return the last value of each point within the window."""
        ...

    def forget_before(self, ms: int) -> None:
        """Give back the room of all before `ms`, if it can."""
        ...

    def settle(self) -> None:
        """Make all that was written be kept for good now."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...
