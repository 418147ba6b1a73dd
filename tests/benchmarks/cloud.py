"""`make bench-cloud`: a steady fleet against the whole service; every value must be stored.

Per row the medians of RUNS runs on fresh folders: cores of the service, the broker and the load,
CPU ms per 1,000 values, acknowledgement and alarm latencies, memory. A run in which anything is
missing counts for nothing and fails the bench: batches by the acknowledgements and by the ledger,
records and values by counting them in the day files, alarms by the feed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from tests.benchmarks.messages import VALUES_PER_RECORD, spool_id
from tests.benchmarks.peers.cloud import table as peer_table
from tests.benchmarks.rig import Window, Worker, markdown, median, spread, where_and_when
from tests.benchmarks.stage import Cloud, broker_running, bytes_of, stored
from tests.support.stack import TOKEN


@dataclass(frozen=True)
class Shape:
    """One row of the table."""

    name: str
    messages_s: float
    records: int
    gateways: int = 1_000
    lifts: int = 20
    warm_up_s: float = 8.0
    """Every lift is seen once in it."""

    @property
    def values_s(self) -> float:
        """Values per second that are sent, nulls among them."""
        return self.messages_s * self.records * VALUES_PER_RECORD

    def load(self, port: int) -> Worker:
        """Start its load; it waits for the word to begin."""
        return Worker(
            "tests.benchmarks.cloud_load",
            f"--port={port}",
            f"--gateways={self.gateways}",
            f"--lifts={self.lifts}",
            f"--records={self.records}",
            f"--messages-s={self.messages_s}",
        )


SHAPES = {
    "80k": Shape("80,000 values/s", 1_000, 4),
    "200k": Shape("200,000 values/s", 1_000, 10),
    "400k": Shape("400,000 values/s", 1_000, 20),
    "600k": Shape("600,000 values/s", 1_500, 20),
    "800k": Shape("800,000 values/s", 2_000, 20),
    "1000k": Shape("1,000,000 values/s", 2_500, 20),
}


def run_service(shape: Shape, seconds: float, urgent_s: float) -> dict[str, Any]:
    """One run against the service."""
    with broker_running() as (folder, broker):
        cloud = Cloud(folder, broker)
        cloud.start()
        load = shape.load(broker.port)
        prober = Worker(
            "tests.benchmarks.cloud_prober",
            f"--port={broker.port}",
            f"--http={cloud.http_port}",
            f"--token={TOKEN}",
            f"--per-s={urgent_s}",
        )
        try:
            load.ask(f"send {shape.warm_up_s}")
            prober.ask("begin")
            found = _measure(shape, load, seconds, {"cloud": cloud.pid, "broker": broker.pid})
            found |= {f"alarm_{key}": value for key, value in prober.ask("end").items()}
            found |= load.ask("report")
            cloud.wait_stored()
            found["missing_gateways"] = _missing_in_ledger(cloud, found["sent_by_gateway"])
        finally:
            load.stop()
            prober.stop()
            cloud.stop()
        rows, values = stored(cloud.data, "elevator:3110")
        found["log_bytes"] = bytes_of(cloud.data, "log.db*") / found["values"]
        found["day_file_bytes"] = bytes_of(cloud.data, "telemetry/*") / found["values"]
        found["missing_records"] = found["records"] - rows
        found["missing_values"] = found["values"] - values
        found["missing_acks"] = found["batches"] - found["acked"]
        found["lost"] = sum(abs(found[name]) for name in found if "missing" in name)
        return found


def run_raw(shape: Shape, seconds: float) -> dict[str, Any]:
    """One run against a process that only receives and decodes."""
    with broker_running() as (_, broker):
        receiver = Worker("tests.benchmarks.cloud_receiver", f"--port={broker.port}")
        load = shape.load(broker.port)
        try:
            load.ask("send 2")
            return _measure(shape, load, seconds, {"cloud": receiver.pid, "broker": broker.pid})
        finally:
            load.stop()
            receiver.stop()


def _measure(shape: Shape, load: Worker, seconds: float, pids: Mapping[str, int]) -> dict[str, Any]:
    """Send for some seconds and measure the processes meanwhile."""
    window = Window(pids)
    found: dict[str, Any] = load.ask(f"send {seconds}")
    lasted, used = window.close()
    found |= {f"{name}_core": one.core for name, one in used.items()}
    found["load_core"] = found["cpu_s"] / lasted
    found["rss_mb"] = used["cloud"].rss_mb
    found["ms_per_1000"] = used["cloud"].cpu_s * 1e6 / (shape.values_s * seconds)
    return found


def _missing_in_ledger(cloud: Cloud, sent: dict[str, int]) -> int:
    """Count the gateways whose ledger does not have exactly what was sent."""
    return sum(cloud.settled(name, spool_id(name, "1")) != count for name, count in sent.items())


COLUMNS = {
    "cloud_core": ("service, core", "{:.3f}"),
    "ms_per_1000": ("CPU ms per 1,000 values", "{:.2f}"),
    "broker_core": ("broker", "{:.3f}"),
    "load_core": ("load", "{:.3f}"),
    "ack_p50_ms": ("ack p50 ms", "{:.0f}"),
    "ack_p99_ms": ("ack p99 ms", "{:.0f}"),
    "alarm_p50_ms": ("alarm p50 ms", "{:.1f}"),
    "alarm_p99_ms": ("alarm p99 ms", "{:.1f}"),
    "rss_mb": ("RSS MB", "{:.0f}"),
    "late_s": ("load late s", "{:.2f}"),
    "drained_s": ("last ack after s", "{:.2f}"),
    "log_bytes": ("log, bytes a value", "{:.1f}"),
    "day_file_bytes": ("day files, bytes a value", "{:.1f}"),
    "lost": ("missing", "{:.0f}"),
}


def cells(name: str, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write one line of the table: the median of each figure, least and greatest beside it."""
    shown = [
        spread(runs, key, style) if key in runs[0] else "" for key, (_, style) in COLUMNS.items()
    ]
    return [name, *shown]


def main(
    runs: Annotated[int, typer.Option(help="of each row")] = 3,
    seconds: Annotated[float, typer.Option(help="measured in each run, after a warm-up")] = 60,
    rows: Annotated[str, typer.Option(help="which rows, by rate")] = "80k,400k",
    urgent_s: Annotated[float, typer.Option(help="urgent messages per second")] = 20,
    raw_seconds: Annotated[float, typer.Option(help="of the raw limit; 0: leave it out")] = 10,
    peers: Annotated[str, typer.Option(help="which peers beside the first row")] = "",
) -> None:
    """Measure the service under a steady load."""
    print(f"{where_and_when()}; {runs} runs of {seconds:g} s", flush=True)
    table, costs, failed = [], [], False
    for name in rows.split(","):
        shape = SHAPES[name]
        found = [run_service(shape, seconds, urgent_s) for _ in range(runs)]
        failed = failed or any(run["lost"] for run in found)
        costs.append(median(found, "ms_per_1000"))
        table.append(cells(shape.name, found))
        if raw_seconds:
            limit = [run_raw(shape, raw_seconds) for _ in range(runs)]
            table.append(cells(f"raw limit, {shape.name}", limit))
        print(table[-1 - bool(raw_seconds) :], flush=True)
    print(markdown(["", *(title for title, _ in COLUMNS.values())], table), flush=True)
    if peers:
        shapes = [SHAPES[name] for name in dict.fromkeys((rows.split(",")[0], "200k", "400k"))]
        print(peer_table(peers.split(","), shapes, runs=runs, seconds=seconds, ours=costs[0]))
    if failed:
        raise SystemExit("something is missing: these figures count for nothing")


if __name__ == "__main__":
    typer.run(main)
