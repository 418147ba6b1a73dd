"""A fixed UHF reader that speaks LLRP 1.0.1 over TCP; its connection can be cut.

The bytes are put together by code of its own, so that it also checks the gateway's.
"""

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable

from simulators.uhf_tags import TagField, UhfTag

REPORT_S = 0.02
"""One inventory round."""
_RESPONSES = {3: 13, 14: 4, 20: 30, 21: 31, 24: 34, 40: 50, 41: 51, 42: 52}
_OK = struct.pack(">HHHH", 287, 8, 0, 0)


class LlrpReader:
    """The reader; it serves one client at a time, as a real one does."""

    def __init__(self, port: int = 0, field: TagField | None = None) -> None:
        self.field = field or TagField()
        self.refuse: dict[int, tuple[int, str]] = {}
        """By type of message: status and text of a refusal."""
        self.bend: Callable[[bytes], bytes] = bytes
        """Changes each report on its way out."""
        self.mute = False
        """It sends nothing more, not even keepalives, and yet keeps the connection."""
        self.reads_to_end = True
        """False: it refuses to read a bank of which no length is given."""
        self.acks = 0
        """Keepalives that were acknowledged."""
        self.power_index: int | None = None
        self._port = port
        self._server: socket.socket | None = None
        self._client: _Client | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Be reachable."""
        self._server = socket.create_server(("127.0.0.1", self._port))
        self._port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="llrp-reader", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Be gone: refuse connections, cut the one there is."""
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            self.drop()
            self._thread.join()
            server.close()

    def drop(self) -> None:
        """Cut the connection."""
        if self._client is not None:
            self._client.drop()

    def _run(self) -> None:
        server = self._server
        while server is not None and self._server is server:
            try:
                link, _ = server.accept()
            except OSError:
                return
            with link:
                self._client = _Client(self, link)
                if self._server is server:
                    with contextlib.suppress(OSError):
                        self._client.serve()
                self._client = None


class _Client:
    """One connection."""

    def __init__(self, reader: LlrpReader, link: socket.socket) -> None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader, self._link = reader, link
        self._buffer = b""
        self._looking = False
        self._reads: list[tuple[int, int, int]] = []
        self._keepalive_s = self._last_keepalive_s = 0.0

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        greeting = _tlv(128, struct.pack(">Q", time.time_ns() // 1000)) + _tlv(256, bytes(2))
        self._send(63, _tlv(246, greeting))
        while True:
            ready, _, _ = select.select([self._link], [], [], REPORT_S)
            if ready:
                data = self._link.recv(4096)
                if not data:
                    return
                self._buffer += data
                self._take_messages()
            if self._reader.mute:
                continue
            now_s = time.monotonic()
            if self._keepalive_s and now_s - self._last_keepalive_s > self._keepalive_s:
                self._last_keepalive_s = now_s
                self._send(62, b"")
            if self._looking:
                self._report()

    def _take_messages(self) -> None:
        while len(self._buffer) >= 10:
            head, size, number = struct.unpack_from(">HII", self._buffer)
            if len(self._buffer) < size:
                return
            body, self._buffer = self._buffer[10:size], self._buffer[size:]
            self._answer(head & 0x3FF, body, number)

    def _answer(self, kind: int, body: bytes, number: int) -> None:
        if kind == 64:
            return
        if kind == 72:
            self._reader.acks += 1
        elif kind in self._reader.refuse:
            self._send(_RESPONSES[kind], _status(*self._reader.refuse[kind]), number)
        elif kind == 1:
            self._send(11, _OK + _capabilities(), number)
        elif kind == 2:
            self._send(
                12,
                _OK + _tlv(218, struct.pack(">BH", 0, 8) + b"\0\x16\x25\xff\xfe\x12\x34\x56"),
                number,
            )
        elif kind not in _RESPONSES:
            self._send(100, _status(109, "unsupported message"), number)
        elif kind == 40 and not self._add_access(body):
            self._send(50, _status(100, "WordCount must not be 0"), number)
        else:
            self._obey(kind, body)
            self._send(_RESPONSES[kind], _OK, number)

    def _obey(self, kind: int, body: bytes) -> None:
        if kind == 3:
            at = body.find(struct.pack(">HHB", 220, 9, 1))
            self._keepalive_s = struct.unpack_from(">I", body, at + 5)[0] / 1000 if at >= 0 else 0
        elif kind == 20 and (at := body.find(struct.pack(">HH", 224, 10))) >= 0:
            self._reader.power_index = struct.unpack_from(">H", body, at + 8)[0]
        elif kind in {21, 24}:
            self._looking = kind == 24
        elif kind == 41:
            self._reads = []

    def _add_access(self, body: bytes) -> bool:
        """Take each C1G2Read of the specification: its number, bank and words."""
        self._reads, at = [], 0
        while (at := body.find(struct.pack(">HH", 341, 15), at)) >= 0:
            read, _, bank, _, words = struct.unpack_from(">HIBHH", body, at + 4)
            self._reads.append((read, bank >> 6, words))
            at += 15
        return self._reader.reads_to_end or all(words for _, _, words in self._reads)

    def _report(self) -> None:
        tags = self._reader.field.seen()
        if tags:
            body = b"".join(_tlv(240, self._tag(tag)) for tag in tags)
            self._send(61, self._reader.bend(body))

    def _tag(self, tag: UhfTag) -> bytes:
        epc = b"\x8d" + tag.epc
        if len(tag.epc) != 12:
            epc = _tlv(241, struct.pack(">H", len(tag.epc) * 8) + tag.epc)
        parts = epc + b"\x81" + struct.pack(">H", 1) + b"\x86" + struct.pack(">b", tag.rssi_dbm)
        parts += b"\x8c" + tag.pc
        for read, bank, words in self._reads:
            memory = tag.bank(bank)
            memory, result = memory[: words * 2 or None], 0
            if not tag.readable:
                memory, result = b"", 2
            elif not memory or len(memory) < words * 2:
                memory, result = b"", 4
            head = struct.pack(">BHH", result, read, len(memory) // 2)
            parts += _tlv(349, head + memory)
        return parts

    def _send(self, kind: int, body: bytes, number: int = 0) -> None:
        self._link.sendall(struct.pack(">HII", 1 << 10 | kind, 10 + len(body), number) + body)


def _capabilities() -> bytes:
    """Four antennas, 10 to 30 dBm in quarters, hopping in the Chinese band."""
    antennas = _tlv(139, struct.pack(">HH", 1, 0)) + _tlv(141, struct.pack(">HH", 4, 4))
    antennas += b"".join(_tlv(140, struct.pack(">HHB", one, 1, 1)) for one in range(1, 5))
    general = _tlv(137, struct.pack(">HHIIH", 4, 0x4000, 1, 1, 5) + b"1.2.3" + antennas)
    able = _tlv(142, struct.pack(">BBHIIIII", 0x40, 0, 0, 1, 32, 8, 100, 8))
    powers = b"".join(
        _tlv(145, struct.pack(">HH", step + 1, 1000 + 25 * step)) for step in range(81)
    )
    mode = struct.pack(">IBBBBIIIII", 1000, 0x80, 2, 1, 2, 40_000, 1500, 6250, 25_000, 0)
    hops = _tlv(147, struct.pack(">BBH", 1, 0, 2) + struct.pack(">II", 920_625, 921_125))
    band = _tlv(144, powers + _tlv(146, b"\x80" + hops) + _tlv(328, _tlv(329, mode)))
    return general + able + _tlv(143, struct.pack(">HH", 156, 5) + band)


def _status(code: int, text: str) -> bytes:
    return _tlv(287, struct.pack(">HH", code, len(text)) + text.encode())


def _tlv(kind: int, body: bytes) -> bytes:
    return struct.pack(">HH", kind, 4 + len(body)) + body
