"""`status --watch`: the daemon's counters live in a terminal, as totals and per second."""

import time
from pathlib import Path
from typing import Any

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.status import read_status

REFRESH_S = 1.0
_HEADINGS = ("counter", "total", "per s")


def watch(state: Path, *, console: Console | None = None, rounds: int | None = None) -> int:
    """Show until Ctrl-C, or so many times; return the exit code: 1 when no daemon runs at first."""
    console = console or Console()
    shown: dict[str, Any] | None = None
    shown_s = 0.0
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        try:
            while rounds is None or rounds > 0:
                status, now_s = read_status(state), time.monotonic()
                if shown is None and not (status and status.get("running")):
                    live.update(Text(f"{state}: no daemon runs here", style="red"), refresh=True)
                    return 1
                live.update(screen(status, shown, now_s - shown_s), refresh=True)
                shown, shown_s = status, now_s
                rounds = None if rounds is None else rounds - 1
                time.sleep(REFRESH_S)
        except KeyboardInterrupt:
            pass
    return 0


def screen(
    status: dict[str, Any] | None, before: dict[str, Any] | None, apart_s: float
) -> RenderableType:
    """Return what is shown of one status; `before` was taken `apart_s` earlier."""
    if status is None or not status.get("running"):
        return Text("the daemon has stopped; waiting for it", style="red")
    link, spool, clock = status["link"], status["spool"], status["clock"]
    waiting = sum(line["batches"] for line in spool["waiting"])
    head = Table.grid(padding=(0, 2))
    head.add_row("gateway", f"{status['gateway_id']}  version {status['version']}")
    head.add_row("up for", f"{status['uptime_s']:.0f} s, clock {clock['state']}")
    head.add_row("link", _good(link["up"], link["broker"], f"{link['broker']}: {link['why']}"))
    kept = (
        f"{waiting} batches wait, {spool['bytes'] / 1e6:.1f} of {spool['bytes_max'] / 1e6:.0f} MB"
    )
    safe = not (spool["in_memory"] or spool["failing"])
    head.add_row("spool", _good(safe, kept, spool["failing"] or f"only in memory; {kept}"))
    for fault in status["faults"]:
        head.add_row("set aside", Text(fault, style="yellow"))
    earlier = (before or {}).get("counters", {})
    counters = _counters(status["counters"], earlier, apart_s)
    return Group(head, Columns([_sources(status["sources"]), counters]))


def _sources(sources: dict[str, Any]) -> Table:
    table = Table("source", "state")
    for name, source in sources.items():
        silent = [one["asset"] for one in source["devices"] if one["silent"]]
        down = source["link"] == "down"
        why = source.get("why") or "no connection"
        state = why if down else f"silent: {', '.join(silent)}" if silent else "good"
        table.add_row(name, Text(state, style="red" if down or silent else "green"))
    return table


def _counters(now: dict[str, float], before: dict[str, float], apart_s: float) -> Table:
    table = Table(*_HEADINGS)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, total in sorted(now.items()):
        rate = (total - before[name]) / apart_s if name in before and apart_s > 0 else 0.0
        if total:
            table.add_row(name, f"{total:,}", f"{rate:,.1f}" if rate else "")
    return table


def _good(is_good: bool, good: str, bad: str) -> Text:
    return Text(good if is_good else bad, style="green" if is_good else "red")
