"""Heads as witnesses: what the audit held at some moment, it must hold for ever."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from cloud.audit.faults import Faults
from cloud.audit.heads import KeptHead, read_heads
from cloud.model.audit import Head, head_of
from protocols.clock import iso
from protocols.errors import StopService

IN_DATABASE = "the head in the database"


class Witness(msgspec.Struct, frozen=True):
    """A line of a file of heads."""

    source: str
    """File and line."""
    head: KeptHead | None
    """None: the line is none."""


def read_witnesses(files: Sequence[Path]) -> list[Witness]:
    """Read files of heads.

    Raises:
        StopService: one cannot be read.

    """
    try:
        return [
            Witness(f"{file.name} line {number}", head)
            for file in files
            for number, head in read_heads(file)
        ]
    except OSError as error:
        raise StopService(f"{error.filename}: {error.strerror}") from error


class Witnesses:
    """All heads, by the number of the entry that they name."""

    def __init__(
        self, key: bytes, head: Head | None, kept: Sequence[Witness], faults: Faults
    ) -> None:
        self._faults, self.newest = faults, 0
        self._named: dict[int, dict[str, str]] = {}  # seq -> hash -> source
        self._unmet: list[tuple[int, str, str, str]] = []  # seq, expected, source, found
        self._head = (
            head if head is not None and head_of(key, head.seq, head.hash) == head else None
        )
        if self._head is not None:
            self._name(self._head.seq, self._head.hash, IN_DATABASE)
        else:
            found = "none" if head is None else f"one of entry {head.seq} that is not ours"
            self._faults.add("head", 0, 0, IN_DATABASE, found, like=-1)
        for one in kept:
            if one.head is not None and one.head.is_genuine(key):
                told = f"{one.source}, {iso(one.head.recorded_at)}"
                self._name(one.head.seq, one.head.hash, told)
            else:
                self._faults.add("head", 0, 0, f"{one.source} as we wrote it", "another text")

    def meet(self, seq: int, hash_: str) -> None:
        """Compare an entry, whose seal is good, with what heads say of it."""
        for expected, source in self._named.get(seq, {}).items():
            if expected != hash_:
                self._unmet.append((seq, expected, source, hash_))

    def end(self, last: int, last_sealed: int) -> None:
        """Judge heads by the last entry, and the last with a good seal."""
        if self.newest > last:
            source = next(iter(self._named[self.newest].values()))
            expected = f"entries through {self.newest} ({source})"
            self._faults.add("cut", last + 1, self.newest, expected, f"the last is {last}")
        head = self._head
        if head is not None and head.seq < last_sealed:
            text = (f"{IN_DATABASE} at entry {last_sealed}", f"at entry {head.seq}")
            self._faults.add("head", head.seq + 1, last_sealed, *text, like=-2)
        if self._unmet:
            (first, expected, source, found), end = self._unmet[0], self._unmet[-1][0]
            text = (f"hash {expected} ({source})", f"hash {found}: another history")
            self._faults.add("head", first, end, *text, like=-3)

    def _name(self, seq: int, hash_: str, source: str) -> None:
        if seq > 0:
            self._named.setdefault(seq, {}).setdefault(hash_, source)
            self.newest = max(self.newest, seq)
