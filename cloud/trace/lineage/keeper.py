"""Keeps the fast index: what is new is read at each trace, what is old lies in files."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
from msgspec import Struct
from sqlalchemy import Connection, func, select

from cloud.model.database import Database
from cloud.model.trace_tables import trace_event
from cloud.trace.lineage.base import Index
from cloud.trace.lineage.columns import joined
from cloud.trace.lineage.files import DamagedFile, open_segment, write_segment
from cloud.trace.lineage.layers import Layers
from cloud.trace.lineage.segment import Segment, build, content
from cloud.trace.lineage.sql import SqlIndex, read_stretch


class Sizes(Struct, frozen=True, kw_only=True):
    """From how many events on what is done."""

    small: int = 20_000
    """Up to so many the tables themselves are asked, and nothing is kept beside them."""
    fresh: int = 20_000
    """More that are new than these are not read by a trace: it asks the tables themselves."""
    file: int = 50_000
    """So many new ones become a file."""
    read: int = 500_000
    """Read at once when files are made anew."""
    merged: int = 4_000_000
    """No file of more is made of smaller ones: making it takes about 150 bytes per use."""
    layers: int = 8
    """Segments in memory; then they become one."""


_log = logging.getLogger(__name__)


class Keeper:
    """The index of one repository, in a folder of its own that may be deleted at any time.

    `index` may be called by several threads; `keep` by one, again and again.
    """

    def __init__(self, database: Database, folder: Path, sizes: Sizes | None = None) -> None:
        self._database, self._folder, self._sizes = database, folder, sizes or Sizes()
        self._lock = Lock()
        self._files: tuple[Segment, ...] = ()
        self._fresh: tuple[Segment, ...] = ()
        self._layers = Layers([])

    def open(self) -> None:
        """Take what is in the folder and fits the repository; delete all else there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        found: dict[int, tuple[Segment, Path]] = {}
        for path in sorted(self._folder.iterdir()):
            segment = self._database.read_now(partial(_fitting, path=path))
            if segment is not None:
                best = found.get(segment.first)
                if best is None or best[0].end < segment.end:
                    found[segment.first] = (segment, path)
        chain, end = [], 1
        while end in found:
            chain.append(found[end])
            end = found[end][0].end
        self._tidy({path for _, path in chain})
        with self._lock:
            self._set(tuple(segment for segment, _ in chain), ())

    def index(self, connection: Connection) -> Index:
        """Return an index of all that the connection's transaction sees committed."""
        head = _head(connection)
        if head <= self._sizes.small:
            return SqlIndex(connection)
        with self._lock:
            end = self._end()
            if end - 1 > head:  # the repository was put back
                self._set((), ())
                return SqlIndex(connection)
            if head - end >= self._sizes.fresh:
                return SqlIndex(connection)
            if head >= end:
                self._add(_read(connection, end, head + 1))
            return self._layers

    def keep(self) -> bool:
        """Bring what is in memory, or not read yet, into files; tell whether there is more."""
        head = self._database.read_now(_head)
        start = self._files[-1].end if self._files else 1
        end = min(head + 1, start + self._sizes.read)
        if head <= self._sizes.small or end - start < self._sizes.file:
            return False
        segment = self._database.read_now(lambda c: _read(c, start, end))
        files = list(self._files)
        while files and self._belong_together(files[-1], segment):
            segment = merged([files.pop(), segment])
        key = self._database.read_now(lambda c: _key(c, end - 1))
        path = self._folder / f"{segment.first}-{segment.end}.segment"
        write_segment(path, segment, key)
        mapped, _ = open_segment(path)
        with self._lock:
            self._set((*files, mapped), tuple(s for s in self._fresh if s.first >= end))
        self._tidy({self._folder / f"{s.first}-{s.end}.segment" for s in self._files})
        return True

    def _belong_together(self, older: Segment, newer: Segment) -> bool:
        counts = older.end - older.first, newer.end - newer.first
        return counts[0] < 4 * counts[1] and sum(counts) <= self._sizes.merged

    def _end(self) -> int:
        layers = self._layers.segments
        return layers[-1].end if layers else 1

    def _add(self, segment: Segment) -> None:
        fresh = (*self._fresh, segment)
        if len(fresh) > self._sizes.layers:
            fresh = (merged(fresh),)
        self._set(self._files, fresh)

    def _set(self, files: tuple[Segment, ...], fresh: tuple[Segment, ...]) -> None:
        """Take what is new as it fits behind the files; what does not is read again."""
        end = files[-1].end if files else 1
        if fresh and fresh[0].first != end:
            fresh = ()
        self._files, self._fresh = files, fresh
        self._layers = Layers((*files, *fresh))

    def _tidy(self, kept: set[Path]) -> None:
        for path in self._folder.iterdir():
            if path not in kept and path.suffix in (".segment", ".new"):
                path.unlink(missing_ok=True)


def merged(segments: Sequence[Segment]) -> Segment:
    """Return adjacent segments as one."""
    first, end = segments[0].first, segments[-1].end
    voided = np.unique(np.concatenate([segment.voided for segment in segments]))
    parts = [content(segment, voided) for segment in segments]
    events, uses = joined([one for one, _ in parts]), joined([other for _, other in parts])
    return build(first, end, events, uses, voided[voided < first])


def _read(connection: Connection, first: int, end: int) -> Segment:
    events, uses, voided = read_stretch(connection, first, end)
    return build(first, end, events, uses, voided)


def _fitting(connection: Connection, path: Path) -> Segment | None:
    if path.suffix != ".segment":
        return None
    try:
        segment, key = open_segment(path)
    except DamagedFile as error:
        _log.warning("lineage index: %s; it is made anew", error)
        return None
    return segment if _key(connection, segment.end - 1) == key else None


def _key(connection: Connection, event_no: int) -> bytes:
    query = select(trace_event.c.event_key).where(trace_event.c.event_no == event_no)
    return connection.scalar(query) or b""


def _head(connection: Connection) -> int:
    return connection.scalar(select(func.max(trace_event.c.event_no))) or 0
