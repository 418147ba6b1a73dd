"""Modbus TCP: one question, one reply that fits it in every field, or a reason.

Four function codes, all of them reads; nothing else can be said here. Decision 6 tells why this
is not left to pymodbus, as serial lines are.
"""

import asyncio
import struct
from typing import cast

from edge.sources.line import UNREACHABLE, ReadFailed
from edge.sources.plan import FUNCTIONS, Block, Span
from edge.sources.sift import Question, Reason, name_tcp, well_formed_tcp
from protocols.catalog.point_map import BIT_TABLES, Table

PORT = 502
_QUESTION = struct.Struct(">HHHBBHH")
_REPLY = struct.Struct(">HHHBBB")
"""Transaction, protocol 0, length, unit, function, bytes of data."""
_HEADER = 6
_OPEN_AFTER: frozenset[Reason] = frozenset({"exception", "unit_unreachable"})
"""Failures that are whole replies; after any other the connection is closed, so that nothing late
can come."""


class _Connection(asyncio.Protocol):
    """One TCP connection; a new one is made after each failure."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._transaction = 0
        self._reply: asyncio.Future[list[int]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._question = Question(0, 0)
        self._expected = b""
        """The first nine bytes of the good reply."""
        self._size = 0
        """Bytes of data in the good reply."""
        self._count = 0
        self._bits = False
        self._received = b""
        self.unasked_bytes = 0

    @property
    def open(self) -> bool:
        """Whether questions can be sent."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        """Fail what is asked."""
        self._transport = None
        self._fail("link_down")

    def close(self) -> None:
        """Close at once, whatever waits."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._fail("link_down")

    def ask(self, unit: int, table: Table, address: int, count: int) -> asyncio.Future[list[int]]:
        """Send a question; the future brings the words, or raises ReadFailed."""
        reply = self._loop.create_future()
        if self._transport is None:
            reply.set_exception(ReadFailed("link_down"))
            return reply
        function = FUNCTIONS[table]
        self._transaction = transaction = self._transaction % 0xFFFF + 1
        self._count, self._bits = count, table in BIT_TABLES
        self._size = size = (count + 7) // 8 if self._bits else 2 * count
        self._question = Question(unit, function, transaction)
        self._expected = _REPLY.pack(transaction, 0, size + 3, unit, function, size)
        self._received = b""
        self._reply = reply
        self._timer = self._loop.call_later(self._timeout_s, self._late)
        self._transport.write(_QUESTION.pack(transaction, 0, 6, unit, function, address, count))
        return reply

    def data_received(self, data: bytes) -> None:
        """Take the reply; what fits in every field and comes alone needs no second look."""
        if self._reply is None:
            self.unasked_bytes += len(data)
        elif (
            not self._received
            and len(data) == _REPLY.size + self._size
            and data.startswith(self._expected)
        ):
            self._settle(data[_REPLY.size :])
        else:
            self._received += data
            self._judge()

    def _judge(self) -> None:
        """Find the reply among the frames that came; older answers before it do no harm."""
        data = self._received
        if not well_formed_tcp(data):
            self._fail(name_tcp(data, self._question))
            return
        while len(data) >= _HEADER:
            end = _HEADER + (data[4] << 8 | data[5])
            frame, data = data[:end], data[end:]
            if len(frame) < end:
                return
            if frame[0] << 8 | frame[1] == self._question.transaction:
                self.unasked_bytes += len(data)
                self._take(frame)
                return

    def _take(self, frame: bytes) -> None:
        unit, function, size = frame[_HEADER : _REPLY.size]
        if unit != self._question.unit:
            self._fail("wrong_unit")
        elif function & 0x7F != self._question.function:
            self._fail("wrong_function")
        elif function & 0x80:
            self._fail("unit_unreachable" if size in UNREACHABLE else "exception", size)
        elif size != self._size:
            self._fail("wrong_count")
        else:
            self._settle(frame[_REPLY.size :])

    def _settle(self, data: bytes) -> None:
        if self._bits:
            words = [data[at >> 3] >> (at & 7) & 1 for at in range(self._count)]
        else:
            words = list(struct.unpack(f">{self._count}H", data))
        reply = self._end()
        if reply is not None:
            reply.set_result(words)

    def _late(self) -> None:
        self._fail(name_tcp(self._received, self._question))

    def _fail(self, reason: Reason, exception_code: int = 0) -> None:
        reply = self._end()
        if reply is not None:
            reply.set_exception(ReadFailed(reason, exception_code))
        if reason not in _OPEN_AFTER and self._transport is not None:
            self.close()

    def _end(self) -> asyncio.Future[list[int]] | None:
        """End the question; return who still waits for the answer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        reply, self._reply = self._reply, None
        return None if reply is None or reply.done() else reply


class TcpLine:
    """The line of one Modbus TCP host."""

    confirms = False

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._host, self._port, self._timeout_s = host, port, timeout_s
        self._connection: _Connection | None = None
        self._unasked_bytes = 0
        self.rest_s = 2 * timeout_s

    @property
    def connected(self) -> bool:
        """Whether the line is open as far as anybody knows."""
        return self._connection is not None and self._connection.open

    @property
    def unasked_bytes(self) -> int:
        """Bytes that came while no question was open, or behind its reply."""
        open_now = self._connection.unasked_bytes if self._connection is not None else 0
        return self._unasked_bytes + open_now

    async def open(self) -> None:
        """Open the line if it is not.

        Raises:
            ReadFailed: `link_down`.

        """
        if self.connected:
            return
        self.close()
        loop = asyncio.get_running_loop()
        connection = _Connection(self._timeout_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                await loop.create_connection(lambda: connection, self._host, self._port)
        except (OSError, TimeoutError):
            connection.close()
            raise ReadFailed("link_down") from None
        self._connection = connection

    def read(self, unit: int, block: Block) -> asyncio.Future[list[int]]:
        """Read a block; the future raises ReadFailed."""
        return self._ask(unit, block.table, block.address, block.count)

    async def read_again(self, unit: int, block: Block, span: Span) -> tuple[Span, list[int]]:
        """Read registers a second time, at least those of `span`. Raises ReadFailed."""
        start, count = span
        return span, await self._ask(unit, block.table, block.address + start, count)

    def close(self) -> None:
        """Close the line."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._unasked_bytes += connection.unasked_bytes
            connection.close()

    def _ask(self, unit: int, table: Table, address: int, count: int) -> asyncio.Future[list[int]]:
        if self._connection is None:
            reply: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
            reply.set_exception(ReadFailed("link_down"))
            return reply
        return self._connection.ask(unit, table, address, count)
