"""Clocks that are moved: what Python's `time` and mosquitto say in the processes of a campaign.

The clock since boot and the kernel keep the machine's.
"""

import os
from pathlib import Path

from simulators.processes import module_environment
from tests.support.mosquitto import MOSQUITTO

HOUR_S = 3_600
_SHIM = """\
import pathlib
import time

_time, _time_ns = time.time, time.time_ns
_ahead = pathlib.Path(__file__).with_name("ahead_s")
time.time = lambda: _time() + int(_ahead.read_text())
time.time_ns = lambda: _time_ns() + int(_ahead.read_text()) * 10**9
"""
_BROKER = """\
#!/bin/sh
exec env DONT_FAKE_MONOTONIC=1 faketime -f {s:+}s {real} "$@"
"""


class Clocks:
    """Of the processes that are started with what `at` returns.

    Args:
        folder: for what they look at.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def at(self, hours: int) -> tuple[str, ...]:
        """Return what comes before a command whose clock is to be so much later."""
        shim = self._shim(hours)
        shim.mkdir(exist_ok=True)
        (shim / "sitecustomize.py").write_text(_SHIM)
        broker = shim / "mosquitto"
        broker.write_text(_BROKER.format(s=hours * HOUR_S, real=MOSQUITTO))
        broker.chmod(0o755)
        self.turn(hours, hours)
        modules = os.pathsep.join([str(shim), module_environment()["PYTHONPATH"]])
        programs = os.pathsep.join([str(shim), os.environ["PATH"]])
        return ("env", f"PYTHONPATH={modules}", f"PATH={programs}")

    def turn(self, started: int, hours: int) -> None:
        """Turn the clock of what was started with `at(started)` while it runs."""
        shim = self._shim(started)
        draft = shim / "ahead_s.new"
        draft.write_text(str(hours * HOUR_S))
        draft.replace(shim / "ahead_s")

    def _shim(self, hours: int) -> Path:
        return self._folder / f"clock{hours:+}h"
