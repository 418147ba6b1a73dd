"""A PN532 NFC chip on a pseudo-terminal: of its host protocol what reading tags takes.

Frames: 00 00 FF, length, its complement, body, complement of the body's sum, 00 (PN532 user
manual, 6.2). The path of the serial line is a link that is replaced when it is plugged in again.
"""

import os
import pty
import select
import threading
import tty
from pathlib import Path

from simulators.hf_field import HfField
from simulators.hf_tags import Type2Tag, Type3Tag, Type4Tag

ACKNOWLEDGE = bytes.fromhex("0000FF00FF00")
FIRMWARE = bytes.fromhex("32010607")
TIMED_OUT = b"\x01"
LOOK_S = 0.02
"""How soon it sees that it is pulled out."""
_MORE_LENGTH = b"\xff\xff"
_FIFO, _RECEIVE_MODE = b"\x63\x39", b"\x63\x03"


class Pn532:
    """The chip; pulled out and plugged in at will."""

    def __init__(self, field: HfField, link: Path) -> None:
        """Plug it in.

        Args:
            field: what lies at the antenna.
            link: becomes the path of the serial line.

        """
        self._field, self._link = field, link
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._registers: dict[bytes, int] = {}
        self.plug_in()

    def plug_in(self) -> None:
        """Appear at the path, powered up."""
        if self._thread is not None:
            return
        ends = pty.openpty()
        tty.setraw(ends[1])
        new = self._link.with_name(self._link.name + ".new")
        new.symlink_to(os.ttyname(ends[1]))
        new.replace(self._link)
        self._registers = {}
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, args=ends, daemon=True, name="pn532")
        self._thread.start()

    def unplug(self) -> None:
        """Vanish, as a USB adapter does."""
        if self._thread is None:
            return
        self._link.unlink(missing_ok=True)
        self._stop.set()
        self._thread.join(5)
        self._thread = None

    def _run(self, host: int, device: int) -> None:
        buffer = bytearray()
        while not self._stop.is_set():
            if not select.select([host], [], [], LOOK_S)[0]:
                continue
            buffer += os.read(host, 4096)
            while (body := _take_frame(buffer)) is not None:
                if body[:1] == b"\xd4":
                    answer = self._command(body[1], body[2:])
                    out = ACKNOWLEDGE + frame(bytes([0xD5, body[1] + 1]) + answer)
                    os.write(host, self._field.spoil(out) if self._field.spoil else out)
        os.close(host)
        os.close(device)

    def _command(self, code: int, data: bytes) -> bytes:
        if code == 0x00:  # Diagnose: the line test echoes
            return data
        if code == 0x02:
            return FIRMWARE
        if code == 0x06:
            return bytes(self._registers.get(data[i : i + 2], 0) for i in range(0, len(data), 2))
        if code == 0x08:
            for i in range(0, len(data), 3):
                self._registers[data[i : i + 2]] = data[i + 2]
            return b""
        if code == 0x16:
            return b"\0"
        if code == 0x4A:
            return self._list_target(data)
        if code == 0x42:
            return self._communicate(data)
        return b""  # parameters, RF configuration, serial rate

    def _list_target(self, data: bytes) -> bytes:
        tag = self._field.touch()
        if isinstance(tag, Type2Tag | Type4Tag) and data[1] == 0:
            if len(data) == 2 or data[2:].endswith(tag.uid):
                tag.activate()
                head = tag.sens_res[::-1] + tag.sel_res + bytes([len(tag.uid)])
                return b"\x01\x01" + head + tag.uid
        elif isinstance(tag, Type3Tag) and data[1] in (1, 2):
            answer = tag.command(bytes([len(data) - 1]) + data[2:])
            return b"\x01\x01" + answer if answer else b"\0"
        self._registers[_FIFO] = 0x26  # the request that nobody answered
        return b"\0"

    def _communicate(self, data: bytes) -> bytes:
        tag = self._field.touch()
        answer = tag.command(data) if tag is not None else None
        if answer is None:
            return TIMED_OUT
        checked = self._registers.get(_RECEIVE_MODE, 0) & 0x80
        if isinstance(tag, Type2Tag) and not checked and len(answer) > 1:
            answer += crc_a(answer)
        return b"\0" + answer


def frame(body: bytes) -> bytes:
    """Wrap a body; beyond 255 bytes in an extended frame."""
    length = len(body)
    if length < 0x100:
        head = bytes([length, -length & 0xFF])
    else:
        long = length.to_bytes(2, "big")
        head = _MORE_LENGTH + long + bytes([-sum(long) & 0xFF])
    return b"\0\0\xff" + head + body + bytes([-sum(body) & 0xFF, 0])


def crc_a(data: bytes) -> bytes:
    """Return the checksum of ISO 14443-3 type A."""
    crc = 0x6363
    for byte in data:
        mixed = byte ^ crc & 0xFF
        mixed ^= mixed << 4 & 0xFF
        crc = crc >> 8 ^ mixed << 8 ^ mixed << 3 ^ mixed >> 4
    return bytes([crc & 0xFF, crc >> 8 & 0xFF])


def _take_frame(buffer: bytearray) -> bytes | None:
    """Cut the first whole frame off; an acknowledgement gives an empty body."""
    start = buffer.find(b"\0\xff")
    if start < 0 or len(buffer) < start + 4:
        return None
    if buffer[start + 2 : start + 4] == b"\0\xff":
        del buffer[: start + 4]
        return b""
    length, begin = buffer[start + 2], start + 4
    if buffer[start + 2 : start + 4] == _MORE_LENGTH:
        length, begin = int.from_bytes(buffer[start + 4 : start + 6], "big"), start + 7
    if len(buffer) < begin + length + 1:
        return None
    body = bytes(buffer[begin : begin + length])
    del buffer[: begin + length + 1]
    return body
