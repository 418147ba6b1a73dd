"""A UHF module of the R200 / M100 family behind a pseudo-terminal; it can be pulled and put back.

It writes the vendor's frames by code of its own, so that it also checks the gateway's.
"""

import os
import pty
import select
import struct
import threading
import tty
from collections.abc import Callable
from pathlib import Path

from protocols.tag_memory import crc16
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
        self._link = link
        self._line: _Line | None = None

    def plug(self) -> None:
        """Appear."""
        self._line = _Line(self)
        spare = self._link.with_name(f"{self._link.name}.new")
        spare.symlink_to(self._line.path)
        spare.replace(self._link)

    def unplug(self) -> None:
        """Vanish, whatever is going on."""
        self._link.unlink(missing_ok=True)
        line, self._line = self._line, None
        if line is not None:
            line.close()


class _Line:
    """The module from one plugging in to the next pulling out."""

    def __init__(self, module: UhfModule) -> None:
        self._module = module
        self._rounds, self._chosen, self._buffer = 0, b"", b""
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._wake, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run, name="uhf-module", daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.close(self._stop)
        self._thread.join()
        for descriptor in (self._wake, self._master, self._slave):
            os.close(descriptor)

    def _run(self) -> None:
        while True:
            wait_s = ROUND_S if self._rounds else None
            ready, _, _ = select.select([self._master, self._wake], [], [], wait_s)
            if self._wake in ready:
                return
            if self._master in ready:
                self._buffer += os.read(self._master, 4096)
                self._take_frames()
            self._rounds = 0 if self._module.deaf else max(0, self._rounds - 1)
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
            if not self._module.deaf:
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
            self._module.power_dbm = int.from_bytes(parameters, "big") / 100
            self._reply(command, b"\0")
        elif command == 0x12:
            self._reply(command, b"\0")
        elif command == _READ:
            self._read(*struct.unpack(">4xBHH", parameters))
        else:
            self._reply(_ERROR, bytes([_UNKNOWN]))

    def _inventory(self) -> None:
        tags = self._module.field.seen()
        for tag in tags:
            body = tag.pc + tag.epc
            self._send(
                2, _INVENTORY, bytes([tag.rssi_dbm & 0xFF]) + body + crc16(body).to_bytes(2, "big")
            )
        if not tags:
            self._reply(_ERROR, bytes([_NO_TAG]))

    def _read(self, bank: int, offset_words: int, words: int) -> None:
        tag = self._module.field.find(self._chosen)
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
        os.write(self._master, self._module.noise + self._module.bend(found))
