"""How fast events are captured, found again and traced, and what they cost on disk.

python -m tests.benchmarks.trace_store --batches 2000000 --folder FOLDER     10 million events

A folder that was filled before is measured again without filling it.
"""

import argparse
import asyncio
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cloud.model.database import Database
from cloud.model.principal import EVERYTHING, Scope
from cloud.trace.bulk import BulkLoader
from cloud.trace.capture import CaptureLimits, SqlCaptures
from cloud.trace.query.parse import read_query
from cloud.trace.readers import Readers
from cloud.trace.store import SqlTraceStore
from protocols.catalog.files import data_root
from protocols.clock import SystemClock
from protocols.epcis.read import read_document
from protocols.epcis.standard import Standard, load_standard
from protocols.epcis.tolerances import STANDARD
from tests.benchmarks.lineage_data import EVENTS, HOUR_US, ITEMS, START_US, City, city
from tests.benchmarks.trace_city import ID, Writer, item_id
from tests.benchmarks.trace_lineage import Took, measure_traces
from tests.support.state_database import open_state

DOCUMENT, LOADED = 100, 1_000
"""Batches at a time: captured, loaded."""
QUERIES = 500
LIMITS = CaptureLimits(waiting_max=1_000_000)


def main() -> None:
    """Measure and print."""
    asked = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(_measure(asked, asked.folder or Path(temporary)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=40_000, help="of five events each")
    parser.add_argument("--captured", type=int, default=6_000, help="batches after those")
    parser.add_argument("--folder", type=Path, help="for the database; else a temporary one")
    return parser.parse_args()


async def _measure(asked: argparse.Namespace, folder: Path) -> None:
    standard = load_standard(data_root() / "epcis")
    made = city(asked.batches, big=asked.batches // 200_000, seed=1)
    file = folder / "trace.db"
    database = open_state(f"sqlite:///{file}")
    store = SqlTraceStore(database, standard=standard)
    loaded = len(made.time_us) * EVENTS
    if not (await store.head())[0]:
        _load(database, standard, made)
        _say("on disk", file.stat().st_size / loaded, "bytes/event")
    head = (await store.head())[0]
    if head < loaded:
        raise SystemExit(f"expected {loaded} events in {file}, found {head}: delete it")
    await _capture(store, database, standard, head, asked.captured)
    await _queries(store, standard, len(made.time_us) * ITEMS)
    await measure_traces(database, folder / "lineage", made)
    _say("memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB at most")
    database.close()


def _load(database: Database, standard: Standard, made: City) -> None:
    """Fill the repository, telling how far it is."""
    loader, began = BulkLoader(database, standard, organisation="a"), time.perf_counter()
    writer, batches = Writer(made, seed=1), len(made.time_us)
    for first in range(0, batches, LOADED):
        document = writer.document(first, min(batches, first + LOADED))
        found = read_document(document, standard, now_us=2 * START_US)
        events = [one.event for one in found.events if one.event is not None]
        loader.load(events, recorded_at_us=START_US + first)
        if first % (100 * LOADED) == 0:
            took = time.perf_counter() - began
            print(f"{first * EVENTS:,} events after {took:.0f} s", file=sys.stderr, flush=True)
    loader.finish()
    _say("bulk load", batches * EVENTS / (time.perf_counter() - began), "events/s")


async def _capture(
    store: SqlTraceStore,
    database: Database,
    standard: Standard,
    head: int,
    batches: int,
) -> None:
    """Capture documents of lately as jobs: read, checked, hashed and durable."""
    readers = Readers(standard, bytes_max=LIMITS.bytes_max, tolerances_of=lambda _: STANDARD)
    captures = SqlCaptures(
        database, store, readers=readers.by_media(), clock=SystemClock(), limits=LIMITS
    )
    made = _lately(city(batches, big=0, seed=head), SystemClock().wall_ms() * 1000)
    writer = Writer(made, seed=head, first_item=head * ITEMS)
    firsts = range(0, len(made.time_us) - DOCUMENT + 1, DOCUMENT)
    documents = [writer.document(first, first + DOCUMENT) for first in firsts]
    began, used = time.perf_counter(), time.process_time()
    for document in documents:
        await captures.take(
            document,
            media_type="application/json",
            behaviour="rollback",
            by="benchmark",
            organisation="b",
        )
    await captures.run_waiting()
    count = len(documents) * DOCUMENT * EVENTS
    assert (await store.head())[0] == head + count
    _say("capture", count / (time.perf_counter() - began), "events/s")
    _say("capture", (time.process_time() - used) / count * 1e6, "us of a processor per event")


def _lately(made: City, now_us: int) -> City:
    """Return a city whose batches were made lately: none later than 12 hours ago."""
    first, last = int(made.time_us[0]), int(made.time_us[-1])
    begun_us = now_us - 48 * HOUR_US
    times = begun_us + (made.time_us - first) / max(1, last - first) * 36 * HOUR_US
    return made._replace(time_us=times.astype(made.time_us.dtype))


async def _queries(store: SqlTraceStore, standard: Standard, items: int) -> None:
    dice, firm = random.Random(2), Scope(organisations=frozenset(("b",)))

    def item() -> str:
        return item_id(dice.randrange(items))

    place = f"{ID}414/6901234000016/254/7"
    asked: dict[str, tuple[Callable[[], Mapping[str, Any]], Scope]] = {
        "by EPC": (lambda: {"MATCH_epc": [item()]}, EVERYTHING),
        "by EPC, newest first": (
            lambda: {"MATCH_anyEPC": [item()], "orderBy": "eventTime"},
            EVERYTHING,
        ),
        "by EPC, as a firm": (lambda: {"MATCH_epc": [item()]}, firm),
        "by place and step": (
            lambda: {"EQ_readPoint": [place], "EQ_bizStep": ["packing"]},
            EVERYTHING,
        ),
        "newest of a firm": (lambda: {"orderBy": "eventTime"}, firm),
        "of a disposition that none has": (lambda: {"EQ_disposition": ["recalled"]}, EVERYTHING),
    }
    for name, (make, scope) in asked.items():
        took = Took()
        for _ in range(QUERIES):
            query = read_query(make(), standard)
            with took:
                await store.find(query, scope=scope, limit=30)
        took.tell(f"query {name}")


def _say(what: str, value: float, unit: str) -> None:
    print(f"{what:48} {value:12,.1f} {unit}", flush=True)


if __name__ == "__main__":
    main()
