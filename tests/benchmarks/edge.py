"""The bench of the gateway: `make bench-edge [RUNS=3] [SECONDS=20] [ROWS="heavy field"]`.

Everything runs on this machine: lifts (`lifts.py`), mosquitto with the settings that we ship, an
ingester (`edge_ingester.py`) and the daemon as it ships. Each figure is the median of the runs,
with the least and the greatest. CPU is the scheduler's account of the process. A value counts as
delivered when it arrived at the subscriber, once. Polls kept: done of those that were due.

Rows: `heavy` 16 of 20 values change at each poll; `field` 4 of 20; `hundred` 100 lifts; `still` one
lift that does not change, `one` one lift with 4 of 20; `urgent` 40 urgent changes a second besides;
`card` as heavy, each fsync and fdatasync 20 ms longer (strace injects the delay); `peak` the
highest rate and twice that; `limit` bare sockets that read the same registers; `peers`
thingsboard-gateway polling the lifts of `heavy`, in an environment of its own.
"""

import argparse
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from tests.benchmarks.edge_run import Load, run, start_lifts
from tests.benchmarks.peers.edge import table as peer_table
from tests.benchmarks.rig import (
    Figures,
    Window,
    Worker,
    markdown,
    median,
    repeat,
    spread,
    where_and_when,
)

HEAVY, FIELD = 16, 4
ROWS: dict[str, tuple[str, Load]] = {
    "heavy": ("1,000 lifts, 16 of 20 values change", Load(1000, HEAVY, urgent_s=5)),
    "field": ("1,000 lifts, 4 of 20 change", Load(1000, FIELD, urgent_s=5)),
    "hundred": ("100 lifts, 4 of 20 change", Load(100, FIELD, urgent_s=0.5)),
    "still": ("1 lift, nothing changes", Load(1, 0)),
    "one": ("1 lift, 4 of 20 change", Load(1, FIELD)),
    "urgent": ("1,000 lifts, 16 change, 40 urgent changes/s", Load(1000, HEAVY, urgent_s=40)),
    "card": ("as the first, on a slow card", Load(1000, HEAVY, urgent_s=5, slow_card=True)),
}
PEAK_INTERVALS_S = (0.2, 0.1, 0.05)
"""Of 1,000 lifts, tried in turn; then of 2,000 and 4,000 at the shortest."""
HEAD = (
    *("load", "core", "CPU-s / 1,000 values", "values/s", "polls kept %", "RSS MB"),
    *("urgent p50 / p99 ms", "commits/s", "wake-ups/s"),
)


def main() -> None:
    """Run the rows that are asked for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("rows", nargs="*", help="all, unless named")
    options = parser.parse_args()
    rows = options.rows or [*ROWS, "peak", "limit", "peers"]
    print(f"{where_and_when()}; {options.runs} runs of {options.seconds:g} s\n")
    table, loads, costs = [], [], {}
    for name in rows:
        if name in ROWS:
            title, load = ROWS[name]
            runs = repeat(options.runs, partial(run, load, options.seconds))
            costs[name] = median(runs, "cpu_s_per_1000")
            table.append(_row(title, runs))
            loads.append(_load_row(title, runs))
            print(markdown(HEAD, table[-1:]), flush=True)
    if len(table) > 1:
        print("\n" + markdown(HEAD, table))
    if loads:
        head = ("load", "lifts core", "broker core", "ingester core", "payload kB/s", "disk kB/s")
        print("\nThe load's own CPU, and bytes:\n\n" + markdown(head, loads), flush=True)
    if "peak" in rows:
        print(_peak(options.runs, options.seconds), flush=True)
    if "limit" in rows:
        print(_limit(options.runs, options.seconds), flush=True)
    if "peers" in rows:
        print("\n" + peer_table(options.runs, options.seconds, costs.get("heavy", float("nan"))))


def _row(title: str, runs: Sequence[Figures]) -> list[str]:
    urgent = "-"
    if median(runs, "urgent_count"):
        urgent = f"{median(runs, 'urgent_p50_ms'):.1f} / {spread(runs, 'urgent_p99_ms', '{:.1f}')}"
        if any(run["urgent_missing"] for run in runs):
            urgent += f", missing {spread(runs, 'urgent_missing', '{:.0f}')}"
    return [
        title,
        spread(runs, "core", "{:.4f}"),
        spread(runs, "cpu_s_per_1000", "{:.5f}"),
        f"{median(runs, 'values_s'):,.0f}",
        spread(runs, "kept_percent", "{:.2f}"),
        spread(runs, "rss_mb", "{:.1f}"),
        urgent,
        f"{median(runs, 'commits_s'):.2f}",
        f"{median(runs, 'wake_ups_s'):.0f}",
    ]


def _load_row(title: str, runs: Sequence[Figures]) -> list[str]:
    cores = [f"{median(runs, f'{name}_core'):.3f}" for name in ("lifts", "broker", "ingester")]
    rates = [f"{median(runs, name):,.1f}" for name in ("payload_kb_s", "written_kb_s")]
    return [title, *cores, *rates]


def _peak(runs: int, seconds: float) -> str:
    """Offer more and more, until it is twice of what was ever carried."""
    tried: list[tuple[Load, list[Figures]]] = []
    for load in [
        *(Load(1000, HEAVY, interval_s=interval_s) for interval_s in PEAK_INTERVALS_S),
        *(Load(lifts, HEAVY, interval_s=PEAK_INTERVALS_S[-1]) for lifts in (2000, 4000)),
    ]:
        tried.append((load, repeat(runs, partial(run, load, seconds))))
        carried = max(median(found, "polls_s") for _, found in tried)
        if load.lifts / load.interval_s >= 2 * carried:
            break
    head = ("polls/s wanted", "polls/s", "values/s", "core", "RSS MB", "RSS growth MB")
    rows = [
        [
            f"{load.lifts / load.interval_s:,.0f}",
            spread(found, "polls_s", "{:,.0f}"),
            spread(found, "values_s", "{:,.0f}"),
            spread(found, "core"),
            spread(found, "rss_mb", "{:.1f}"),
            spread(found, "rss_growth_mb", "{:.1f}"),
        ]
        for load, found in tried
    ]
    return "\nPast what it can carry:\n\n" + markdown(head, rows)


def _limit(runs: int, seconds: float) -> str:
    found = repeat(runs, partial(_limit_run, seconds))
    head = ("raw limit: 1,000 bare connections, 1 s", "core", "reads/s", "missed")
    row = ["asyncio protocols on uvloop, nothing decoded", spread(found, "core", "{:.4f}")]
    row += [f"{median(found, 'reads_s'):,.0f}", f"{median(found, 'missed'):.0f}"]
    return "\n" + markdown(head, [row])


def _limit_run(seconds: float) -> Figures:
    load = Load()
    with ExitStack() as stack:
        lifts = start_lifts(load)
        stack.callback(lifts.stop)
        ports = map(str, lifts.ready["ports"])
        arguments = ("--lifts", str(load.lifts), "--ports", *ports)
        client = Worker("tests.benchmarks.edge_limit", *arguments)
        stack.callback(client.stop)
        time.sleep(2.0)
        before = client.ask()
        window = Window({"client": client.pid})
        time.sleep(seconds)
        length_s, used = window.close()
        after = client.ask()
    missed = after["missed"] - before["missed"]
    reads_s = (after["reads"] - before["reads"]) / length_s
    return {"core": used["client"].core, "reads_s": reads_s, "missed": missed}


if __name__ == "__main__":
    main()
