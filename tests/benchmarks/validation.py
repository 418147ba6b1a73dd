"""How fast EPCIS documents are read: `python -m tests.benchmarks.validation [--runs 5]`.

Documents of 1,000 events, as bytes in memory, are decoded, checked by all rules and made into
events. Each event has ids of its own, so that caches of identifiers help no more than in the field.
Rows without the hash are validation alone: there the hash is a fixed text. Two processes read
documents of their own at once. The goal: 50,000 minimal events a second on 2 cores.

With SUYUAN_TEST_DATA set, a public document with every field, and the generated one of 932 events,
are read too. On a machine that is busy with other things the CPU column alone tells something.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec

from protocols.catalog.files import data_root
from protocols.epcis import event_hash, read_events
from protocols.epcis.read import read_document
from protocols.epcis.standard import load_standard
from tests.benchmarks.rig import markdown, where_and_when

EVENTS = 1000
"""Of one document."""
GOAL_S, PROCESSES = 50_000, 2
NOW_US = 1_900_000_000_000_000
FULL = "gs1/WithFullCombinationOfFields/object_event_all_possible_fields.jsonld"
GENERATED = "load/generated-932-events.json"
HEAD = ("document", "bytes per event", "processes", "hash", "events/s", "CPU us per event")


def main() -> int:
    """Measure all rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run")
    options = parser.parse_args()
    print(f"{where_and_when()}; medians of {options.runs} runs of {options.seconds:g} s")
    rows, minimal_s = [], 0.0
    for name, events in _loads():
        size = len(msgspec.json.encode(events[0]))
        for processes in (1, PROCESSES):
            for hashed in (False, True):
                rate, cpu_us = _median(name, processes, hashed, options.runs, options.seconds)
                hash_ = "yes" if hashed else "no"
                rows.append(
                    (name, str(size), str(processes), hash_, f"{rate:,.0f}", f"{cpu_us:.1f}")
                )
                if name == "minimal" and processes == PROCESSES and not hashed:
                    minimal_s = rate
    print(markdown(HEAD, rows))
    return 0 if minimal_s >= GOAL_S else 1


def _median(
    name: str, processes: int, hashed: bool, runs: int, seconds: float
) -> tuple[float, float]:
    """Return the medians of events a second, and of the processors' time of one event."""
    rates, costs = [], []
    with ProcessPoolExecutor(processes) as pool:
        for _ in range(runs):
            each = [
                pool.submit(_read_for, name, seconds, hashed=hashed, seed=index)
                for index in range(processes)
            ]
            found = [one.result() for one in each]
            rates.append(sum(rate for rate, _ in found))
            costs.append(statistics.mean(cpu_us for _, cpu_us in found))
    return statistics.median(rates), statistics.median(costs)


def _read_for(name: str, seconds: float, *, hashed: bool, seed: int) -> tuple[float, float]:
    """Read documents for a while; return events a second of reading, and CPU us per event."""
    standard = load_standard(data_root() / "epcis")
    events = dict(_loads())[name]
    hash_ = event_hash.event_hash if hashed else lambda *_: "ni:///sha-256;0?ver=CBV2.0"
    taken_s, cpu_s, read, at = 0.0, 0.0, 0, seed * 1_000_000_000
    with mock.patch.object(read_events, "event_hash", hash_):
        while taken_s < seconds:
            data = _document(events, at)
            at += EVENTS
            start, cpu_start = time.perf_counter(), time.process_time()
            document = read_document(data, standard, now_us=NOW_US)
            taken_s += time.perf_counter() - start
            cpu_s += time.process_time() - cpu_start
            if any(one.event is None for one in document.events):
                raise RuntimeError(f"{name}: refused {document.events[0].faults}")
            read += len(document.events)
    return read / taken_s, cpu_s / read * 1e6


def _document(events: list[Any], first: int) -> bytes:
    """Write a document of EVENTS events, each with ids of its own."""
    listed = [_of_its_own(events[index % len(events)], first + index) for index in range(EVENTS)]
    contexts = [
        "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
        {f"ext{index}": f"https://example.org/{index}/" for index in (1, 2, 3)},
    ]
    return msgspec.json.encode(
        {
            "@context": contexts,
            "type": "EPCISDocument",
            "schemaVersion": "2.0",
            "creationDate": "2026-01-31T09:00:00Z",
            "epcisBody": {"eventList": listed},
        }
    )


def _of_its_own(event: Mapping[str, Any], number: int) -> dict[str, Any]:
    own = {**event, "eventID": f"https://example.org/events/{number}"}
    for name in ("epcList", "childEPCs", "inputEPCList", "outputEPCList"):
        if name in own:
            own[name] = [
                f"{one[: max(one.rfind('/'), one.rfind('.')) + 1]}{number}{index:02}"
                for index, one in enumerate(own[name])
            ]
    return own


def _loads() -> Iterator[tuple[str, list[Any]]]:
    """Yield names and events of the documents to read."""
    yield (
        "minimal",
        [
            {
                "type": "ObjectEvent",
                "eventTime": "2026-01-31T08:00:00.000+08:00",
                "eventTimeZoneOffset": "+08:00",
                "action": "OBSERVE",
                "bizStep": "shipping",
                "disposition": "in_transit",
                "readPoint": {"id": "urn:epc:id:sgln:0012345.11111.400"},
                "epcList": ["urn:epc:id:sgtin:0614141.107346."],
            }
        ],
    )
    folder = os.environ.get("SUYUAN_TEST_DATA")
    if folder:
        for name, path in (("every field", FULL), ("generated", GENERATED)):
            text = (Path(folder) / "epcis" / path).read_bytes()
            yield name, msgspec.json.decode(text)["epcisBody"]["eventList"]


if __name__ == "__main__":
    sys.exit(main())
