"""A gateway's sources in a process of their own, which tells all that they say, line by line."""

import asyncio
import json
import os
import queue
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from edge.building import build_all
from edge.catalog import load_catalog
from edge.settings import load_site
from edge.sources.base import Emitted, Gone, Source
from protocols.clock import SystemClock
from tests.support.stack import ROOT

HEAD = """\
schema = 1
gateway_id = "gw-test"

[uplink]
broker = "mqtt://127.0.0.1:1"

"""


class ReadingProcess:
    """Runs the sources of a site file for a test."""

    def __init__(
        self, site: Path, tables: str, environment: Mapping[str, str] | None = None
    ) -> None:
        site.write_text(HEAD + tables)
        self.log = site.with_suffix(".log")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.reading_process", str(site)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
            )
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self.told: list[dict[str, Any]] = []

    def status(self) -> dict[str, Any]:
        """Ask for the status of all sources, by name."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"status\n")
        self._process.stdin.flush()
        return self._until("status", 10)

    def until_up(self, name: str, timeout_s: float = 10) -> None:
        """Wait until a source's device is open."""
        deadline = time.monotonic() + timeout_s
        while self.status()[name]["link"] != "up":
            assert time.monotonic() < deadline, f"{self.status()}\n{self.log.read_text()}"
            time.sleep(0.02)

    def until(self, true: Callable[[], object], timeout_s: float = 10) -> None:
        """Wait until what was told makes it true."""
        deadline = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < deadline, f"{self.told[-3:]}\n{self.log.read_text()}"
            self._take(0.1)

    def texts(self) -> list[str]:
        """Return the first code of each scan."""
        self._take(0)
        return [one["codes"][0]["value"] for one in self.told if "codes" in one]

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._thread.join(5)
            self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def _take(self, wait_s: float) -> dict[str, Any] | None:
        """Take all lines there are; return the status, if it was among them."""
        found = None
        while True:
            try:
                one = json.loads(self._lines.get(block=wait_s > 0, timeout=wait_s))
            except queue.Empty:
                return found
            wait_s = 0
            if "status" in one:
                found = one["status"]
            else:
                self.told.append(one)

    def _until(self, what: str, timeout_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while (found := self._take(0.1)) is None:
            assert time.monotonic() < deadline, f"no {what}\n{self.log.read_text()}"
        return found


def _tell(what: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


def _take(told: Emitted) -> None:
    if not isinstance(told, Gone):
        _tell(told)


async def _run(sources: list[Source]) -> None:
    tasks = [asyncio.create_task(source.run(_take)) for source in sources]
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        _tell({"status": {source.name: source.status() for source in sources}})
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _main(site: Path) -> None:
    catalog, _ = load_catalog(None)
    sources, faults = build_all(load_site(site), catalog, SystemClock(), random.Random(1))
    if faults:
        raise SystemExit("\n".join(map(str, faults)))
    asyncio.run(_run(sources))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
