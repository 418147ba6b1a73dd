"""A pcscd of our own with virtual readers (vpcd), shut off from the machine's own and the network.

The driver listens on all addresses and the daemon on a fixed path, so each daemon runs in a
network and a mount namespace of its own (root is needed). Its socket lies in the folder given:
clients outside reach it with `PCSCLITE_CSOCK_NAME`, which the client library reads once a process.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

DRIVERS = Path("/usr/lib/pcsc/drivers/serial")
DRIVER = "libifdvpcd.so"
FIRST_PORT = 23_000
START_S = 10.0
SOCKET_VARIABLE = "PCSCLITE_CSOCK_NAME"
_IN_NAMESPACES = (
    "ip link set lo up && mount -t tmpfs tmpfs /run && mkdir /run/pcscd"
    ' && mount --bind "$1" /run/pcscd && exec "$2" --foreground --config "$3"'
)
_CLONE_NEWNET = 0x4000_0000
_ENTRY = """\
FRIENDLYNAME "{name}"
DEVICENAME   /dev/null:{port:#06x}
LIBPATH      {library}
CHANNELID    {port:#06x}
"""


def missing() -> str | None:
    """Say what this machine lacks to run one, if anything."""
    if os.getuid() != 0:
        return "a pcscd in namespaces of its own needs root"
    for program, package in (("pcscd", "pcscd"), ("unshare", "util-linux"), ("ip", "iproute2")):
        if _program(program) is None:
            return f"{program} is not installed (Debian: apt-get install {package})"
    if not (DRIVERS / DRIVER).exists():
        return "vpcd is not installed (Debian: apt-get install vsmartcard-vpcd)"
    return None


class Pcscd:
    """The daemon; it can be killed and started again, and readers can be unplugged."""

    def __init__(self, folder: Path, readers: Sequence[str]) -> None:
        """Prepare it.

        Args:
            folder: not on /run; its path is short, as a socket lies in it.
            readers: their names; pcscd adds numbers: `Hall 1` becomes `Hall 1 00 00`.

        """
        self._folder, self._config = folder, folder / "reader.conf"
        self._ports = {name: FIRST_PORT + 2 * i for i, name in enumerate(readers)}
        self._plugged = set(readers)
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        for name in readers:
            shutil.copyfile(DRIVERS / DRIVER, self._library(name))

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs in its environment."""
        return {SOCKET_VARIABLE: str(self._folder / "pcscd.comm")}

    def start(self) -> None:
        """Start, and wait until clients are served.

        Raises:
            RuntimeError: it has ended; with what it said.

        """
        self._write_config()
        command = ["unshare", "-mn", "sh", "-ec", _IN_NAMESPACES, "sh", str(self._folder)]
        with (self._folder / "pcscd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, _program("pcscd") or "pcscd", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_S
        while not self._serves(self.process.pid):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError((self._folder / "pcscd.log").read_text(errors="replace"))
            time.sleep(0.01)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, and its namespaces with it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(10)
        self.process = None

    def unplug(self, reader: str) -> None:
        """Take a reader away; of this driver the daemon learns that by starting anew only."""
        self._plugged.discard(reader)
        self.stop()
        self.start()

    def plug_in(self, reader: str) -> None:
        """Bring a reader back, in the same way."""
        self._plugged.add(reader)
        self.stop()
        self.start()

    def dial(self, reader: str) -> socket.socket:
        """Connect to the port of a reader's first slot, from within the daemon's network.

        Raises:
            OSError: it is not there.

        """
        if self.process is None:
            raise ConnectionRefusedError("pcscd does not run")
        with _network_of(self.process.pid):
            link = socket.socket()
        try:
            link.settimeout(5)
            link.connect(("127.0.0.1", self._ports[reader]))
        except OSError:
            link.close()
            raise
        return link

    def _library(self, reader: str) -> Path:
        """Each reader has a copy: the driver keeps its slots in static variables."""
        return self._folder / f"vpcd-{self._ports[reader]}.so"

    def _write_config(self) -> None:
        entries = [
            _ENTRY.format(name=name, port=port, library=self._library(name))
            for name, port in self._ports.items()
            if name in self._plugged
        ]
        self._config.write_text("\n".join(entries))

    def _serves(self, process_id: int) -> bool:
        """Tell by the pid file: a killed daemon leaves its socket."""
        try:
            text = (self._folder / "pcscd.pid").read_text().strip("\n\0")
        except OSError:
            return False
        return text == str(process_id) and (self._folder / "pcscd.comm").exists()


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@contextlib.contextmanager
def _network_of(process_id: int) -> Iterator[None]:
    """Put the calling thread into the network of a process: its new sockets belong there."""
    with (
        Path("/proc/thread-self/ns/net").open("rb") as own,
        Path(f"/proc/{process_id}/ns/net").open("rb") as other,
    ):
        _enter(other.fileno())
        try:
            yield
        finally:
            _enter(own.fileno())


def _enter(namespace: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(namespace, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
