"""An HF field on a UDP port, as the `udp` driver of nfcpy speaks: `106A 26` in ASCII, no CRC."""

import socket
import threading
from functools import reduce
from operator import xor

from simulators.hf_field import HfField
from simulators.hf_tags import Type2Tag, Type3Tag, Type4Tag


class UdpField:
    """Answers on a loopback port until `close`."""

    def __init__(self, field: HfField, port: int = 0) -> None:
        """Begin to serve; 0 takes a free port."""
        self._field = field
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self._socket.settimeout(0.1)
        self.port: int = self._socket.getsockname()[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="nfc-udp")
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join(5)
        self._socket.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                text, sender = self._socket.recvfrom(1024)
            except TimeoutError:
                continue
            technology, _, data = text.partition(b" ")
            if technology == b"RFOFF":
                continue
            answer = self._answer(technology.decode()[-1:], bytes.fromhex(data.decode()))
            if answer is not None:
                self._socket.sendto(technology + b" " + answer.hex().encode(), sender)

    def _answer(self, technology: str, data: bytes) -> bytes | None:
        tag = self._field.tag
        if tag is None or tag.technology != technology or not data:
            return None
        if isinstance(tag, Type3Tag):
            return self._field.answer(data)
        if not isinstance(tag, Type2Tag | Type4Tag):
            return None
        if data == b"\x26":
            tag.activate()
            return tag.sens_res
        if data[0] in (0x93, 0x95) and data[1:2] in (b"\x20", b"\x70"):
            return _anticollision(tag, data)
        return self._field.answer(data)


def _anticollision(tag: Type2Tag | Type4Tag, data: bytes) -> bytes | None:
    levels = [tag.uid] if len(tag.uid) == 4 else [b"\x88" + tag.uid[:3], tag.uid[3:7]]
    level = (data[0] - 0x93) // 2
    if level >= len(levels):
        return None
    if data[1] == 0x20:
        return levels[level] + bytes([reduce(xor, levels[level])])
    more = 4 if level + 1 < len(levels) else 0
    return bytes([tag.sel_res[0] & 0xFB | more])
