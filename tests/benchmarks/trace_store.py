"""How fast events are captured and found again, and what they cost on disk.

python -m tests.benchmarks.trace_store --events 10000000 --folder FOLDER
"""

import argparse
import asyncio
import random
import resource
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cloud.model.principal import EVERYTHING, Scope
from cloud.trace.bulk import BulkLoader
from cloud.trace.capture import CaptureLimits, SqlCaptures
from cloud.trace.query.parse import read_query
from cloud.trace.readers import Readers
from cloud.trace.store import SqlTraceStore
from protocols.catalog.files import data_root
from protocols.clock import SystemClock
from protocols.epcis.event import Event
from protocols.epcis.read import read_document
from protocols.epcis.standard import Standard, load_standard
from protocols.epcis.tolerances import STANDARD
from tests.support.state_database import open_state

ID = "https://id.gs1.org/"
CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
START_US = 1_767_571_200_000_000
DOCUMENT, LOADED = 500, 5000
QUERIES = 500
LIMITS = CaptureLimits(waiting_max=1_000_000)


class Maker:
    """Events with three objects each, of which about one in three is new."""

    def __init__(self, seed: int) -> None:
        self._random, self.items = random.Random(seed), 0

    def item(self) -> str:
        """Return an object: a new one, or one that was there."""
        if self._random.random() < 1 / 3 or self.items == 0:
            self.items += 1
            return f"{ID}01/06901234567892/21/{self.items}"
        return f"{ID}01/06901234567892/21/{self._random.randint(1, self.items)}"

    def body(self, number: int) -> dict[str, Any]:
        """Return one event."""
        dice, second = self._random, number // 10
        day, clock = divmod(second, 86_400)
        at = f"2026-01-{day % 28 + 1:02}T{clock // 3600:02}:{clock // 60 % 60:02}:{clock % 60:02}"
        return {
            "type": "ObjectEvent",
            "eventTime": f"{at}.{number % 10}00+08:00",
            "eventTimeZoneOffset": "+08:00",
            "eventID": f"urn:uuid:{uuid.UUID(int=dice.getrandbits(128), version=4)}",
            "action": "OBSERVE",
            "bizStep": dice.choice(("shipping", "receiving", "packing")),
            "disposition": "in_progress",
            "epcList": list({self.item() for _ in range(3)}),
            "readPoint": {"id": f"{ID}414/6901234000016/254/{dice.randrange(2000)}"},
        }

    def document(self, first: int, count: int) -> bytes:
        """Return a document of events."""
        return msgspec.json.encode(
            {
                "@context": [CONTEXT],
                "type": "EPCISDocument",
                "schemaVersion": "2.0",
                "creationDate": "2026-01-05T08:00:00.000+08:00",
                "epcisBody": {"eventList": [self.body(first + n) for n in range(count)]},
            }
        )


def main() -> None:
    """Measure and print."""
    asyncio.run(_measure(_arguments()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--captured", type=int, default=30_000)
    parser.add_argument("--folder", type=Path, required=True, help="for the database")
    return parser.parse_args()


async def _measure(asked: argparse.Namespace) -> None:
    standard, maker = load_standard(data_root() / "epcis"), Maker(1)
    file = asked.folder / "trace.db"
    database = open_state(f"sqlite:///{file}")
    loader, began = BulkLoader(database, standard, organisation="a"), time.perf_counter()
    for at, part in enumerate(_read(maker, standard, asked.events)):
        loader.load(part, recorded_at_us=START_US + at)
    loader.finish()
    _say("bulk load", asked.events / (time.perf_counter() - began), "events/s")
    _say("on disk", file.stat().st_size / asked.events, "bytes/event")
    store = SqlTraceStore(database, standard=standard)
    await _capture(store, database, standard, maker, asked)
    await _queries(store, standard, maker.items)
    _say("memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB at most")
    database.close()


def _read(maker: Maker, standard: Standard, events: int) -> Iterator[list[Event]]:
    for first in range(0, events, LOADED):
        count = min(LOADED, events - first)
        found = read_document(maker.document(first, count), standard, now_us=2 * START_US)
        yield [one.event for one in found.events if one.event is not None]


async def _capture(
    store: SqlTraceStore,
    database: Any,
    standard: Standard,
    maker: Maker,
    asked: argparse.Namespace,
) -> None:
    """Capture documents as jobs: read, checked, hashed and durable."""
    readers = Readers(standard, bytes_max=LIMITS.bytes_max, tolerances_of=lambda _: STANDARD)
    captures = SqlCaptures(
        database, store, readers=readers.by_media(), clock=SystemClock(), limits=LIMITS
    )
    firsts = range(asked.events, asked.events + asked.captured, DOCUMENT)
    documents = [maker.document(first, DOCUMENT) for first in firsts]
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
    count = len(documents) * DOCUMENT
    assert (await store.head())[0] == asked.events + count
    _say("capture", count / (time.perf_counter() - began), "events/s")
    _say("capture", (time.process_time() - used) / count * 1e6, "us of a processor per event")


async def _queries(store: SqlTraceStore, standard: Standard, items: int) -> None:
    dice, firm = random.Random(2), Scope(organisations=frozenset(("b",)))

    def item() -> str:
        return f"{ID}01/06901234567892/21/{dice.randint(1, items)}"

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
        took = []
        for _ in range(QUERIES):
            query = read_query(make(), standard)
            began = time.perf_counter()
            await store.find(query, scope=scope, limit=30)
            took.append((time.perf_counter() - began) * 1000)
        took.sort()
        _say(f"query {name}: p50", took[len(took) // 2], "ms")
        _say(f"query {name}: p99", took[len(took) * 99 // 100], "ms")


def _say(what: str, value: float, unit: str) -> None:
    print(f"{what:48} {value:12,.1f} {unit}", flush=True)


if __name__ == "__main__":
    main()
