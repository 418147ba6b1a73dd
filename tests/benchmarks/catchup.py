"""`make bench-catchup`: history comes back while life goes on.

One gateway: the real daemon with 1,000,000 readings in its spool connects for the first time, and
polls 20 lifts meanwhile; alarm buttons are pressed at these lifts, and the time from the press to
the feed is taken (the poll interval of 0.5 s is part of it).

A thousand gateways: the broker is killed, all lose it in the same instant, have a backlog when it
is back, and come back at once with live data; alarms of another gateway are timed meanwhile.
"""

import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from edge.batches import Draft
from edge.spool.salvage import open_spool
from protocols.clock import SystemClock
from tests.benchmarks.messages import VALUES_PER_RECORD, Pool, asset_id, spool_id
from tests.benchmarks.rig import Window, Worker, allow_files, markdown, percentile, where_and_when
from tests.benchmarks.stage import Cloud, broker_running, stored
from tests.support.stack import TOKEN, Stack, parse_events, running, wait_until

LIFTS, POLL_INTERVAL_S = 20, 0.5
PRESS_EVERY_S, PRESSED_S = 0.75, 1.5
BACKLOG_PREFIX = asset_id(0, 0)[:19]
LIVE_PREFIX = "elevator:311011099"


def fill_spool(folder: Path, readings: int) -> tuple[int, int]:
    """Put readings of the last hours into a spool; return (batches, values that are no null)."""
    pool, clock = Pool(0, lifts=LIFTS, records=LIFTS, seed=1), SystemClock()
    batches = readings // (LIFTS * VALUES_PER_RECORD)
    folder.mkdir(parents=True)
    spool = open_spool(
        folder, spool_id=spool_id("gw", "old"), boot_id="old", clock=clock, bytes_max=1 << 30
    )
    first_ms, values, drafts = clock.wall_ms() - batches * 1000 - 60_000, 0, list[Draft]()
    for number in range(batches):
        message, at = pool.messages[number % len(pool.messages)], first_ms + number * 1000
        values += message.count * VALUES_PER_RECORD - message.nulls
        drafts.append(
            Draft(
                stream="data",
                clock="synced",
                boot_id="old",
                created_ms=number,
                from_at=at,
                to_at=at,
                records=message.count,
                records_raw=message.records_at(at),
            )
        )
        if len(drafts) == 100 or number == batches - 1:
            spool.append(drafts)
            drafts.clear()
    spool.close()
    return batches, values


class Feed:
    """Reads the feed on a thread and times alarms that were announced to it."""

    def __init__(self, http_port: int) -> None:
        self._url = f"http://127.0.0.1:{http_port}/api/v1/feed"
        self._pressed: dict[str, float] = {}
        self.latencies_s: list[float] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def missing(self) -> int:
        """How many alarms did not come."""
        return len(self._pressed)

    def expect(self, asset: str) -> None:
        """Await an entrapment of this asset from now on."""
        self._pressed[asset] = time.perf_counter()

    def _run(self) -> None:
        headers, timeout = {"Authorization": f"Bearer {TOKEN}"}, httpx.Timeout(10, read=30)
        with (
            suppress(httpx.HTTPError),
            httpx.stream("GET", self._url, headers=headers, timeout=timeout) as answer,
        ):
            for item in parse_events(answer.iter_lines()):
                data = item["data"]
                if data.get("alert") == "Entrapment" and data["state"] == "unacknowledged":
                    began = self._pressed.pop(data["asset"], None)
                    if began is not None:
                        self.latencies_s.append(time.perf_counter() - began)


@contextmanager
def pressing(stack: Stack, feed: Feed) -> Iterator[None]:
    """Press the alarm button of one lift after the other."""
    stop = threading.Event()

    def run() -> None:
        pressed: list[tuple[float, int]] = []
        number = 0
        while not stop.wait(PRESS_EVERY_S):
            lift = number % LIFTS
            feed.expect(stack.asset(lift))
            stack.lifts.hold(lift, message_code=["90"])
            pressed.append((time.monotonic() + PRESSED_S, lift))
            while pressed and pressed[0][0] < time.monotonic():
                stack.lifts.hold(pressed.pop(0)[1], message_code=[])
            number += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        time.sleep(2)


def one_gateway(readings: int) -> list[str]:
    """Let the real daemon drain its spool beside live lifts."""
    with tempfile.TemporaryDirectory(prefix="suyuan-bench-") as name:
        stack = Stack(Path(name) / "stack", lifts=LIFTS, poll_interval_s=POLL_INTERVAL_S)
        batches, values = fill_spool(stack.edge_state, readings)
        old = spool_id("gw", "old")

        def drained() -> bool:
            return any(one["spool"] == old and one["through"] == batches for one in stack.ledger())

        with running(stack):
            feed, began = Feed(stack.http_port), time.monotonic()
            assert stack.cloud.process is not None
            assert stack.edge.process is not None
            pids = {"cloud": stack.cloud.process.pid, "edge": stack.edge.process.pid}
            window = Window(pids)
            with pressing(stack, feed):
                wait_until(drained, timeout_s=300, what="backlog drained", every_s=0.2)
                took_s = time.monotonic() - began
                _, used = window.close()
                wait_until(lambda: len(feed.latencies_s) > 15, timeout_s=60, what="alarms")
            stack.edge.stop()
            live_s = time.monotonic() - began
            time.sleep(2)
            stack.cloud.stop(30)
        old_values, live_values = (
            stored(stack.cloud_data, prefix)[1] for prefix in (BACKLOG_PREFIX, LIVE_PREFIX)
        )
        live_rate = live_values / live_s
        return [
            f"one gateway, {readings:,} readings",
            f"{took_s:.1f} s",
            f"{values / took_s:,.0f} values/s, {values / took_s / live_rate:.0f} times live",
            f"{live_rate:.0f} values/s",
            _alarms(feed.latencies_s),
            f"service {used['cloud'].core:.2f}, gateway {used['edge'].core:.2f}",
            f"{values - old_values} values, {feed.missing} alarms",
        ]


def thousand_gateways(gateways: int, backlog: int) -> list[str]:
    """Take the broker away from all of them at once."""
    allow_files(4 * gateways + 500)
    with broker_running() as (folder, broker):
        cloud = Cloud(folder, broker)
        cloud.start()
        fleet = Worker(
            "tests.benchmarks.catchup_fleet",
            f"--port={broker.port}",
            f"--gateways={gateways}",
            f"--backlog={backlog}",
        )
        prober: Worker | None = None
        try:
            fleet.ask("live 8")
            broker.kill()
            time.sleep(1)
            fleet.ask("away")
            broker.start()
            wait_until(
                lambda: cloud.http.get("/readyz").status_code == 200, timeout_s=20, what="ready"
            )
            prober = _prober(broker.port, cloud.http_port)
            window = Window({"cloud": cloud.pid, "broker": broker.pid})
            prober.ask("begin")
            took_s = fleet.ask("drain 240")
            _, used = window.close()
            alarms, found = prober.ask("end"), fleet.ask("report")
            cloud.wait_stored()
            lost = sum(
                cloud.settled(name, spool_id(name, "catch-up")) != last
                for name, last in found["last_by_gateway"].items()
            )
        finally:
            fleet.stop()
            if prober is not None:
                prober.stop()
            cloud.stop()
        rows, _ = stored(cloud.data, "elevator:3110")
    missing = found["values"] // VALUES_PER_RECORD - rows
    return [
        *_summary(gateways, backlog, took_s, found, alarms),
        f"service {used['cloud'].core:.2f}, broker {used['broker'].core:.2f}",
        f"{missing} records, {lost + found['undrained']} gateways, {alarms['missing']} alarms",
    ]


def _alarms(latencies_s: list[float]) -> str:
    middle, worst = (percentile(latencies_s, share) for share in (0.5, 0.99))
    return f"{len(latencies_s)}: {middle:.2f} s, {worst:.2f} s"


def _summary(
    gateways: int, backlog: int, took_s: float, found: dict[str, Any], alarms: dict[str, Any]
) -> list[str]:
    history = gateways * backlog * 4 * VALUES_PER_RECORD
    again = (found["sent"] - found["batches"]) / found["batches"]
    came_back = found["connects"] / gateways - 1
    return [
        f"{gateways:,} gateways, {backlog} batches each ({history:,} values)",
        f"{took_s:.1f} s",
        f"{history / took_s:,.0f} values/s, {came_back:.2f} reconnects, {again:.1%} sent again",
        f"{gateways * 4 * VALUES_PER_RECORD:,} values/s, ack p99 {found['live_ack_p99_ms']:.0f} ms",
        f"{alarms['alarms']}: {alarms['p50_ms'] / 1000:.2f} s, {alarms['p99_ms'] / 1000:.2f} s",
    ]


def _prober(port: int, http: int) -> Worker:
    return Worker(
        "tests.benchmarks.cloud_prober", f"--port={port}", f"--http={http}", f"--token={TOKEN}"
    )


def main(
    readings: Annotated[int, typer.Option(help="in the spool of the one gateway")] = 1_000_000,
    gateways: Annotated[int, typer.Option(help="that come back at once")] = 1_000,
    backlog: Annotated[int, typer.Option(help="batches of each of them")] = 100,
) -> None:
    """Measure how history comes back."""
    print(where_and_when(), flush=True)
    rows = []
    if readings:
        rows.append(one_gateway(readings))
    if gateways:
        rows.append(thousand_gateways(gateways, backlog))
    head = ["", "drained in", "history", "live beside it", "alarms: p50, p99", "core", "missing"]
    print(markdown(head, rows))
    if any(number != "0" for row in rows for number in re.findall(r"\d+", row[-1])):
        raise SystemExit("something is missing: these figures count for nothing")


if __name__ == "__main__":
    typer.run(main)
