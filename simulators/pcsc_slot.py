"""A contactless PC/SC reader's slot for vpcd: it shows the tag in its field as a smart card.

vpcd listens on one TCP port a slot; whoever is connected is the card. A message is two bytes of
length and a body: one byte is a control code, anything else an APDU to answer.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from functools import reduce
from operator import xor
from typing import Literal

from simulators.hf_field import HfField
from simulators.hf_tags import Tag, Type4Tag

LOOK_S = 0.02
"""How soon a slot sees that its field has changed."""
GET_ATR = 4
NO_SUCH_INSTRUCTION, NOT_FOUND, FAILED = b"\x6d\x00", b"\x6a\x82", b"\x63\x00"
_CARD_NAMES = {
    "A": bytes.fromhex("030003"),
    "V": bytes.fromhex("0B0014"),
    "F": bytes.fromhex("11003B"),
}
"""PC/SC part 3, supplement: standard and name of a storage card."""

Passthrough = Literal["pn532", "transparent"]


class PcscSlot:
    """One slot, in a thread of its own, until `close`."""

    def __init__(
        self,
        field: HfField,
        dial: Callable[[], socket.socket],
        *,
        passthrough: Passthrough | None = "pn532",
    ) -> None:
        """Begin to serve.

        Args:
            field: what lies at the antenna.
            dial: connects to the slot's port; raises OSError while nobody listens.
            passthrough: how this make of reader lets commands through to the chip, if it does.

        """
        self._field, self._dial, self._passthrough = field, dial, passthrough
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="pcsc-slot")
        self._thread.start()

    def close(self) -> None:
        """Take the card out and end."""
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.is_set():
            tag = self._field.tag
            if tag is None:
                self._stop.wait(LOOK_S)
                continue
            try:
                with self._dial() as link:
                    self._serve(link, tag)
            except (OSError, EOFError):
                self._stop.wait(LOOK_S)

    def _serve(self, link: socket.socket, tag: Tag) -> None:
        """Be the card until it is gone.

        Raises:
            OSError, EOFError: the driver has gone.

        """
        link.settimeout(LOOK_S)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            length = int.from_bytes(self._receive(link, 2), "big")
            body = self._receive(link, length)
            if not body:
                return
            if len(body) == 1:
                if body[0] == GET_ATR:
                    _send(link, answer_to_reset(self._field.tag or tag))
                continue
            reply = self._apdu(body)
            if reply is None:
                return
            _send(link, self._field.spoil(reply) if self._field.spoil else reply)

    def _receive(self, link: socket.socket, length: int) -> bytes:
        """Return so many bytes; nothing when the card is taken away meanwhile."""
        data = b""
        while len(data) < length:
            # The driver writes length and body apart: without an immediate acknowledgement each
            # message takes 50 ms.
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            try:
                part = link.recv(length - len(data))
            except TimeoutError:
                if self._field.tag is None or self._stop.is_set():
                    return b""
                continue
            if not part:
                raise EOFError
            data += part
        return data

    def _apdu(self, data: bytes) -> bytes | None:
        """Answer as the reader does; None when the tag is gone."""
        tag = self._field.touch()
        if tag is None:
            return None
        if len(data) < 4:
            return b"\x67\x00"
        if data[0] != 0xFF:
            return tag.apdu(data) if isinstance(tag, Type4Tag) else b"\x6e\x00"
        instruction, p1, p2 = data[1:4]
        if (instruction, p1, p2) == (0xCA, 0, 0):
            return tag.uid + b"\x90\x00"
        if instruction == 0xB0:
            return _read_binary(tag, p2, data[4] if len(data) > 4 else 0)
        if instruction == 0xD6 and len(data) == 9:
            written = tag.command(bytes([0xA2, p2]) + data[5:]) == b"\x0a"
            return b"\x90\x00" if written else FAILED
        return self._pass_through(tag, data)

    def _pass_through(self, tag: Tag, data: bytes) -> bytes:
        if self._passthrough == "pn532" and data[1:4] == b"\0\0\0" and data[5:7] == b"\xd4\x42":
            answer = tag.command(data[7:])
            status = b"\x01" if answer is None else b"\x00" + answer
            return b"\xd5\x43" + status + b"\x90\x00"
        if self._passthrough == "transparent" and data[1:4] == b"\xc2\x00\x00":
            return b"\x90\x00"
        if self._passthrough == "transparent" and data[1:4] == b"\xc2\x00\x01":
            answer = tag.command(data[7:-1])
            if answer is None:
                return bytes.fromhex("C0030164019000")
            told = bytes.fromhex("C003009000") + b"\x97" + bytes([len(answer)]) + answer
            return told + b"\x90\x00"
        return NO_SUCH_INSTRUCTION


def answer_to_reset(tag: Tag) -> bytes:
    """Return the ATR that a contactless reader makes up for a tag (PC/SC part 3, 3.1.3.2.3)."""
    if isinstance(tag, Type4Tag):
        body = b"\x80\x80\x01"
        head = bytes([0x80 | len(body)])
        atr = b"\x3b" + head + b"\x80\x01" + body
    else:
        body = b"\x80\x4f\x0c\xa0\x00\x00\x03\x06" + _CARD_NAMES[tag.technology] + bytes(4)
        atr = bytes([0x3B, 0x80 | len(body), 0x80, 0x01]) + body
    return atr + bytes([reduce(xor, atr[1:])])


def _read_binary(tag: Tag, block: int, length: int) -> bytes:
    if tag.technology == "A":
        answer = tag.command(bytes([0x30, block]))
        wanted = length or 16
        if answer is None or len(answer) < wanted:
            return NOT_FOUND
        return answer[:wanted] + b"\x90\x00"
    if tag.technology == "V":
        answer = tag.command(bytes([0x02, 0x20, block]))
        if answer is None or answer[0]:
            return NOT_FOUND
        return answer[1:] + b"\x90\x00"
    return NOT_FOUND


def _send(link: socket.socket, body: bytes) -> None:
    link.settimeout(5)
    with contextlib.suppress(TimeoutError):
        link.sendall(struct.pack(">H", len(body)) + body)
    link.settimeout(LOOK_S)
