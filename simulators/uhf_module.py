"""A UHF module of the R200 / M100 family behind a pseudo-terminal; it can be pulled and put back.

It writes the vendor's frames by code of its own, so that it also checks the gateway's.
"""

import contextlib
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from protocols.tag_memory import crc16
from simulators.plug import SerialPlug
from simulators.uhf_tags import TagField

ROUND_S = 0.01
"""One inventory round."""
_INVENTORY, _MANY, _STOP, _READ, _ERROR = 0x22, 0x27, 0x28, 0x39, 0xFF
_NO_TAG, _READ_FAILED, _UNKNOWN, _OVERRUN = 0x15, 0x09, 0x17, 0xA3


class UhfModule:
    """The module and its plug; `link` is the device path while it is plugged in."""

    def __init__(self, link: Path, field: TagField | None = None) -> None:
        self.field = field or TagField()
        self.noise = b""
        """Comes before each frame."""
        self.bend: Callable[[bytes], bytes] = bytes
        """Changes each frame on its way out: cuts it, flips bits."""
        self.deaf = False
        """It answers nothing, and an inventory that runs ends."""
        self.power_dbm: float | None = None
        self._plug = SerialPlug(link)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._rounds, self._chosen, self._buffer = 0, b"", b""

    def plug(self) -> None:
        """Appear, powered up."""
        self._rounds, self._chosen, self._buffer = 0, b"", b""
        self._plug.plug()
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="uhf-module", daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Vanish, whatever is going on."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None
            self._plug.unplug()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._buffer += self._plug.receive(ROUND_S)
            self._take_frames()
            self._rounds = 0 if self.deaf else max(0, self._rounds - 1)
            if self._rounds:
                self._inventory()

    def _take_frames(self) -> None:
        while len(self._buffer) >= 7:
            size = 7 + int.from_bytes(self._buffer[3:5], "big")
            if len(self._buffer) < size:
                return
            found, self._buffer = self._buffer[:size], self._buffer[size:]
            body = found[1:-2]
            if found[0] != 0xBB or found[-1] != 0x7E or sum(body) & 0xFF != found[-2]:
                self._buffer = b""
                return
            if not self.deaf:
                self._answer(body[1], body[4:])

    def _answer(self, command: int, parameters: bytes) -> None:
        if command == 0x03:
            self._reply(command, b"\0" + b"Simulated M100 V1.0")
        elif command == _INVENTORY:
            self._inventory()
        elif command == _MANY:
            self._rounds = int.from_bytes(parameters[1:3], "big")
        elif command == _STOP:
            self._rounds = 0
            self._reply(command, b"\0")
        elif command == 0x0C:
            self._chosen = parameters[7:]
            self._reply(command, b"\0")
        elif command == 0xB6:
            self.power_dbm = int.from_bytes(parameters, "big") / 100
            self._reply(command, b"\0")
        elif command == 0x12:
            self._reply(command, b"\0")
        elif command == _READ:
            self._read(*struct.unpack(">4xBHH", parameters))
        else:
            self._reply(_ERROR, bytes([_UNKNOWN]))

    def _inventory(self) -> None:
        tags = self.field.seen()
        for tag in tags:
            body = tag.pc + tag.epc
            self._send(
                2, _INVENTORY, bytes([tag.rssi_dbm & 0xFF]) + body + crc16(body).to_bytes(2, "big")
            )
        if not tags:
            self._reply(_ERROR, bytes([_NO_TAG]))

    def _read(self, bank: int, offset_words: int, words: int) -> None:
        tag = self.field.find(self._chosen)
        if tag is None:
            self._reply(_ERROR, bytes([_READ_FAILED]))
            return
        head = bytes([2 + len(tag.epc)]) + tag.pc + tag.epc
        memory = tag.bank(bank)
        if (offset_words + words) * 2 > len(memory):
            self._reply(_ERROR, bytes([_OVERRUN]) + head)
        else:
            start = offset_words * 2
            self._reply(_READ, head + memory[start : start + words * 2])

    def _reply(self, command: int, parameters: bytes) -> None:
        self._send(1, command, parameters)

    def _send(self, kind: int, command: int, parameters: bytes) -> None:
        body = struct.pack(">BBH", kind, command, len(parameters)) + parameters
        found = b"\xbb" + body + bytes([sum(body) & 0xFF, 0x7E])
        with contextlib.suppress(TimeoutError):  # nobody reads: lost, as on a real line
            self._plug.send(self.noise + self.bend(found), timeout_s=0)
