"""Simulated scanners of each kind, for the tests that all kinds must pass."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from simulators.keyboard import Keyboard
from simulators.plug import SerialPlug


class ScannerRig(Protocol):
    """A scanner in the hands of a test; begins pulled out."""

    @property
    def kind(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def environment(self) -> Mapping[str, str]: ...
    def plug(self) -> None: ...
    def unplug(self) -> None: ...
    def close(self) -> None: ...

    def scan(self, text: str, end: str = "\r") -> None:
        """Send a text and what ends it."""
        ...


class SerialRig:
    kind = "barcode_serial"
    environment: Mapping[str, str] = {}

    def __init__(self, folder: Path) -> None:
        self._plug = SerialPlug(folder / "scanner")
        self.device = str(self._plug.link)
        self.plug, self.unplug = self._plug.plug, self._plug.unplug
        self.close = self._plug.unplug

    def scan(self, text: str, end: str = "\r") -> None:
        self._plug.send((text + end).encode())


class KeyboardRig:
    kind = "barcode_hid"

    def __init__(self, folder: Path) -> None:
        del folder
        self._keyboard = Keyboard()
        self.device = self._keyboard.name
        self.environment = self._keyboard.environment
        self.plug, self.unplug = self._keyboard.plug, self._keyboard.unplug
        self.close = self._keyboard.close

    def scan(self, text: str, end: str = "\r") -> None:
        self._keyboard.type_text(text, end=end.replace("\r\n", "\r"))


RIGS: Mapping[str, type[SerialRig] | type[KeyboardRig]] = {
    "barcode_serial": SerialRig,
    "barcode_hid": KeyboardRig,
}


def missing_for(kind: str) -> str | None:
    """Tell why a kind cannot be tested on this machine."""
    if kind != "barcode_hid":
        return None
    if shutil.which("umockdev-run") is None:
        return "umockdev is not installed (Debian: apt-get install umockdev)"
    try:
        import evdev  # noqa: F401
    except ImportError:
        return "python-evdev is not built (tests/reader_packages.sh)"
    return None
