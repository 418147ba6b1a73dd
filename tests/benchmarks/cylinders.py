"""Judging gas cylinders: `python -m tests.benchmarks.cylinders [--cylinders 1000000]`.

Verdicts are timed one by one, with the garbage collector as it is in the daemon, on random ones
near the borders of their terms. The due list of a night is timed with the reading of its columns
from a table of SQLite; most of that fleet is in order.
"""

import argparse
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from msgspec import convert

from protocols.catalog.files import data_root
from protocols.cylinders.base import Cylinder
from protocols.cylinders.book import RuleBook
from protocols.cylinders.due_list import Facts, due_list
from protocols.cylinders.load import load_rules
from protocols.cylinders.verdict import fill_verdict
from tests.benchmarks.rig import markdown, percentile, where_and_when
from tests.protocols.cylinders.random_cylinders import GASES, STANDARDS, random_case

DISTINCT = 20_000
VERDICTS = 200_000
VERDICT_P99_MS_MAX, DUE_LIST_S_MAX = 20.0, 10.0
ON = date(2026, 3, 31)
WITHIN_DAYS = 90
COLUMNS = (
    *("code", "manufactured_on", "inspected_on", "inspection_due_on"),
    *("kind", "gas", "components", "standard", "design_life_years", "life_extended", "taxi"),
)


def main() -> int:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cylinders", type=int, default=1_000_000)
    cylinders = parser.parse_args().cylinders
    book = load_rules(data_root() / "cylinders")
    median_ms, p99_ms, most_ms = _verdicts(book)
    with tempfile.TemporaryDirectory() as folder:
        lines, list_s, cpu_s = _due_list(book, cylinders, Path(folder))
    print(where_and_when())
    rows = [
        (f"verdict, median of {VERDICTS:,}", f"{median_ms:.3f} ms", ""),
        ("verdict, p99", f"{p99_ms:.3f} ms", f"{VERDICT_P99_MS_MAX:g} ms"),
        ("verdict, the longest", f"{most_ms:.3f} ms", ""),
        (f"due list of {cylinders:,}, {lines:,} lines", f"{list_s:.1f} s", f"{DUE_LIST_S_MAX:g} s"),
        ("its CPU time", f"{cpu_s:.1f} s", ""),
    ]
    print(markdown(("what", "found", "at most"), rows))
    return 0 if p99_ms < VERDICT_P99_MS_MAX and list_s < DUE_LIST_S_MAX else 1


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


def _due_list(book: RuleBook, cylinders: int, folder: Path) -> tuple[int, float, float]:
    """Return lines, seconds, and seconds of CPU."""
    with closing(sqlite3.connect(folder / "cylinders.sqlite")) as connection:
        connection.execute(f"CREATE TABLE cylinder ({', '.join(COLUMNS)})")
        marks = ", ".join("?" * len(COLUMNS))
        connection.executemany(f"INSERT INTO cylinder VALUES ({marks})", _stored(cylinders))
        connection.commit()
        began, cpu_s = time.perf_counter(), time.process_time()
        rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM cylinder")
        facts = (Facts(row[0], row[4:], *row[1:4]) for row in rows)
        lines = due_list(facts, _of_group, book, ON, WITHIN_DAYS)
        return len(lines), time.perf_counter() - began, time.process_time() - cpu_s


def _stored(cylinders: int) -> Iterator[tuple[object, ...]]:
    """Make a fleet that is inspected in time, but for some."""
    rng = random.Random(2)
    kinds = [(kind, gas) for kind, gases in GASES.items() for gas in gases.split()]
    for number in range(cylinders):
        kind, gas = rng.choice(kinds)
        inspected = ON - timedelta(days=rng.randrange(3 * 365))
        made = inspected.replace(day=1) - timedelta(days=rng.choice((0, 900, 1800, 2700)))
        taxi = kind.startswith("vehicle_cng") and rng.random() < 0.2
        components = "argon carbon_dioxide" if gas == "mixture" else ""
        dates = (f"{made:%Y-%m}", rng.choice((None, f"{inspected}")), None)
        terms = (kind, gas, components, rng.choice(STANDARDS), rng.choice((None, None, 15)), False)
        yield (f"cylinder:{number:017}", *dates, *terms, taxi)


def _of_group(group: tuple[object, ...]) -> Cylinder:
    facts: dict[str, Any] = dict(zip(COLUMNS[4:], group, strict=True))
    facts |= {"code": "", "components": facts["components"].split()}
    facts |= {"life_extended": bool(facts["life_extended"])}
    facts["vehicle"] = {"taxi": bool(facts.pop("taxi"))}
    return convert(facts, Cylinder)


if __name__ == "__main__":
    sys.exit(main())
