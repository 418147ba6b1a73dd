"""Child processes of a demonstration: started in groups of their own, none left behind."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from protocols.errors import StopService

TERMINATE_S = 6.0
"""Children that have not ended by then are killed."""

TAIL_LINES = 25


def free_port() -> int:
    """Find a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def module_command(module: str, *arguments: str) -> list[str]:
    """Build the command line of a part of this project, run by this very Python."""
    return [sys.executable, "-m", module, *arguments]


def module_environment() -> dict[str, str]:
    """Build what a child needs to find the project from any folder, and to log at once."""
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


class Child:
    """A running child process and its log file."""

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, env: Mapping[str, str]
    ) -> None:
        self.name, self.log = name, folder / f"{name}.log"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def tail(self) -> str:
        """Return the last lines of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:])

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and everything it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; False when it still runs."""
        try:
            self._process.wait(max(0.0, timeout_s))
        except subprocess.TimeoutExpired:
            return False
        return True


class Family:
    """All child processes of one command.

    Args:
        folder: where their logs go.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.children: list[Child] = []

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str] = {}) -> Child:
        """Start a child with its output in `{name}.log`."""
        child = Child(name, command, self._folder, env)
        self.children.append(child)
        return child

    def check(self) -> None:
        """Look whether all still run.

        Raises:
            StopService: one has ended, with its code and the end of its log.

        """
        for child in self.children:
            if child.exit_code is not None:
                raise StopService(
                    f"{child.name} has ended with {child.exit_code}; the end of its log:\n"
                    f"{child.tail()}"
                )

    def end(self, child: Child, *, kill: bool = False) -> None:
        """End one child, which is then no longer expected to run."""
        child.signal_group(signal.SIGKILL if kill else signal.SIGTERM)
        if not child.wait(TERMINATE_S):
            child.signal_group(signal.SIGKILL)
            child.wait(2.0)
        self.children.remove(child)

    def stop(self, terminate_s: float = TERMINATE_S) -> None:
        """End all: SIGTERM to every group, SIGKILL to what is left after `terminate_s`."""
        for child in reversed(self.children):
            child.signal_group(signal.SIGTERM)
        deadline = time.monotonic() + terminate_s
        for child in self.children:
            child.wait(deadline - time.monotonic())
        for child in self.children:
            child.signal_group(signal.SIGKILL)
            child.wait(2.0)
