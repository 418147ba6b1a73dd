"""What a telemetry store is, whatever engine holds it."""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from cloud.model.logged import LogGroup, Positions
from protocols.readings import Value

Aggregate = Literal["mean", "min", "max", "last", "count"]


class Series(msgspec.Struct, frozen=True):
    """Values of several points, oldest first; `next` is set when the answer was cut."""

    points: dict[str, list[tuple[int, Value]]]
    next: int | None = None
    """Ask again with `from` = this, ms since 1970."""


class TelemetryStore(Protocol):
    """Readings by asset and point. All calls block and may come from several threads."""

    def append(self, groups: Sequence[LogGroup]) -> None:
        """Store the readings of `groups`, each group once however often it is handed in.

        Durable on return. Raises RetryLater when the engine is away: hand the same groups in again.
        """
        ...

    def positions(self) -> Positions:
        """Return the log positions from which to resume: all groups up to them are stored."""
        ...

    def readings(
        self, asset: str, points: Sequence[str], from_ms: int, to_ms: int, limit: int
    ) -> Series:
        """Return raw values with from_ms <= observed_at < to_ms; empty `points`: all of them."""
        ...

    def aggregate(
        self,
        asset: str,
        points: Sequence[str],
        from_ms: int,
        to_ms: int,
        step_ms: int,
        how: Aggregate,
    ) -> Series:
        """Return one value per step, at the step's start; steps without values are left out.

        `mean` is time-weighted: each value holds until the next one of that point.
        """
        ...

    def drop_before(self, ms: int) -> None:
        """Forget whole days that ended before `ms`."""
        ...

    def close(self) -> None:
        """Finish what is under way and release the files."""
        ...
