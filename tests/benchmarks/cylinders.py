"""Judging gas cylinders: `python -m tests.benchmarks.cylinders [--cylinders 1000000]`.

Verdicts are timed one by one, with the garbage collector as it is in the daemon, on random ones
near the borders of their terms. The due list of a night goes over a registry in SQLite page
by page, with the writing of what comes upon the lists; most of that fleet is in order.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, func, insert, select

from cloud.cylinders.watch.terms import group_cylinder, parts, read_page, write_page
from cloud.model.cylinder_tables import cylinder
from cloud.model.database import Database
from cloud.model.watch_tables import cylinder_case
from protocols.catalog.files import data_root
from protocols.cylinders.book import RuleBook
from protocols.cylinders.due_list import DueList
from protocols.cylinders.load import load_rules
from protocols.cylinders.verdict import fill_verdict
from protocols.cylinders.watch import load_watch
from tests.benchmarks.rig import markdown, percentile, where_and_when
from tests.protocols.cylinders.random_cylinders import GASES, STANDARDS, random_case
from tests.support.state_database import open_state

DISTINCT = 20_000
VERDICTS = 200_000
VERDICT_P99_MS_MAX, DUE_LIST_S_MAX = 20.0, 10.0
ON = date(2026, 3, 31)
EMPTY: dict[str, object] = {
    **{column.name: None for column in cylinder.columns if column.nullable},
    "state": "in_use",
    "blocks": 0,
    "maker": "吉林钢瓶厂",
    "maker_licence": "TS2210123",
    "use_registration": "瓶10吉B00001",
    "vehicle": "",
    "in_vehicle": False,
    "valve": "null",
    "documents": "[]",
    "life_extended": False,
    "purged": True,
    "tare_kg": 16.5,
    "water_capacity_l": 35.5,
    "allowable_fill_kg": 14.9,
    "scrapped_how": "",
    "scrapped_by": "",
    "registered_at": 0,
    "updated_at": 0,
}


def main() -> int:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cylinders", type=int, default=1_000_000)
    cylinders = parser.parse_args().cylinders
    book = load_rules(data_root() / "cylinders")
    median_ms, p99_ms, most_ms = _verdicts(book)
    with tempfile.TemporaryDirectory() as folder:
        nights = _nights(book, cylinders, Path(folder))
    print(where_and_when())
    rows = [
        (f"verdict, median of {VERDICTS:,}", f"{median_ms:.3f} ms", ""),
        ("verdict, p99", f"{p99_ms:.3f} ms", f"{VERDICT_P99_MS_MAX:g} ms"),
        ("verdict, the longest", f"{most_ms:.3f} ms", ""),
    ]
    for name, (lines, list_s, cpu_s) in zip(("first", "next"), nights, strict=True):
        most = f"{DUE_LIST_S_MAX:g} s" if name == "next" else ""
        rows.append(
            (f"due list of {cylinders:,}, {lines:,} lines, {name} night", f"{list_s:.1f} s", most)
        )
        rows.append(("its CPU time", f"{cpu_s:.1f} s", ""))
    print(markdown(("what", "found", "at most"), rows))
    return 0 if p99_ms < VERDICT_P99_MS_MAX and nights[1][1] < DUE_LIST_S_MAX else 1


def _verdicts(book: RuleBook) -> tuple[float, float, float]:
    rng = random.Random(1)
    cases = [random_case(rng) for _ in range(DISTINCT)]
    taken_ms = []
    for number in range(VERDICTS):
        cylinder, seen = cases[number % DISTINCT]
        began = time.perf_counter_ns()
        fill_verdict(cylinder, seen, book)
        taken_ms.append((time.perf_counter_ns() - began) / 1e6)
    return percentile(taken_ms, 0.5), percentile(taken_ms, 0.99), max(taken_ms)


def _nights(book: RuleBook, cylinders: int, folder: Path) -> list[tuple[int, float, float]]:
    """Return lines on the lists, seconds, and seconds of CPU, of the first night and the next."""
    database = open_state(f"sqlite:///{folder / 'state.sqlite'}")
    fleet, found = _stored(cylinders), []
    while part := list(islice(fleet, 20_000)):
        database.write_now(partial(Connection.execute, statement=insert(cylinder), parameters=part))
    watch = load_watch()
    count = select(func.count()).select_from(cylinder_case)
    for _ in range(2):
        began, cpu_s = time.perf_counter(), time.process_time()
        _look(database, DueList(group_cylinder, book, ON), watch.due.days)
        taken = time.perf_counter() - began, time.process_time() - cpu_s
        found.append((database.read_now(lambda c: c.execute(count).scalar_one()), *taken))
    database.close()
    return found


def _look(database: Database, listed: DueList, stages: tuple[int, ...]) -> None:
    after = -1
    page = database.read_now(lambda c: read_page(c, listed, 0, ON, stages))
    while page.position > after:
        for part in parts(page):
            database.write_now(partial(write_page, page=part, now_ms=0))
        after = page.position
        page = database.read_now(
            partial(read_page, listed=listed, after=after, on=ON, stages=stages)
        )


def _stored(cylinders: int) -> Iterator[dict[str, object]]:
    """Make a fleet as a city has it: household bottles mostly, inspected in time but for some."""
    rng = random.Random(2)
    kinds = [(kind, gas) for kind, gases in GASES.items() for gas in gases.split()]
    for number in range(cylinders):
        household = rng.random() < 0.8
        kind, gas = ("lpg_household", "lpg") if household else rng.choice(kinds)
        made = ON - timedelta(days=rng.randrange(7 * 365 if household else 1_000))
        latest = ON - timedelta(days=rng.randrange(4 * 365 if household else 900))
        yield {
            **EMPTY,
            "asset_id": f"cylinder:{number * 7919 % cylinders:017}",
            "change": number + 1,
            "filler": f"gas-{number % 40}",
            "kind": kind,
            "gas": gas,
            "components": '["argon","carbon_dioxide"]' if gas == "mixture" else "[]",
            "standard": rng.choice(STANDARDS) if not household else "GB/T 5842-2022",
            "serial_number": f"{number:08}",
            "manufactured_on": f"{made:%Y-%m}",
            "inspected_on": f"{latest}" if latest > made else None,
        }


if __name__ == "__main__":
    sys.exit(main())
