"""A serial line without hardware: two pseudo-terminals whose bytes are carried to each other."""

import asyncio
import contextlib
import os
import pty
import tty
from pathlib import Path
from types import TracebackType
from typing import Self

CHUNK_BYTES = 4096


class SerialLine:
    """A cable with a plug at each end; open it inside a running event loop.

    `server_end` and `client_end` are device paths such as /dev/pts/7. Bytes that the reader at
    one end does not fetch are lost once the kernel's buffer is full, as on a real line.
    """

    def __init__(self, link: Path | None = None) -> None:
        """Make the line; `link` becomes a symbolic link to the client's end."""
        self._masters, self._slaves = [0, 0], [0, 0]
        for end in (0, 1):
            self._masters[end], self._slaves[end] = pty.openpty()
            tty.setraw(self._slaves[end])
            os.set_blocking(self._masters[end], False)
        self.server_end, self.client_end = map(os.ttyname, self._slaves)
        self.bytes_lost = 0
        self._link = link
        if link is not None:
            link.symlink_to(self.client_end)

    def __enter__(self) -> Self:
        """Start carrying bytes."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._masters[0], self._carry, 0, 1)
        loop.add_reader(self._masters[1], self._carry, 1, 0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and close both ends."""
        loop = asyncio.get_running_loop()
        for master, slave in zip(self._masters, self._slaves, strict=True):
            loop.remove_reader(master)
            os.close(master)
            os.close(slave)
        if self._link is not None:
            self._link.unlink(missing_ok=True)

    def _carry(self, source: int, sink: int) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._masters[source], CHUNK_BYTES)
            try:
                written = os.write(self._masters[sink], data)
            except BlockingIOError:
                written = 0
            self.bytes_lost += len(data) - written
