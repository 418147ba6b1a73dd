"""The strict wrapper around pymodbus: one reply to one question, or a reason.

pymodbus returns replies with another function code or count as good, and lets any function code
out. Here a reply counts only when unit, function, count and (on TCP) transaction fit and nothing
else came with it; and nothing but reads leaves, whatever asks for it.
"""

import asyncio
from collections.abc import Callable

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from edge.sources.plan import FUNCTIONS
from edge.sources.sift import Question, Reason, name_rtu, name_tcp, sift_rtu, sift_tcp
from protocols.catalog.point_map import Table
from protocols.errors import RetryLater, StopService

Client = AsyncModbusSerialClient | AsyncModbusTcpClient
Trace = Callable[[bool, bytes], bytes]
MakeClient = Callable[[Trace], Client]

_REQUESTS: dict[Table, type[ModbusPDU]] = {
    "coil": ReadCoilsRequest,
    "discrete_input": ReadDiscreteInputsRequest,
    "holding_register": ReadHoldingRegistersRequest,
    "input_register": ReadInputRegistersRequest,
}
_READ_CODES = frozenset(FUNCTIONS.values())
_UNREACHABLE = frozenset({0x0A, 0x0B})
"""A gateway's word that the unit behind it does not answer."""
_GLITCH_BYTES_MAX = 2
"""Bytes after a frame on a serial line that a switching transmitter makes; no frame is so short."""
_REQUESTS_KEPT_MAX = 4096


class ReadFailed(RetryLater):
    """A question got no reply that can be believed."""

    def __init__(self, reason: Reason, exception_code: int = 0) -> None:
        super().__init__(f"{reason} {exception_code:#04x}" if exception_code else reason)
        self.reason: Reason = reason
        self.exception_code = exception_code


class ModbusLink:
    """One connection or serial line; asks one question at a time."""

    def __init__(self, make_client: MakeClient, *, transactions: bool) -> None:
        self._make_client = make_client
        self._transactions = transactions
        """Whether frames carry a transaction number (Modbus TCP) or a CRC (RTU)."""
        self._client: Client | None = None
        self._requests: dict[tuple[int, Table, int, int], ModbusPDU] = {}
        self._open: ModbusPDU | None = None
        self._received = b""
        self._sifted = b""
        self.last_byte_at = 0.0
        """Loop time when a line without transactions last spoke, either way."""
        self.unasked_bytes = 0
        """Bytes that came while no question was open."""

    @property
    def connected(self) -> bool:
        """Whether the line is open as far as anybody knows."""
        return self._client is not None and self._client.connected

    async def open(self) -> None:
        """Open the line if it is not.

        Raises:
            ReadFailed: `link_down`.

        """
        if self.connected:
            return
        self.close()
        # a new client each time: the old one's connection_lost may come late and close a new one
        client = self._client = self._make_client(self._trace)
        client.set_max_no_responses(2**31)
        if not await client.connect():
            self.close()
            raise ReadFailed("link_down")

    def close(self) -> None:
        """Close the line."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def read(self, unit: int, table: Table, address: int, count: int) -> list[int]:
        """Ask one unit for `count` registers (0 to 65535) or bits (0 or 1).

        Raises:
            ReadFailed: no reply that can be believed, and why.

        """
        client, request = self._client, self._request(unit, table, address, count)
        if client is None:
            raise ReadFailed("link_down")
        self._received = self._sifted = b""
        self._open = request
        try:
            reply = await client.execute(False, request)
        except ModbusException:
            raise ReadFailed(self._why_no_reply(request)) from None
        finally:
            self._open = None
        return self._believe(request, reply)

    def _request(self, unit: int, table: Table, address: int, count: int) -> ModbusPDU:
        key = unit, table, address, count
        request = self._requests.get(key)
        if request is None:
            if len(self._requests) >= _REQUESTS_KEPT_MAX:
                self._requests.clear()
            request = _REQUESTS[table](address=address, count=count, dev_id=unit)
            self._requests[key] = request
        return request

    def _trace(self, sending: bool, data: bytes) -> bytes:
        """See every byte: pymodbus calls this with each frame out and all unparsed bytes in."""
        if not self._transactions:
            self.last_byte_at = asyncio.get_running_loop().time()
        if sending:
            code = data[7 if self._transactions else 1]
            if code not in _READ_CODES:
                raise StopService(f"function code {code} must never leave for a lift controller")
            return data
        request = self._open
        if request is None:
            self.unasked_bytes += len(data)
            return b""
        self._received = data
        if self._transactions:
            self._sifted = sift_tcp(data)
        else:
            self._sifted = sift_rtu(data, _question(request))
        return self._sifted

    def _believe(self, request: ModbusPDU, reply: ModbusPDU) -> list[int]:
        if reply.dev_id != request.dev_id:
            raise ReadFailed("wrong_unit")
        if reply.transaction_id != request.transaction_id:
            raise ReadFailed("wrong_transaction")
        if reply.function_code & 0x7F != request.function_code:
            raise ReadFailed("wrong_function")
        if reply.isError():
            code = reply.exception_code
            raise ReadFailed("unit_unreachable" if code in _UNREACHABLE else "exception", code)
        count = request.count
        if request.function_code <= 2:
            size = (count + 7) // 8
            words = [int(bit) for bit in reply.bits[:count]]
            fits = len(reply.bits) == 8 * size
        else:
            size = 2 * count
            words = list(reply.registers)
            fits = len(words) == count
        if not fits:
            raise ReadFailed("wrong_count")
        if not self._transactions and len(self._sifted) > size + 5 + _GLITCH_BYTES_MAX:
            raise ReadFailed("long")
        return words

    def _why_no_reply(self, request: ModbusPDU) -> Reason:
        if not self.connected:
            return "link_down"
        name = name_tcp if self._transactions else name_rtu
        return name(self._received, _question(request))


def _question(request: ModbusPDU) -> Question:
    return Question(request.dev_id, request.function_code, request.transaction_id)
