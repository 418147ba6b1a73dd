"""UHF readers for contract and campaign: a module on a pseudo-terminal, and one over LLRP."""

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from edge.settings import Reader
from edge.sources import llrp, uhf_serial
from edge.sources.base import OpenDriver
from edge.sources.gen2 import GRACE_S
from simulators.llrp_reader import LlrpReader
from simulators.uhf_module import UhfModule
from simulators.uhf_tags import TagField, UhfTag, cylinder_tag
from tests.support.readers import Told

AWAY_S = 0.5
NOTICE_S = 0.2
"""A hand that pulls out and plugs in takes longer, and by then the driver has seen it."""


def missing() -> str | None:
    """Return None: nothing but Python is needed."""
    return None


def tag(number: int) -> UhfTag:
    """Return a tag; every fourth has no user memory, every fourth a long EPC."""
    if number % 4 == 2:
        return cylinder_tag(number)
    if number % 4 == 3:
        return replace(cylinder_tag(number), epc=bytes([0x38]) + number.to_bytes(25, "big"))
    return cylinder_tag(number, user=bytes([number & 0xFF, 0x7E, 0xBB, 1]) * 14)


class _Plug(Protocol):
    @property
    def field(self) -> TagField: ...


class _UhfHarness:
    """What both have in common."""

    def __init__(self, device: _Plug) -> None:
        self._field = device.field

    def told(self, number: int) -> Told:
        """Return what must be told of a tag."""
        known = tag(number)
        banks = {"pc": known.pc, "epc": known.epc, "tid": known.tid}
        return Told(known.epc, banks | ({"user": known.user} if known.user else {}))

    def bring(self, number: int) -> None:
        """Bring a tag."""
        self._field.put(tag(number))

    def take_away(self) -> None:
        """Take every tag away."""
        self._field.take(*self._field.seen())

    def tear(self, number: int) -> None:
        """Let a tag pass so far away that it is seen, and never read."""
        self._field.put(replace(tag(number), readable=False))
        time.sleep(0.2)
        self.take_away()
        time.sleep(GRACE_S + 0.5)

    def two_at_once(self, number: int, other: int) -> None:
        """Bring two tags; the first goes while the second is being read."""
        self._field.put(tag(number), tag(other))
        time.sleep(0.03)
        self._field.take(tag(number))


class UhfModuleHarness(_UhfHarness):
    """A module on a serial line."""

    def __init__(self, folder: Path) -> None:
        self._module = UhfModule(folder / "uhf")
        self._module.plug()
        super().__init__(self._module)
        self.reader = Reader(id="uhf", kind="uhf_serial", device=str(folder / "uhf"), away_s=AWAY_S)

    def open(self, reader: Reader) -> OpenDriver:
        """Call `opener` of the driver's module."""
        return uhf_serial.opener(reader)

    def spoil(self, *, on: bool) -> None:
        """Flip a bit in each frame."""
        self._module.bend = _flipped if on else bytes

    def unplug(self) -> None:
        """Pull it out."""
        self._module.unplug()
        time.sleep(NOTICE_S)

    def plug_in(self) -> None:
        """Plug it in."""
        self._module.plug()

    def restart_daemon(self) -> None:
        """Let the module lose its power for a moment; the adapter goes with it."""
        self._module.unplug()
        self._module.plug()

    def close(self) -> None:
        """End everything."""
        self._module.unplug()


class LlrpHarness(_UhfHarness):
    """A fixed reader over TCP."""

    def __init__(self, folder: Path) -> None:
        self._device = LlrpReader()
        self._device.start()
        super().__init__(self._device)
        self.reader = Reader(id="uhf", kind="llrp", device=self._device.address, away_s=AWAY_S)

    def open(self, reader: Reader) -> OpenDriver:
        """Call `opener` of the driver's module."""
        return llrp.opener(reader)

    def spoil(self, *, on: bool) -> None:
        """Cut the last byte of each report."""
        self._device.bend = (lambda body: body[:-1]) if on else bytes

    def unplug(self) -> None:
        """Take it off the network."""
        self._device.stop()
        time.sleep(NOTICE_S)

    def plug_in(self) -> None:
        """Put it on the network."""
        self._device.start()

    def restart_daemon(self) -> None:
        """Restart the reader."""
        self._device.stop()
        self._device.start()

    def close(self) -> None:
        """End everything."""
        with contextlib.suppress(OSError):
            self._device.stop()


def _flipped(frame: bytes) -> bytes:
    middle = len(frame) // 2
    return frame[:middle] + bytes([frame[middle] ^ 0x10]) + frame[middle + 1 :]
