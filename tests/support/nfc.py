"""An NFC reader under the contract: nfcpy's PN532 driver on a pseudo-terminal."""

import importlib.util
from pathlib import Path

from edge.settings import Reader
from edge.sources.base import OpenDriver
from simulators.pn532 import Pn532
from tests.support.hf import FieldHarness

NOTICE_S = 0.5


def missing() -> str | None:
    """Say what this machine lacks."""
    if importlib.util.find_spec("nfc") is None:
        return "nfcpy is not installed (tests/reader_packages.sh)"
    return None


class Pn532Harness(FieldHarness):
    """One chip."""

    def __init__(self, folder: Path) -> None:
        super().__init__(NOTICE_S)
        self._chip = Pn532(self.field, folder / "pn532")
        device = str(folder / "pn532")
        self.reader = Reader(id="hall-1", kind="nfc", device=device, away_s=0.3)

    def open(self, reader: Reader) -> OpenDriver:
        from edge.sources import nfc

        return nfc.opener(reader)

    def spoil(self, *, on: bool) -> None:
        def flip(out: bytes) -> bytes:
            return out[:-2] + bytes([out[-2] ^ 0x10]) + out[-1:]

        self.field.spoil = flip if on else None

    def unplug(self) -> None:
        self._chip.unplug()

    def plug_in(self) -> None:
        self._chip.plug_in()

    def restart_daemon(self) -> None:
        self._chip.unplug()
        self._chip.plug_in()

    def close(self) -> None:
        self._chip.unplug()
