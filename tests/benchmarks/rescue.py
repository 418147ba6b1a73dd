"""`make bench-rescue`: from a pressed button to feed and screen, with 20,000 lifts beside it.

The whole service as it is run (mosquitto, SQLite, DuckDB), a fleet of 20,000 lifts that sends
80,000 values/s all the time, a browser on the page of the rescue centre. In turn: single buttons,
evenly; then the storm: 2,000 lifts lose their mains within a minute, and in 40 of them somebody
presses the button. Each emergency is timed from the publish call to the feed and to the page; the
page's time is that of the first picture of the page that holds it. A run in which one is missing
or doubled fails.

`others, core` is what the rest of the machine used meanwhile: two cores are all that there is.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from tests.benchmarks.cloud import SHAPES
from tests.benchmarks.rig import Window, Worker, markdown, percentile, spread, where_and_when
from tests.benchmarks.stage import Cloud, broker_running
from tests.support.stack import TOKEN

LIFTS, TRAPPED, STORM_S = 2_000, 40, 60
WARM_UP_S = 8
TICKS_S = 100
"""Of the kernel's clock in /proc/stat."""
STEADY_GOAL_MS, SCREEN_GOAL_MS, STORM_GOAL_MS = 500, 1_000, 5_000
BURN = "while True: sum(range(10_000))"


def machine_cpu_s() -> float:
    """Return the CPU time that this machine has used since its start, all processes together."""
    words = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, soft, *_ = map(int, words)
    return (user + nice + system + irq + soft) / TICKS_S


@contextmanager
def burning(count: int) -> Iterator[None]:
    """Keep so many other processes busy all the time."""
    found = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(count)]
    try:
        yield
    finally:
        for one in found:
            one.kill()
            one.wait()


def run(*, seconds: float, per_s: float, burners: int, path: str, storm: bool) -> dict[str, Any]:
    """One run on a fresh folder."""
    shape, found = SHAPES["80k"], dict[str, Any]()
    with broker_running() as (folder, broker):
        cloud, workers = Cloud(folder, broker), list[Worker]()
        cloud.start()
        try:
            load = shape.load(broker.port)
            workers.append(load)
            ports = f"--http={cloud.http_port}", f"--token={TOKEN}"
            prober = Worker("tests.benchmarks.rescue_prober", f"--port={broker.port}", *ports)
            workers.append(prober)
            screen = None
            if path:
                screen = Worker("tests.benchmarks.rescue_screen", *ports, f"--path={path}")
                workers.append(screen)
            load.ask(f"send {shape.warm_up_s}")
            load.tell(f"send {seconds + (STORM_S if storm else 0) + WARM_UP_S + 8}")
            pids = {"cloud": cloud.pid, "load": load.pid, "prober": prober.pid}
            with burning(burners):
                prober.ask(f"steady {per_s} {WARM_UP_S}")  # statements are made, pages read
                found |= _phase("steady", prober, screen, f"steady {per_s} {seconds}", pids)
                if storm:
                    order = f"storm {LIFTS} {TRAPPED} {STORM_S}"
                    found |= _phase("storm", prober, screen, order, pids)
            load.answer()
            found |= {f"load_{key}": value for key, value in load.ask("report").items()}
        finally:
            for one in workers:
                one.stop()
            cloud.stop()
    found["lost"] = found["load_batches"] - found["load_acked"]
    return found


def _phase(
    name: str, prober: Worker, screen: Worker | None, order: str, pids: Mapping[str, int]
) -> dict[str, Any]:
    machine, window = machine_cpu_s(), Window(pids)
    told = prober.ask(order)
    lasted, used = window.close()
    others = (machine_cpu_s() - machine) / lasted - sum(one.core for one in used.values())
    time.sleep(2)
    seen = screen.ask("seen") if screen else told["sent_at"]
    names = {asset: _on_screen(asset, seen, told["rescues"]) for asset in told["sent_at"]}
    late = [seen[names[one]] - at for one, at in told["sent_at"].items() if names[one] in seen]
    late = late if screen else []
    found = {f"{name}_{key}": told[key] for key in ("alarms", "missing", "doubled", "worst")}
    found |= {f"{name}_{key}": told[key] for key in ("p50_ms", "p99_ms", "max_ms")}
    found |= {
        f"{name}_screen_p50_ms": percentile(late, 0.5),
        f"{name}_screen_p99_ms": percentile(late, 0.99),
        f"{name}_screen_max_ms": percentile(late, 1.0),
        f"{name}_screen_missing": sum(1 for name in names.values() if name not in seen),
        f"{name}_core": used["cloud"].core,
        f"{name}_rss_mb": used["cloud"].rss_mb,
        f"{name}_others": others,
    }
    print(name, {key: value for key, value in found.items() if key[-3:] != "_at"}, flush=True)
    return found


def _on_screen(asset: str, seen: Mapping[str, int], rescues: Mapping[str, int]) -> str:
    """Return by what name the page knows an emergency: its rescue's, or its lift's."""
    name = f"incident:{rescues.get(asset)}"
    return name if name in seen else asset


COLUMNS = {
    "alarms": ("emergencies", "{:.0f}"),
    "p50_ms": ("feed p50 ms", "{:.0f}"),
    "p99_ms": ("feed p99 ms", "{:.0f}"),
    "max_ms": ("feed max ms", "{:.0f}"),
    "screen_p50_ms": ("screen p50 ms", "{:.0f}"),
    "screen_p99_ms": ("screen p99 ms", "{:.0f}"),
    "screen_max_ms": ("screen max ms", "{:.0f}"),
    "screen_missing": ("not on screen", "{:.0f}"),
    "missing": ("missing", "{:.0f}"),
    "doubled": ("doubled", "{:.0f}"),
    "core": ("service, core", "{:.2f}"),
    "rss_mb": ("RSS MB", "{:.0f}"),
    "others": ("others, core", "{:.2f}"),
}


def line(phase: str, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write one line of the table: medians, least and greatest beside them."""
    cells = [spread(runs, f"{phase}_{key}", style) for key, (_, style) in COLUMNS.items()]
    return [phase, *cells]


def main(
    runs: Annotated[int, typer.Option()] = 3,
    seconds: Annotated[
        float, typer.Option(help="of single buttons; a minute of storm follows")
    ] = 90,
    per_s: Annotated[float, typer.Option(help="buttons pressed in a second")] = 3,
    burners: Annotated[int, typer.Option(help="other busy processes on the machine")] = 0,
    path: Annotated[str, typer.Option(help="of the page in the browser; empty: none")] = "/",
    storm: Annotated[bool, typer.Option()] = True,
) -> None:
    """Measure emergencies beside a fleet."""
    print(f"{where_and_when()}; {runs} runs, {burners} burners, page {path}", flush=True)
    found = [
        run(seconds=seconds, per_s=per_s, burners=burners, path=path, storm=storm)
        for _ in range(runs)
    ]
    phases = ("steady", "storm") if storm else ("steady",)
    print(
        markdown(["", *(title for title, _ in COLUMNS.values())], [line(p, found) for p in phases])
    )
    wrong = sum(
        one[f"{p}_{key}"] for one in found for p in phases for key in ("missing", "doubled")
    )
    if wrong or any(one["lost"] for one in found):
        raise SystemExit("something is missing or doubled: these figures count for nothing")


if __name__ == "__main__":
    typer.run(main)
