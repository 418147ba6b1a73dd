"""What every bench needs: child processes, their CPU and memory, medians, a Markdown table.

CPU is the scheduler's own account of run time in nanoseconds, summed over the threads of a process;
threads that end within a window are missed, so only long-lived ones are measured.
"""

import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
STOP_S = 15.0


class Usage(NamedTuple):
    """What a process has used up to a moment."""

    cpu_s: float
    rss_bytes: int
    switches: int
    """Voluntary context switches: about the number of wake-ups."""
    written_bytes: int
    """Bytes of pages made dirty, as the kernel counts them for this process."""


def usage(pid: int) -> Usage:
    """Read what a process has used so far, all its threads together."""
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    cpu_ns = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
    switches = sum(_field(task / "status", "voluntary_ctxt_switches") for task in tasks)
    rss_bytes = _field(Path(f"/proc/{pid}/status"), "VmRSS") * 1024
    return Usage(cpu_ns / 1e9, rss_bytes, switches, _field(Path(f"/proc/{pid}/io"), "write_bytes"))


def _field(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(f"{file}: no {name}")


class Child:
    """A child process whose output goes to a log file."""

    def __init__(
        self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdout=output, stderr=output, env={**os.environ, **(env or {})}
            )
        self._log = log

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise RuntimeError, with the end of its log, when it has ended."""
        if self._process.poll() is not None:
            text = self._log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self._log.stem} ended with {self._process.returncode}\n{text}")

    def stop(self) -> None:
        """End it with SIGTERM, after STOP_S with SIGKILL."""
        _end(self._process)


class Worker:
    """A child of this project that answers each line on its input with one line of JSON."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._module = module
        self.ready = self.answer()
        """What it said when it was ready."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, line: str = "report") -> Any:
        """Send a line; return what it answers."""
        self.tell(line)
        return self.answer()

    def tell(self, line: str) -> None:
        """Send a line; take its answer later."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """End it with SIGTERM, after STOP_S with SIGKILL."""
        _end(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def answer(self) -> Any:
        """Return the answer to the oldest line that has none yet."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._module} ended with {self._process.wait(STOP_S)}")
        return json.loads(line)


def say(answer: Any) -> None:
    """Write one line of JSON, as a Worker does."""
    print(json.dumps(answer), flush=True)


def answer_lines(answer: Callable[[str], Any]) -> None:
    """Answer each line of input, on a thread of its own; at the end of input end the process."""

    def run() -> None:
        for line in sys.stdin:
            say(answer(line.strip()))
        os._exit(0)

    threading.Thread(target=run, daemon=True).start()


def _end(process: subprocess.Popen[Any]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)


class Used(NamedTuple):
    """What a process used within a window."""

    core: float
    """CPU seconds per second: 1.0 is one core, fully busy."""
    cpu_s: float
    rss_mb: float
    """At the end, in MB of 10^6 bytes."""
    rss_growth_mb: float
    switches_s: float
    written_bytes_s: float


class Window:
    """Measures named processes from now until `close`."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before = {name: usage(pid) for name, pid in self._pids.items()}
        self._began = time.monotonic()

    def close(self) -> tuple[float, dict[str, Used]]:
        """Return the window's length in seconds, and what each process used in it."""
        after = {name: usage(pid) for name, pid in self._pids.items()}
        seconds = time.monotonic() - self._began
        return seconds, {name: _used(self._before[name], after[name], seconds) for name in after}


def _used(before: Usage, after: Usage, seconds: float) -> Used:
    cpu_s = after.cpu_s - before.cpu_s
    return Used(
        core=cpu_s / seconds,
        cpu_s=cpu_s,
        rss_mb=after.rss_bytes / 1e6,
        rss_growth_mb=(after.rss_bytes - before.rss_bytes) / 1e6,
        switches_s=(after.switches - before.switches) / seconds,
        written_bytes_s=(after.written_bytes - before.written_bytes) / seconds,
    )


Figures = Mapping[str, float]
"""The figures of one run by name."""


def repeat(runs: int, run: Callable[[], Figures]) -> list[Figures]:
    """Make a run several times."""
    return [run() for _ in range(runs)]


def spread(runs: Sequence[Figures], name: str, form: str = "{:.3f}") -> str:
    """Write the median of a figure, with the least and the greatest where there are several."""
    numbers = [run[name] for run in runs]
    middle = form.format(statistics.median(numbers))
    if len(numbers) == 1:
        return middle
    return f"{middle} ({form.format(min(numbers))} to {form.format(max(numbers))})"


def median(runs: Sequence[Figures], name: str) -> float:
    """Return the median of a figure."""
    return statistics.median(run[name] for run in runs)


def percentile(numbers: Iterable[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the numbers lie; NaN of none."""
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def where_and_when() -> str:
    """Name date, processor, cores and versions, for the line above a table."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith(("model name", "Model"))
        ),
        platform.machine(),
    )
    cores = len(os.sched_getaffinity(0))
    today = datetime.now(UTC).date().isoformat()
    kernel = platform.release().split("-")[0]
    return f"{today}; {model}, {cores} cores; Linux {kernel}; Python {platform.python_version()}"


def allow_files(count: int) -> None:
    """Let this process and its children open so many files at once.

    Raises:
        OSError: the machine does not allow it.

    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
        if hard < count:
            raise OSError(f"{count} open files are needed, {hard} are allowed")
