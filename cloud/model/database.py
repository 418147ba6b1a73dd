"""One database, one writer thread; short reads beside it.

Each store (log, state) is a `Database`. Writes run one after the other on a thread of their own,
so the event loop never waits for a disk, and every write is one transaction.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import Engine

T = TypeVar("T")


class Database:
    """A SQLite file or a PostgreSQL database, reached by SQLAlchemy URL."""

    def __init__(self, url: str, *, name: str) -> None:
        self.engine = open_engine(url)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-write")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix=f"{name}-read")

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction; on return it is durable, on an error nothing was done."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self.write_now, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a snapshot; it must not write."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, work)

    def write_now(self, work: Callable[[Connection], T]) -> T:
        """As `write`, in the calling thread; at start-up and in tests."""
        with self.engine.begin() as connection:
            return work(connection)

    def read_now(self, work: Callable[[Connection], T]) -> T:
        """As `read`, in the calling thread."""
        with self.engine.connect() as connection:
            return work(connection)

    def close(self) -> None:
        """Wait for the writes under way and close."""
        self._writer.shutdown()
        self._readers.shutdown()
        self.engine.dispose()


def open_engine(url: str) -> Engine:
    """Open an engine; SQLite gets write-ahead log, FULL sync and immediate transactions."""
    engine = create_engine(url, connect_args=_connect_args(url), pool_pre_ping=False)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin)
    return engine


def _connect_args(url: str) -> dict[str, Any]:
    return {"check_same_thread": False, "timeout": 30} if url.startswith("sqlite") else {}


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are opened below, not guessed by the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
