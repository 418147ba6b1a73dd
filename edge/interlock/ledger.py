"""Where records become durable, and who knows the time."""

from collections.abc import Callable
from typing import Protocol

from protocols.readings import ClockState
from protocols.records import Record
from protocols.topics import Stream


class Ledger(Protocol):
    """The daemon, as a filling place sees it."""

    def record(self, stream: Stream, at_boot_ms: int, make: Callable[[int], Record]) -> None:
        """Record something; `make` gets its `at`."""
        ...

    async def commit(self, stream: Stream, at_boot_ms: int, make: Callable[[int], Record]) -> bool:
        """Record something and wait until it is on the disk; False: the disk does not take it."""
        ...

    async def flush(self) -> bool:
        """Wait until what was recorded is on the disk; False: the disk does not take it."""
        ...

    def time(self) -> tuple[ClockState, int]:
        """Return whether anybody knows the time, and now: ms since 1970, or since boot."""
        ...
