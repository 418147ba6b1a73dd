"""A real mosquitto as a child process, on a free loopback port, with the settings that we ship."""

import os
import pwd
import random
import shutil
import socket
import subprocess
import time
from pathlib import Path

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"

CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
persistence {persistence}
persistence_location {folder}/
"""


def free_port() -> int:
    """Find a loopback port that nobody listens on.

    From below the range that the kernel gives to outgoing connections, or one of these might
    take it before the server does.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def wait_for_port(port: int, process: subprocess.Popen[bytes], timeout_s: float = 10) -> None:
    """Wait until `port` takes connections; fail at once when the process has ended."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"process ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nothing listens on {port}")


class Mosquitto:
    """A broker that can be killed and started again on the same port."""

    def __init__(self, folder: Path, *, persistence: bool = False) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:  # started as root it becomes user mosquitto
            os.chown(folder, pwd.getpwnam("mosquitto").pw_uid, -1)
            for parent in [folder, *folder.parents][:-1]:
                if parent.owner() == "root" and str(parent).startswith("/tmp/"):
                    parent.chmod(parent.stat().st_mode | 0o011)
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            CONFIG.format(port=self.port, folder=folder, persistence=str(persistence).lower())
        )
        self._config.chmod(0o644)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The broker's URL."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it listens."""
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen(
                [MOSQUITTO, "-c", str(self._config)], stdout=log, stderr=log
            )
        try:
            wait_for_port(self.port, self.process)
        except RuntimeError as error:
            text = (self.folder / "mosquitto.log").read_text(errors="replace")
            raise RuntimeError(f"mosquitto: {error}\n{text[-2000:]}") from error

    def stop(self) -> None:
        """End it with SIGTERM."""
        self._end(kill=False)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(kill=True)

    def _end(self, *, kill: bool) -> None:
        if self.process is not None and self.process.poll() is None:
            if kill:
                self.process.kill()
            else:
                self.process.terminate()
            self.process.wait(10)
