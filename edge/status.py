"""`suyuan-edge status`: a socket of the running daemon, or what its spool file tells."""

import asyncio
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from edge.spool.sqlite import FILE

SOCKET = "status.sock"
TIMEOUT_S = 5.0


class StatusServer:
    """Answers each connection with one JSON object and closes it."""

    def __init__(self, folder: Path, status: Callable[[], dict[str, Any]]) -> None:
        self._folder, self._status = folder, status
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on `status.sock`; one left by a killed daemon is replaced."""
        with suppress(FileNotFoundError):
            (self._folder / SOCKET).unlink()
        with _short(self._folder) as path:
            self._server = await asyncio.start_unix_server(self._answer, path)
        (self._folder / SOCKET).chmod(0o660)

    async def stop(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        with suppress(FileNotFoundError):
            (self._folder / SOCKET).unlink()

    async def _answer(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(msgspec.json.encode(self._status()) + b"\n")
            await writer.drain()
            writer.close()
            await writer.wait_closed()


def read_status(folder: Path) -> dict[str, Any] | None:
    """Ask the daemon; when none runs read its spool file; None when there is neither."""
    return _ask(folder) or _from_spool(folder / FILE)


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Name the socket by a path that fits into a socket address, however deep the folder."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{number}/{SOCKET}"
    finally:
        os.close(number)


def _ask(folder: Path) -> dict[str, Any] | None:
    try:
        with _short(folder) as path, socket.socket(socket.AF_UNIX) as link:
            link.settimeout(TIMEOUT_S)
            link.connect(path)
            text = b"".join(iter(lambda: link.recv(65_536), b""))
        return msgspec.json.decode(text, type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return None


def _from_spool(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            batches, size = connection.execute(
                "SELECT count(*), coalesce(sum(length(body)), 0) FROM batch"
            ).fetchone()
            (lost,) = connection.execute("SELECT count(*) FROM lost").fetchone()
            lines = connection.execute(
                "SELECT spool, stream, last_seq FROM spool_history ORDER BY id DESC LIMIT 16"
            ).fetchall()
    except sqlite3.Error as error:
        return {"running": False, "spool": {"error": str(error)}}
    return {
        "running": False,
        "spool": {
            "batches": batches,
            "bytes": size,
            "losses_not_settled": lost,
            "lines": [
                {"spool": spool, "stream": stream, "last_seq": last_seq}
                for spool, stream, last_seq in lines
            ],
        },
    }
