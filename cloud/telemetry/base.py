"""What a telemetry store is, whatever engine holds it."""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from cloud.model.logged import LoggedBatch, LogGroup, Positions
from protocols.errors import RefuseInput
from protocols.readings import Value

Aggregate = Literal["mean", "min", "max", "last", "count"]


class Series(msgspec.Struct, frozen=True):
    """Values of several points, oldest first; `next` is set when the answer was cut."""

    points: dict[str, list[tuple[int, Value]]]
    """(observed_at, value); a point without values is left out."""
    next: int | None = None
    """Ask again with `from` = this, ms since 1970."""


class Refused(msgspec.Struct, frozen=True):
    """A record of which a store did not take everything; the caller keeps it as a dead letter."""

    group: LogGroup
    batch: LoggedBatch
    index: int
    """Of the record among the good ones of its batch."""
    reason: str


class RefuseRecord(RefuseInput):
    """A store cannot digest one record, and says which; nothing of its group was stored."""

    def __init__(self, batch: LoggedBatch, index: int, detail: str) -> None:
        super().__init__("bad_record", detail)
        self.batch = batch
        self.index = index
        """Among the good records; -1: the whole batch."""


class TelemetryStore(Protocol):
    """Readings by asset and point. All calls block and may come from several threads.

    A reading is (asset, point, observed_at): of two with the same one a store may keep one alone.
    """

    def append(self, groups: Sequence[LogGroup]) -> Sequence[Refused]:
        """Store the readings of `groups`, each group once however often it is handed in.

        Groups of a partition come in the order of their positions, beginning at `positions()`.
        Durable on return. Returns the records that are too old to be stored.

        Raises:
            RetryLater: the engine is away, or lost something: read `positions()`, hand in again.
            RefuseInput: it will never take this; `RefuseRecord` says which record.

        """
        ...

    def positions(self) -> Positions:
        """Return the log positions from which to resume: all groups up to them are stored.

        They go back when the store finds that it lost something.
        """
        ...

    def settled(self) -> Positions:
        """Return up to where all groups survive a kill of the engine; the log may forget those.

        At most `positions()`; it asks nothing of the engine.
        """
        ...

    def rewind(self, heads: Positions) -> None:
        """Learn that the log was put back to `heads`: later positions will be used again.

        What came from groups after `heads` is set aside.
        """
        ...

    def readings(
        self, asset: str, points: Sequence[str], from_ms: int, to_ms: int, limit: int
    ) -> Series:
        """Return raw values with from_ms <= observed_at < to_ms; empty `points`: all of them.

        About `limit` values, cut between two times; at least one time is always whole.
        """
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

        Steps count from `from_ms`. `mean` is time-weighted: each value holds until the next one
        of that point, also the one before `from_ms`; true counts as 1. Values that are no
        numbers have `last` and `count` alone.
        """
        ...

    def drop_before(self, ms: int) -> None:
        """Forget whole days that ended before `ms`."""
        ...

    def close(self) -> None:
        """Finish what is under way and release the files."""
        ...
