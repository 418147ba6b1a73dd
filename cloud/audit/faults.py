"""What verification finds, gathered: runs of like faults as one, and no more than a bound."""

from collections.abc import Sequence
from typing import Literal

import msgspec

Kind = Literal["edited", "missing", "moved", "inserted", "unlinked", "cut", "head"]
FAULTS_MAX = 1_000
"""Runs that are told; further ones are counted."""


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with the entries from `first` to `last`."""

    kind: Kind
    first: int
    last: int
    expected: str
    found: str

    def __str__(self) -> str:
        where = f"entry {self.first}"
        if self.last != self.first:
            where = f"entries {self.first} to {self.last}"
        return f"{where}: {self.kind}: expected {self.expected}, found {self.found}"


class Verdict(msgspec.Struct, frozen=True):
    """What came out."""

    entries: int
    """Read."""
    faults: Sequence[Fault]
    """By number of the entry."""
    more: int
    """Runs beyond FAULTS_MAX."""


class Faults:
    """Takes faults in any order."""

    def __init__(self) -> None:
        self._open: dict[tuple[Kind, int], Fault] = {}
        self._closed: list[Fault] = []
        self._more = 0

    def add(
        self, kind: Kind, first: int, last: int, expected: str, found: str, *, like: int = 0
    ) -> None:
        """Add a fault; it goes on with the latest of its kind and `like` that ends before it."""
        before = self._open.get((kind, like))
        if before is not None and before.last + 1 == first:
            self._open[kind, like] = msgspec.structs.replace(before, last=last)
            return
        if before is not None:
            self._close(before)
        self._open[kind, like] = Fault(kind, first, last, expected, found)
        if len(self._open) > FAULTS_MAX:  # runs that were shifted by ever other distances
            self._close(self._open.pop(next(iter(self._open))))

    def all(self) -> tuple[Sequence[Fault], int]:
        """Return the faults by number of the entry, and how many more there were."""
        for one in self._open.values():
            self._close(one)
        self._open.clear()
        return sorted(self._closed, key=lambda one: (one.first, one.last)), self._more

    def _close(self, fault: Fault) -> None:
        if len(self._closed) < FAULTS_MAX:
            self._closed.append(fault)
        else:
            self._more += 1
