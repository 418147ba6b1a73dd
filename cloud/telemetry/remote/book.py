"""Which groups of the log an engine holds, and which of its rows still count.

Positions of a log are used again after it was put back from a copy. So each partition has
generations: rows carry the one that they were written in (tag `log`), a rewind begins the next
one, and notes up to which position rows of the earlier ones count. Nothing is deleted.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from cloud.model.logged import LogGroup, Positions

ERA = 1_000
"""A log that begins anew begins the next thousand: its rewinds say nothing of rows before."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of a partition as the engine keeps it; None: not said."""

    partition: str
    generation: int
    position: int | None = None
    """All groups up to it are kept for good."""
    sent: int | None = None
    """Up to here groups may be there."""
    kept_to: int | None = None
    """Rows of later groups do not count."""
    dropped_before: int | None = None
    """Of no partition: all readings before it were dropped, ms since 1970."""


NO_PARTITION = "-"


@dataclass
class _Partition:
    generation: int = 0
    position: int = 0
    settled: int = 0
    kept_to: dict[int, int] = field(default_factory=dict)


class Book:
    """All of it in memory; thread-safe. It writes nothing itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._partitions: dict[str, _Partition] = {}
        self._sent: Positions = {}
        self._went_back = False
        self.horizon_ms = -(2**63)
        """Before it everything was dropped, ms since 1970."""

    def load(self, marks: Iterable[Mark]) -> None:
        """Take over what the engine says."""
        partitions: dict[str, _Partition] = {}
        sent: Positions = {}
        for mark in sorted(marks, key=lambda mark: mark.generation):
            if mark.dropped_before is not None:
                self.horizon_ms = max(self.horizon_ms, mark.dropped_before)
                continue
            one = partitions.setdefault(mark.partition, _Partition())
            if mark.generation > one.generation:
                one.generation, one.position = mark.generation, 0
                sent.pop(mark.partition, None)
            one.position = one.settled = max(one.position, mark.position or 0)
            reached = max(one.position, mark.sent or 0, sent.get(mark.partition, 0))
            sent[mark.partition] = reached
            if mark.kept_to is not None:
                one.kept_to[mark.generation] = mark.kept_to
        with self._lock:
            self._went_back = any(
                one.position > partitions.get(name, _Partition()).position
                for name, one in self._partitions.items()
            )
            self._partitions, self._sent = partitions, sent

    @property
    def went_back(self) -> bool:
        """True: positions went back since they were last asked for."""
        return self._went_back

    def positions(self) -> Positions:
        """Return from where to resume; that they went back is known by that."""
        self._went_back = False
        return self.sent()

    def sent(self) -> Positions:
        """Return up to where all groups were sent."""
        with self._lock:
            return {name: one.position for name, one in self._partitions.items()}

    def settled(self) -> Positions:
        """Return up to where all groups are kept for good."""
        with self._lock:
            return {name: one.settled for name, one in self._partitions.items()}

    def takes(self, group: LogGroup) -> bool:
        """Tell whether that group is still lacking."""
        one = self._partitions.get(group.partition)
        return one is None or group.position > one.position

    def log(self, partition: str) -> str:
        """Return the tag `log` of rows that are written now."""
        return log_tag(partition, self._generation(partition))

    def passed(self, groups: Sequence[LogGroup]) -> None:
        """These groups were sent."""
        with self._lock:
            for group in groups:
                one = self._partitions.setdefault(group.partition, _Partition())
                one.position = max(one.position, group.position)

    def sent_marks(self, groups: Sequence[LogGroup]) -> list[Mark]:
        """Return the marks that go before these groups are sent."""
        reached = {group.partition: group.position for group in groups}
        return [
            Mark(partition=name, generation=self._generation(name), sent=position)
            for name, position in reached.items()
        ]

    def settled_marks(self, positions: Positions) -> list[Mark]:
        """Return the marks that say that all up to `positions` is kept for good."""
        with self._lock:
            known = {name: self._partitions.get(name, _Partition()) for name in positions}
        return [
            Mark(partition=name, generation=known[name].generation, position=position)
            for name, position in positions.items()
            if position > known[name].settled
        ]

    def settle(self, positions: Positions) -> None:
        """The engine has these marks."""
        with self._lock:
            for name, position in positions.items():
                one = self._partitions.setdefault(name, _Partition())
                one.settled = max(one.settled, position)

    def rewound(self, heads: Positions) -> list[Mark]:
        """The log was put back to `heads`: return the marks that say so, to be kept at once.

        A partition that the log does not know at all starts anew; its rows stay.
        """
        marks: list[Mark] = []
        with self._lock:
            for name, one in self._partitions.items():
                head = heads.get(name, 0)
                if head >= max(one.position, self._sent.get(name, 0)):
                    continue
                keep = min(head, one.position)
                if head:
                    marks += self._limit(name, one, keep)
                    generation = one.generation + 1
                else:
                    generation = (one.generation // ERA + 1) * ERA
                one.generation, one.position, one.settled = generation, keep, keep
                self._sent[name] = keep
                marks.append(Mark(partition=name, generation=generation, position=keep))
        return marks

    def limits(self) -> dict[str, int]:
        """Return, by tag `log`, the last position whose rows count; a missing tag: all do."""
        with self._lock:
            return {
                log_tag(name, generation): position
                for name, one in self._partitions.items()
                for generation, position in one.kept_to.items()
            }

    def _limit(self, name: str, one: _Partition, keep: int) -> list[Mark]:
        first = one.generation // ERA * ERA
        for generation in range(first, one.generation + 1):
            one.kept_to[generation] = min(keep, one.kept_to.get(generation, keep))
        return [
            Mark(partition=name, generation=generation, kept_to=one.kept_to[generation])
            for generation in range(first, one.generation + 1)
        ]

    def _generation(self, partition: str) -> int:
        one = self._partitions.get(partition)
        return 0 if one is None else one.generation


def log_tag(partition: str, generation: int) -> str:
    """Name one generation of a partition."""
    return f"{partition}.{generation}"
