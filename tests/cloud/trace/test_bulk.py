"""What the bulk loader writes is what a capture writes, row by row."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from cloud.model.database import Database
from cloud.model.trace_tables import (
    trace_context,
    trace_event,
    trace_facet,
    trace_item,
    trace_said,
    trace_sight,
    trace_use,
    trace_word,
)
from cloud.trace.bulk import BulkLoader
from cloud.trace.store import SqlTraceStore
from protocols.epcis.event import Event
from protocols.epcis.standard import Standard
from tests.support.state_database import open_state
from tests.support.trace_events import event_of
from tests.support.trace_generator import Events

TABLES = (
    trace_sight,
    trace_said,
    trace_event,
    trace_use,
    trace_facet,
    trace_item,
    trace_word,
    trace_context,
)
PART = 500


def _events(count: int) -> list[Event]:
    made = Events(11)
    bodies = [made.next() for _ in range(count)]
    return [event_of(body) for body in bodies if "errorDeclaration" not in body]


def _rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows, with items and words by what they name: their numbers may differ."""
    with database.engine.connect() as connection:
        tables = {t.name: [tuple(row) for row in connection.execute(select(t))] for t in TABLES}
    items = {row[0]: row[1] for row in tables["trace_item"]}
    words = {row[0]: row[2] for row in tables["trace_word"]}
    event = [
        tuple(words.get(v, v) if at in _WORDS else v for at, v in enumerate(row))
        for row in tables["trace_event"]
    ]
    return {
        "event": sorted(event),
        "use": sorted((items[row[0]], *row[1:]) for row in tables["trace_use"]),
        "facet": sorted(
            (*row[:2], words[row[2]], *map(str, row[3:])) for row in tables["trace_facet"]
        ),
        "item": sorted(row[1:] for row in tables["trace_item"]),
        "sight": sorted(tables["trace_sight"]),
        "said": sorted((*row[:2], words[row[2]]) for row in tables["trace_said"]),
        "word": sorted(row[1:] for row in tables["trace_word"]),
    }


_WORDS = {
    at
    for at, column in enumerate(trace_event.c)
    if column.name
    in ("type", "biz_step", "disposition", "read_point", "biz_location", "organisation")
}


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(500, id="quick"),
        pytest.param(100_000, id="whole", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
async def test_bulk_loader_writes_what_a_capture_writes(
    state: Database, standard: Standard, tmp_path: Path, count: int
) -> None:
    events = _events(count)
    other = open_state(f"sqlite:///{tmp_path / 'captured.db'}")
    store, loader = (
        SqlTraceStore(other, standard=standard),
        BulkLoader(state, standard, organisation="a"),
    )
    for start in range(0, len(events), PART):
        part = events[start : start + PART]
        await store.capture(part, organisation="a", recorded_at_us=start)
        loader.load(part, recorded_at_us=start)
    loader.finish()
    loaded, captured = _rows(state), _rows(other)
    for name, rows in captured.items():
        assert loaded[name] == rows, name
    other.close()


def test_event_loaded_twice_is_refused_at_the_end(state: Database, standard: Standard) -> None:
    loader = BulkLoader(state, standard, organisation="a")
    for _ in range(2):
        loader.load(_events(3), recorded_at_us=1)
    with pytest.raises(IntegrityError):
        loader.finish()
