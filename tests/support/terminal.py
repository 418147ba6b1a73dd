"""A program in a terminal of its own, driven by keys, read by what it writes."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence

_ESCAPES = re.compile(r"\x1b(\[[0-9;?=<>]*[ -/]*[@-~]|\][^\x07]*\x07|[PX^_].*?\x1b\\|.)", re.DOTALL)


class Terminal:
    """One program, 40 columns by 20 lines."""

    def __init__(self, arguments: Sequence[str], *, controlling: bool = False) -> None:
        """Start it; `controlling`: the kernel tells it by SIGHUP when the terminal is gone."""
        self._screen, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 40, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=child,
            stdout=child,
            stderr=child,
            env=os.environ | {"TERM": "xterm-256color", "LANG": "C.UTF-8"},
            start_new_session=True,
            preexec_fn=_control if controlling else None,  # noqa: PLW1509  # no threads in it yet
        )
        os.close(child)
        self._written = ""

    def type(self, text: str) -> None:
        """Type a line and Enter."""
        os.write(self._screen, text.encode() + b"\r")

    def press(self, escape: str) -> None:
        """Press a key by what it sends."""
        os.write(self._screen, escape.encode())

    def wait_for(self, text: str, timeout_s: float = 30) -> None:
        """Wait until the program has written a text since the last wait that found its own."""
        deadline = time.monotonic() + timeout_s
        while text not in self._written:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not self._read(left_s):
                raise TimeoutError(f"{text!r} not in {self._written[-2000:]!r}")
        self._written = self._written.partition(text)[2]

    def kill(self) -> None:
        """Kill it at once."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def vanish(self) -> None:
        """Let go of the terminal as a window that is closed, or a connection that broke."""
        os.close(self._screen)
        self._screen = -1

    def close(self) -> None:
        """Kill it if it still runs, and let go of the terminal."""
        if self.process.poll() is None:
            self.kill()
        if self._screen >= 0:
            os.close(self._screen)

    def _read(self, wait_s: float) -> bool:
        if not select.select([self._screen], [], [], wait_s)[0]:
            return False
        try:
            raw = os.read(self._screen, 65_536)
        except OSError:
            return False
        self._written += _ESCAPES.sub("", raw.decode(errors="replace"))
        return bool(raw)


def _control() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
