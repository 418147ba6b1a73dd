"""A PC/SC reader under the contract: a real pcscd with virtual readers, in its own namespaces."""

import atexit
import functools
import importlib.util
import os
import shutil
import signal
import tempfile
from functools import partial
from pathlib import Path

from edge.settings import Reader
from edge.sources.base import OpenDriver
from simulators.pcsc_slot import PcscSlot
from simulators.pcscd import Pcscd
from simulators.pcscd import missing as pcscd_missing
from tests.support.hf import FieldHarness

READERS = ("Hall 1", "Hall 2")
NOTICE_S = 0.8
"""pcscd asks this driver each 0.4 s."""


def missing() -> str | None:
    """Say what this machine lacks."""
    if importlib.util.find_spec("smartcard") is None:
        return "pyscard is not installed (tests/reader_packages.sh)"
    return pcscd_missing()


@functools.cache
def socket_folder() -> Path:
    """Return the folder of this process' daemons: the client library asks once where it is."""
    folder = Path(tempfile.mkdtemp(prefix="pcscd-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class PcscHarness(FieldHarness):
    """Two readers; the source is on the first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(NOTICE_S)
        self.reader = Reader(id="hall-1", kind="pcsc", device=READERS[0], away_s=0.5)
        self.daemon = Pcscd(socket_folder(), READERS)
        os.environ.update(self.daemon.environment)
        self.daemon.start()
        self._slot = PcscSlot(self.field, partial(self.daemon.dial, READERS[0]))

    def open(self, reader: Reader) -> OpenDriver:
        from edge.sources import pcsc

        return pcsc.opener(reader)

    def spoil(self, *, on: bool) -> None:
        self.field.spoil = (lambda reply: reply[:1]) if on else None

    def unplug(self) -> None:
        self.daemon.unplug(READERS[0])

    def plug_in(self) -> None:
        self.daemon.plug_in(READERS[0])

    def restart_daemon(self) -> None:
        self.daemon.stop(signal.SIGKILL)
        self.daemon.start()

    def close(self) -> None:
        self._slot.close()
        self.daemon.stop()
