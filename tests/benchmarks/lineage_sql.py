"""The same traces from the tables, and from a recursive query on PostgreSQL."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, insert, text

from cloud.model.database import Database
from cloud.model.tables import state_metadata
from cloud.model.trace_tables import trace_event, trace_use, trace_word
from cloud.trace.lineage.base import (
    AGGREGATION,
    OTHER,
    TRANSFORMATION,
    Bounds,
    Column,
    Direction,
    Index,
    Uses,
)
from cloud.trace.lineage.segment import EventRows
from cloud.trace.lineage.sql import SqlIndex
from cloud.trace.lineage.trace import trace
from tests.benchmarks.lineage_data import EVENTS, City, columns
from tests.support.postgres import BIN, MISSING, Postgres

WIDE = Bounds(items=1_000_000)
_AT_ONCE = 4_000
_WORDS = {OTHER: "ObjectEvent", TRANSFORMATION: "TransformationEvent"}
_FORWARD = text(
    """
    WITH RECURSIVE reached(item_no, time_us) AS (
        SELECT CAST(:start AS bigint), CAST(-1 AS bigint)
        UNION
        SELECT out_.item_no, e.event_time_us
        FROM reached r
        JOIN trace_use in_ ON in_.item_no = r.item_no AND in_.role = 3
        JOIN trace_event e ON e.event_no = in_.event_no AND e.event_time_us >= r.time_us
            AND e.declared_at_us IS NULL AND e.voided_by IS NULL
        JOIN trace_use out_ ON out_.event_no = e.event_no AND out_.role = 4
    ), things AS (SELECT item_no, min(time_us) AS time_us FROM reached GROUP BY item_no)
    SELECT item_no FROM things
    UNION
    SELECT parent.item_no
    FROM things t
    JOIN trace_use child ON child.item_no = t.item_no AND child.role = 2
    JOIN trace_event e ON e.event_no = child.event_no AND e.action = 0
    JOIN trace_use parent ON parent.event_no = e.event_no AND parent.role = 1
    WHERE NOT EXISTS (
        SELECT 1 FROM trace_use taken
        JOIN trace_event d ON d.event_no = taken.event_no AND d.action = 2
        JOIN trace_use from_ ON from_.event_no = d.event_no AND from_.role = 1
            AND from_.item_no = parent.item_no
        WHERE taken.item_no = t.item_no AND taken.role = 2
            AND d.event_time_us > e.event_time_us AND d.event_time_us <= t.time_us
    )
    """
)
"""What is made of an item, and what carried that: without nesting, re-packing, contents, lots,
transformation ids and reasons, which the data have not."""


def beside(
    made: City,
    starts: Sequence[tuple[int, Direction]],
    index: Index,
    folder: Path,
    *,
    sqlite: bool,
) -> None:
    """Load databases, trace in each, and tell figures; all answers must be equal."""
    forward = [start for start, direction in starts if direction == "forward"]
    expected = {start: _items(index, start) for start in forward}
    if sqlite:
        _measure(f"sqlite:///{folder / 'state.db'}", "SQLite", made, expected)
    if BIN is None:
        print(MISSING)
        return
    server = Postgres(folder / "postgres")
    server.start()
    try:
        _measure(server.new_database(), "PostgreSQL", made, expected)
    finally:
        server.stop()


def _items(index: Index, start: int) -> frozenset[int]:
    return frozenset(node.item_no for node in trace(index, [start], "forward", bounds=WIDE).nodes)


def _measure(url: str, name: str, made: City, expected: dict[int, frozenset[int]]) -> None:
    database = Database(url, name="bench")
    try:
        state_metadata.create_all(database.engine, tables=[trace_event, trace_use, trace_word])
        begun = time.monotonic()
        database.write_now(lambda connection: _fill(connection, made))
        if name == "PostgreSQL":
            with database.engine.connect().execution_options(
                isolation_level="AUTOCOMMIT"
            ) as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")
        print(f"{name}: loaded in {time.monotonic() - begun:.0f} s")
        if name == "PostgreSQL":
            database.read_now(
                lambda c: _compare(f"{name}, recursive query", expected, lambda s: _asked(c, s))
            )
        database.read_now(
            lambda c: _compare(f"{name}, walked", expected, lambda one: _items(SqlIndex(c), one))
        )
    finally:
        database.close()


def _asked(connection: Connection, start: int) -> frozenset[int]:
    return frozenset(connection.scalars(_FORWARD, {"start": start}))


def _compare(
    name: str, expected: dict[int, frozenset[int]], ask: Callable[[int], frozenset[int]]
) -> None:
    small, large = list[float](), list[float]()
    for start, items in expected.items():
        begun = time.perf_counter()
        found = ask(start)
        took = (time.perf_counter() - begun) * 1000
        if found != items:
            raise SystemExit(f"{name}: {len(found)} items from {start}, expected {len(items)}")
        (small if len(items) < 1_000 else large).append(took)
    p50, p99 = np.quantile(small, (0.5, 0.99))
    print(f"{name}: {len(small)} traces of under 1,000 items: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    print(f"{name}: large ones: {', '.join(f'{one / 1000:.1f} s' for one in large)}")


def _fill(connection: Connection, made: City) -> None:
    words = {**_WORDS, AGGREGATION: "AggregationEvent"}
    rows = [{"word_no": kind, "kind": "type", "word": word} for kind, word in words.items()]
    connection.execute(insert(trace_word), rows)
    for first in range(0, len(made.time_us), _AT_ONCE):
        events, uses = columns(made, first, min(len(made.time_us), first + _AT_ONCE))
        _copy(connection, "trace_event", _event_rows(events))
        _copy(connection, "trace_use", _use_rows(uses))


def _event_rows(events: EventRows) -> Iterator[tuple[object, ...]]:
    kind = events.kind.astype(np.int64)
    packs = kind >= AGGREGATION
    action = [int(one & 3) if pack else None for one, pack in zip(kind, packs, strict=True)]
    type_ = np.where(packs, AGGREGATION, kind)
    for number, time_us, word, act in zip(
        *_lists(events.event, events.time_us, type_), action, strict=True
    ):
        key = int(number).to_bytes(16, "big")
        yield (
            *(number, key, time_us, time_us, number, None, key * 2, word, act),
            *(None, None, None, None, 0, None, None, None, None, 0, b""),
        )


def _use_rows(uses: Uses) -> Iterator[tuple[object, ...]]:
    place = np.arange(len(uses.item))
    for item, event, at, role in zip(*_lists(uses.item, uses.event, place, uses.role), strict=True):
        yield (item, event, at % (3 * EVENTS * 1000), role, False, None, None)


def _lists(*some: Column) -> Iterator[list[int]]:
    return (one.tolist() for one in some)


def _copy(connection: Connection, table: str, rows: Iterator[tuple[object, ...]]) -> None:
    ready = list(rows)
    driver = connection.connection.driver_connection
    assert driver is not None
    if connection.dialect.name == "postgresql":
        with driver.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for row in ready:
                copy.write_row(row)
    else:
        marks = ", ".join("?" * len(ready[0]))
        driver.executemany(f"INSERT INTO {table} VALUES ({marks})", ready)
