"""`make bench-growth`: what a value and a lift cost as the fleet grows.

Two series over 1,000, 10,000, 20,000 and 40,000 lifts, 20 of them at each gateway: (a) the same
rate per lift, so that the total grows with the fleet; (b) the same total rate, so that each lift
speaks more rarely. Alarms are few here, for each costs the same whatever the fleet. Cost per value
is told against the first fleet of its series, memory per lift by the growth of the resident memory
between fleets.
"""

from typing import Annotated, Any

import typer

from tests.benchmarks.cloud import Shape, run_service
from tests.benchmarks.rig import markdown, median, where_and_when

LIFTS_PER_GATEWAY, RECORDS = 20, 4
SERIES = {
    "a": "the same rate per lift: 4 values/s",
    "b": "the same total: 80,000 values/s",
}


def shape(series: str, lifts: int) -> Shape:
    """Return the load of one fleet."""
    messages_s = lifts / LIFTS_PER_GATEWAY if series == "a" else 1_000.0
    gateways = lifts // LIFTS_PER_GATEWAY
    warm_up_s = lifts / (messages_s * RECORDS) + 3
    return Shape(f"{lifts:,} lifts", messages_s, RECORDS, gateways, LIFTS_PER_GATEWAY, warm_up_s)


def cells(runs: dict[int, list[dict[str, Any]]], lifts: int) -> list[str]:
    """Write one line of the table."""
    found, first = runs[lifts], next(iter(runs))
    cost, cost_first = median(found, "ms_per_1000"), median(runs[first], "ms_per_1000")
    line = [f"{lifts:,}", f"{median(found, 'cloud_core'):.3f}", f"{cost:.2f}"]
    line.append("" if lifts == first else f"{cost / cost_first - 1:+.0%}")
    line += [f"{median(found, name):.0f}" for name in ("ack_p99_ms", "alarm_p99_ms", "rss_mb")]
    grown_kb = (median(found, "rss_mb") - median(runs[first], "rss_mb")) * 1000
    line.append("" if lifts == first else f"{grown_kb / (lifts - first):.1f}")
    return [*line, f"{median(found, 'lost'):.0f}"]


def main(
    runs: Annotated[int, typer.Option(help="of each fleet")] = 3,
    seconds: Annotated[float, typer.Option(help="measured in each run, after a warm-up")] = 20,
    series: Annotated[str, typer.Option(help="a, b or both")] = "a,b",
    fleets: Annotated[str, typer.Option(help="numbers of lifts")] = "1000,10000,20000,40000",
    urgent_s: Annotated[float, typer.Option(help="urgent messages per second")] = 2,
) -> None:
    """Measure fleets of several sizes."""
    print(f"{where_and_when()}; {runs} runs of {seconds:g} s", flush=True)
    head = ["lifts", "service, core", "CPU ms per 1,000 values", "against the first"]
    head += ["ack p99 ms", "alarm p99 ms", "RSS MB", "KB per further lift", "missing"]
    for name in series.split(","):
        found: dict[int, list[dict[str, Any]]] = {}
        for lifts in map(int, fleets.split(",")):
            one = shape(name, lifts)
            found[lifts] = [run_service(one, seconds, urgent_s) for _ in range(runs)]
        print(f"\n{SERIES[name]}\n")
        print(markdown(head, [cells(found, lifts) for lifts in found]), flush=True)


if __name__ == "__main__":
    typer.run(main)
