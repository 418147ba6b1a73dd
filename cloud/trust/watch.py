"""Follows a broker's log file, across its rotation and our own restarts."""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from cloud.model.database import Database
from cloud.model.refusal import Refusal
from cloud.trust.book import add_refusals, read_place, write_place
from cloud.trust.broker_log import LogReader
from protocols.clock import Clock

EACH_S = 1.0
PIECE_BYTES = 1024 * 1024
"""At most so much is read each time: a flood is read late, never at the service's cost."""
BEHIND_BYTES_MAX = 16 * 1024 * 1024
"""What is further behind is passed over."""

logger = logging.getLogger("suyuan.cloud")


class Piece(NamedTuple):
    """Whole lines, and where they end."""

    lines: list[str]
    inode: int
    offset: int


class LogWatch:
    """Counts refusals of one log file into the book."""

    def __init__(
        self,
        file: Path,
        database: Database,
        clock: Clock,
        *,
        on_found: Callable[[Sequence[Refusal]], None] = lambda _: None,
    ) -> None:
        self._file, self._database, self._clock = file, database, clock
        self._on_found, self._reader = on_found, LogReader()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                more = await asyncio.to_thread(self.step)
            except (OSError, DBAPIError) as error:  # it must not stop the service
                logger.warning("the broker's log cannot be read: %s", error)
                more = False
            await asyncio.sleep(0 if more else EACH_S)

    def step(self) -> bool:
        """Read a piece and count what it tells; True when there was one."""
        name = str(self._file)[-200:]
        place = self._database.read_now(lambda c: read_place(c, name))
        piece = _next_piece(self._file, place)
        if piece is None:
            return False
        found = self._reader.read(piece.lines, self._clock.wall_ms())

        def work(connection: Connection) -> None:
            write_place(connection, name, piece.inode, piece.offset)
            add_refusals(connection, found)

        self._database.write_now(work)
        self._on_found(found)
        return True


def _next_piece(file: Path, place: tuple[int, int] | None) -> Piece | None:
    """Read on from a place; the rest of a file that was rotated away comes first."""
    older = file.with_name(f"{file.name}.1")
    if place is not None and _inode(file) != place[0] and _inode(older) == place[0]:
        piece = _piece(older, place[1], final=True)
        if piece is not None:
            return piece
    inode = _inode(file)
    if inode is None:
        return None
    offset = place[1] if place is not None and place[0] == inode else 0
    return _piece(file, offset, final=False)


def _piece(file: Path, offset: int, *, final: bool) -> Piece | None:
    with file.open("rb") as log:
        status = os.fstat(log.fileno())
        if status.st_size < offset:  # it was emptied
            return Piece([], status.st_ino, 0)
        offset = max(offset, status.st_size - BEHIND_BYTES_MAX)
        log.seek(offset)
        data = log.read(PIECE_BYTES)
    whole = data[: data.rfind(b"\n") + 1]
    if not whole and (final or len(data) == PIECE_BYTES):  # no line ends here, or none so long
        whole = data
    if not whole:
        return None
    lines = whole.decode(errors="replace").splitlines()
    return Piece(lines, status.st_ino, offset + len(whole))


def _inode(file: Path) -> int | None:
    try:
        return file.stat().st_ino
    except OSError:
        return None
