"""Filling an empty repository with many events at once: for benchmarks and for moving house.

The rows are those of a capture. What it leaves out is what a capture must look up for each event:
duplicates, conflicts and error declarations. The unique key still refuses an event that is there
twice. Nothing is durable before `finish`, and no other process may use the database meanwhile.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table

from cloud.model.database import Database
from cloud.model.trace_tables import trace_event, trace_facet, trace_sight, trace_use
from cloud.trace.event_rows import EventRows, Rows, Sight, said_by
from cloud.trace.insert import head_of
from cloud.trace.numbers import Memory, Numbers
from cloud.trace.parties import named_in
from cloud.trace.prepare import prepare
from protocols.epcis.event import Event
from protocols.epcis.standard import Standard

REMEMBERED_MAX = 30_000_000
_TABLES = (trace_event, trace_use, trace_facet, trace_sight)


class BulkLoader:
    """Loads events; their indexes are made at the end."""

    def __init__(self, database: Database, standard: Standard, *, organisation: str) -> None:
        """Start with an empty repository.

        Raises:
            ValueError: it is not empty.

        """
        self._database, self._standard = database, standard
        self._organisation, self._memory = organisation, Memory(REMEMBERED_MAX)
        self._head = database.read_now(head_of)[0]
        if self._head:
            raise ValueError("expected an empty repository")
        self._quickly(safe=False)
        database.write_now(_drop_indexes)

    def load(self, events: Sequence[Event], *, recorded_at_us: int) -> None:
        """Add events in order, some thousands at a time; none may be an error declaration.

        Raises:
            ValueError: one is.

        """
        if any(event.declaration is not None for event in events):
            raise ValueError("expected no error declarations")
        ready = prepare(events, self._standard)

        def work(connection: Connection) -> Numbers:
            numbers = Numbers(self._memory, connection)
            ours = ("organisation", self._organisation)
            numbers.learn_words([ours])
            rows = EventRows(numbers, numbers.words[ours], first=self._head + 1)
            for table, values in rows.of(ready, recorded_at_us, None):
                _put(connection, table, values)
            sights = {
                Sight(event_no, numbers.words[ours], one.event.event_time_us)
                for event_no, one in enumerate(ready, self._head + 1)
            }
            sights |= named_in(connection, numbers, ready, self._head + 1)
            _put(connection, trace_sight, sorted(sights))
            numbers.learn_said(said_by(ready, self._head + 1, sights, numbers))
            return numbers

        self._database.write_now(work).committed()
        self._head += len(events)

    def finish(self) -> None:
        """Make the indexes, and all durable.

        Raises:
            sqlalchemy.exc.IntegrityError: an event was loaded twice.

        """
        self._database.write_now(_make_indexes)
        self._quickly(safe=True)
        self._database.write_now(lambda connection: connection.exec_driver_sql("ANALYZE"))

    def _quickly(self, *, safe: bool) -> None:
        if not self._database.shared:
            level = "FULL" if safe else "OFF"
            with self._database.engine.connect() as connection:
                raw: Any = connection.connection.driver_connection
                connection.rollback()
                raw.execute(f"PRAGMA synchronous={level}")
                if safe:
                    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _put(connection: Connection, table: Table, rows: Rows) -> None:
    names = [column.name for column in table.c]
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(names))
        connection.exec_driver_sql(f"INSERT INTO {table.name} VALUES ({marks})", rows)  # noqa: S608
        return
    raw: Any = connection.connection.driver_connection
    with (
        raw.cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)


def _drop_indexes(connection: Connection) -> None:
    for table in _TABLES:
        for index in table.indexes:
            index.drop(connection)


def _make_indexes(connection: Connection) -> None:
    for table in _TABLES:
        for index in table.indexes:
            index.create(connection)
