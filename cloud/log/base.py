"""What a log is, whatever holds it."""

from collections.abc import Sequence
from typing import Protocol

from cloud.model.logged import LogGroup, Positions


class LogReader(Protocol):
    """The consumers' side of the log."""

    def read(self, partition: str, after: int, limit: int) -> Sequence[LogGroup]:
        """Return up to `limit` groups with position > `after`, in order; blocking."""
        ...

    def at_hand(self, partition: str, after: int, limit: int) -> Sequence[LogGroup] | None:
        """Return what `read` would when it is in memory, without blocking; else None."""
        ...

    def heads(self) -> Positions:
        """Return the newest position of each partition."""
        ...
