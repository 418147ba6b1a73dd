"""The account of log positions over all day files: what is applied where, and where to resume.

A flush writes each day in a transaction of its own. Every file holds the position applied to it,
so a group that comes again is skipped by the days that have it. Only the last transaction of a
flush moves `through`, the position up to which all days are done; the highest one found counts.

A file can lose its end without any error (a log tail that its engine drops). So a file's applied
positions are noted in another file as soon as one is written after it: a file that holds less
than was noted of it has lost something, and the log is read again from there.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cloud.model.logged import LogGroup, Positions


@dataclass
class Marks:
    """What one day file says of positions."""

    applied: Positions = field(default_factory=dict)
    through: Positions = field(default_factory=dict)
    noted: dict[int, Positions] = field(default_factory=dict)
    """Of other days; of its own: up to where it has rows that were saved from a damaged file."""


class Ledger:
    """All positions in memory; thread-safe. It writes nothing itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._applied: dict[int, Positions] = {}
        self._through: Positions = {}
        self._resume: Positions = {}
        self._rebuilding: dict[int, Positions] = {}
        self._unnoted: set[int] = set()
        self._went_back = False

    def load(self, files: dict[int, Marks], *, rebuilding: Iterable[int], day_min: int) -> set[int]:
        """Take over what the files say; returns the days that are found to have lost something.

        `rebuilding`: days whose rebuild was under way. Days before `day_min` are gone on purpose.
        """
        noted: dict[int, Positions] = {}
        for marks in files.values():
            _raise_to(self._through, marks.through)
            for day, positions in marks.noted.items():
                _raise_to(noted.setdefault(day, {}), positions)
        self._applied = {day: dict(marks.applied) for day, marks in files.items()}
        self._resume = dict(self._through)
        lost = {
            day
            for day, positions in noted.items()
            if day >= day_min and not covers(self._applied.get(day, {}), positions)
        }
        for day in {*lost, *rebuilding}:
            self._go_back(day, noted.get(day, {}))
        self._unnoted = {
            day
            for day, positions in self._applied.items()
            if not covers(noted.get(day, {}), positions)
        }
        self._went_back = False
        return lost

    def takes(self, day: int, partition: str, position: int) -> bool:
        """Tell whether that day's file still lacks that group."""
        return position > self._applied.get(day, {}).get(partition, 0)

    def is_new(self, partition: str, position: int) -> bool:
        """Tell whether that group was never passed before."""
        return position > self._through.get(partition, 0)

    def positions(self) -> Positions:
        """Return from where to resume."""
        with self._lock:
            self._went_back = False
            return dict(self._resume)

    @property
    def went_back(self) -> bool:
        """True: positions went back since they were last asked for."""
        return self._went_back

    @property
    def through(self) -> Positions:
        """Return the positions up to which everything was done once."""
        with self._lock:
            return dict(self._through)

    def applied(self, day: int) -> Positions:
        """Return the positions applied to a day's file."""
        with self._lock:
            return dict(self._applied.get(day, {}))

    def to_note(self, day: int) -> dict[int, Positions]:
        """Return what a transaction on `day` must note of other days."""
        with self._lock:
            return {other: self._applied[other] for other in self._unnoted if other != day}

    def committed(self, day: int, positions: Positions, noted: Iterable[int] = ()) -> None:
        """A transaction on `day` is durable."""
        with self._lock:
            _raise_to(self._applied.setdefault(day, {}), positions)
            self._unnoted.difference_update(noted)
            self._unnoted.add(day)

    def found(self, day: int, positions: Positions) -> None:
        """A file holds this; after an error on commit it may be more than was known."""
        with self._lock:
            _raise_to(self._applied.setdefault(day, {}), positions)

    def passed(self, groups: Sequence[LogGroup]) -> list[int]:
        """All days have these groups; returns the days whose rebuild is complete by that."""
        with self._lock:
            reached: Positions = {}
            for group in groups:
                reached[group.partition] = group.position
            _raise_to(self._resume, reached)
            _raise_to(self._through, reached)
            return [day for day, target in self._rebuilding.items() if covers(self._resume, target)]

    def reaches(self, groups: Sequence[LogGroup]) -> Positions:
        """Return what `through` will be after these groups."""
        with self._lock:
            through = dict(self._through)
        _raise_to(through, {group.partition: group.position for group in groups})
        return through

    def went_down(self, day: int, marks: Marks) -> None:
        """A day's file lost something and holds now only what its marks say."""
        with self._lock:
            self._applied[day] = dict(marks.applied)
            self._go_back(day, marks.noted.get(day, {}))

    def target(self, day: int) -> Positions:
        """Return what a rebuild of that day has to reach; empty when none is under way."""
        with self._lock:
            return dict(self._rebuilding.get(day, {}))

    def rebuilding(self, day: int) -> bool:
        """Tell whether that day's rebuild is under way."""
        return day in self._rebuilding

    def rebuilt(self, day: int) -> None:
        """The rebuild of a day is complete and written down."""
        with self._lock:
            self._rebuilding.pop(day, None)

    def dropped(self, day: int) -> None:
        """A day's file is gone on purpose."""
        with self._lock:
            self._applied.pop(day, None)
            self._rebuilding.pop(day, None)
            self._unnoted.discard(day)

    def rewound(self, partition: str, head: int) -> None:
        """The log was put back: positions of `partition` after `head` count for nothing."""
        with self._lock:
            everywhere = [*self._applied.values(), *self._rebuilding.values()]
            for positions in (self._through, self._resume, *everywhere):
                if partition in positions:
                    positions[partition] = min(positions[partition], head)

    def _go_back(self, day: int, has_rows_to: Positions) -> None:
        applied = self._applied.setdefault(day, {})
        target = self._rebuilding[day] = dict(self._through)
        _raise_to(target, has_rows_to)
        for partition, position in self._through.items():
            lower = min(position, applied.get(partition, 0))
            self._resume[partition] = min(self._resume.get(partition, 0), lower)
        self._went_back = True


def _raise_to(positions: Positions, other: Positions) -> None:
    for partition, position in other.items():
        positions[partition] = max(positions.get(partition, 0), position)


def covers(positions: Positions, other: Positions) -> bool:
    """Tell whether `positions` reaches `other` in every partition."""
    return all(positions.get(partition, 0) >= position for partition, position in other.items())
