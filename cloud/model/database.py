"""One database, one writer thread; short reads beside it.

Each store (log, state) is a `Database`. Writes run one after the other on a thread of their own,
so the event loop never waits for a disk, and every write is one transaction.
"""

import asyncio
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, create_engine, event, func, make_url, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from cloud.model.urls import masked
from protocols.errors import RetryLater, StopService

T = TypeVar("T")
Work = Callable[[Connection], object]

_AFTER = "after_commit"
_POSTGRES: dict[str, Any] = {
    "connect_timeout": 5,
    "application_name": "suyuan",
    "keepalives_idle": 10,
    "tcp_user_timeout": 10_000,
    "options": "-c timezone=UTC -c synchronous_commit=on",
}
"""A database that fell silent is given up after 10 s, not after the system's two hours."""
_SQLITE = (
    *("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"),
    *("cache_size=-32768", "wal_autocheckpoint=8192"),
)
"""32 MiB of pages for a connection, and as much of a log before it is folded in: a document of 500
events changes 1,500 pages where there are millions, more than either holds by default."""


class Database:
    """A SQLite file or a PostgreSQL database, reached by SQLAlchemy URL."""

    def __init__(self, url: str, *, name: str) -> None:
        self.url = url
        self.engine = open_engine(url)
        self._writing = self.engine.execution_options(writes=True)
        self.shared = self.engine.dialect.name != "sqlite"
        """Whether several processes may use it."""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-write")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix=f"{name}-read")

    async def write(self, work: Callable[[Connection], T], *also: Work) -> T:
        """Run `work`, and `also` after it, in one transaction.

        On return all of it is durable, on an error nothing was done. `also` is for what must stand
        or fall with the work and is none of its business, such as its entry in the audit.

        Raises:
            RetryLater: a database server is away; of a transaction whose end nobody heard it is
                not known whether it was done.

        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer, self.write_now, work, *also)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which must not write; RetryLater as for `write`."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, work)

    def write_now(self, work: Callable[[Connection], T], *also: Work) -> T:
        """As `write`, in the calling thread; at start-up and in tests."""
        with _mapped(), self._writing.begin() as connection:
            connection.info.pop(_AFTER, None)  # of one that failed
            done = work(connection)
            for more in also:
                more(connection)
            after: list[Callable[[], object]] = connection.info.pop(_AFTER, [])
        for act in after:
            act()
        return done

    def read_now(self, work: Callable[[Connection], T]) -> T:
        """As `read`, in the calling thread."""
        with _mapped(), self.engine.connect() as connection:
            return work(connection)

    def close(self) -> None:
        """Wait for the writes under way and close."""
        self._writer.shutdown()
        self._readers.shutdown()
        self.engine.dispose()


def open_engine(url: str) -> Engine:
    """Open an engine; SQLite gets write-ahead log, FULL sync and immediate transactions.

    Raises:
        StopService: the URL is none that is known here, or its driver is not installed.

    """
    try:
        engine = _engine(make_url(url))
    except ArgumentError as error:
        expected = "sqlite:///FILE or postgresql://…"
        raise StopService(f"database {masked(url)!r}: expected {expected}") from error
    except ImportError as error:
        raise StopService("PostgreSQL needs its driver: pip install 'suyuan[postgres]'") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin)
    return engine


def _engine(url: URL) -> Engine:
    if url.drivername == "sqlite":
        arguments = {"check_same_thread": False, "timeout": 30}
        return create_engine(url, connect_args=arguments, hide_parameters=True)
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        url = url.set(drivername="postgresql+psycopg")
        return create_engine(url, connect_args=_POSTGRES, pool_pre_ping=True, hide_parameters=True)
    raise ArgumentError(url.drivername)


@contextmanager
def _mapped() -> Iterator[None]:
    """Say of a server that is away what the caller should do."""
    try:
        yield
    except DBAPIError as error:
        server = type(error.orig).__module__.startswith("psycopg")
        if server and (error.connection_invalidated or isinstance(error, OperationalError)):
            raise RetryLater(f"the database is away: {error.orig}") from error
        raise


def after_commit(connection: Connection, act: Callable[[], object]) -> None:
    """Do something as soon as a `write` is durable, in its thread; not if it fails."""
    connection.info.setdefault(_AFTER, []).append(act)


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Undo what is done inside, alone, if it fails; with it goes what was to follow the commit."""
    wished = len(connection.info.get(_AFTER, ()))
    try:
        with connection.begin_nested():
            yield
    except BaseException:
        del connection.info.get(_AFTER, [])[wished:]
        raise


def take_turn(connection: Connection, what: str) -> None:
    """Wait until no other transaction of any process is in its turn of `what`; ends with ours.

    On SQLite there is one process and one writer, so it is always our turn.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(zlib.crc32(what.encode()))))


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are opened below, not guessed by the driver
    for pragma in _SQLITE:
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """Take the one writer's lock at once: a second process waits for it, instead of failing later.

    One that reads first and writes then cannot wait any more: what it read is old by then.
    """
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
