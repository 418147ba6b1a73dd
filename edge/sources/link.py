"""The strict wrapper around pymodbus on serial lines: one reply to one question, or a reason.

pymodbus returns replies with another function code or count as good, and lets any function code
out. Here a reply counts only when unit, function and count fit and nothing else came with it; and
nothing but reads leaves, whatever asks for it.
"""

import asyncio
import logging
from collections.abc import Callable

from pymodbus import FramerType, ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from edge.settings import Bus
from edge.sources.line import UNREACHABLE, ReadFailed
from edge.sources.plan import FUNCTIONS
from edge.sources.sift import Question, Reason, name_rtu, sift_rtu
from edge.sources.tcp import PORT
from protocols.catalog.point_map import Table
from protocols.errors import StopService

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
_GLITCH_BYTES_MAX = 2
"""Bytes after a frame on a serial line that a switching transmitter makes; no frame is so short."""
_REQUESTS_KEPT_MAX = 4096
_PARITY = {"none": "N", "even": "E", "odd": "O", "N": "N", "E": "E", "O": "O"}


class ModbusLink:
    """One line that speaks RTU, serial or over TCP; asks one question at a time."""

    def __init__(self, make_client: MakeClient) -> None:
        self._make_client = make_client
        self._client: Client | None = None
        self._requests: dict[tuple[int, Table, int, int], ModbusPDU] = {}
        self._open: ModbusPDU | None = None
        self._received = b""
        self._sifted = b""
        self.last_byte_at = 0.0
        """Loop time when the line last spoke, either way."""
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
        self.last_byte_at = asyncio.get_running_loop().time()
        if sending:
            code = data[1]
            if code not in _READ_CODES:
                raise StopService(f"function code {code} must never leave for a lift controller")
            return data
        request = self._open
        if request is None:
            self.unasked_bytes += len(data)
            return b""
        self._received = data
        self._sifted = sift_rtu(data, _question(request))
        return self._sifted

    def _believe(self, request: ModbusPDU, reply: ModbusPDU) -> list[int]:
        if reply.dev_id != request.dev_id:
            raise ReadFailed("wrong_unit")
        if reply.function_code & 0x7F != request.function_code:
            raise ReadFailed("wrong_function")
        if reply.isError():
            code = reply.exception_code
            raise ReadFailed("unit_unreachable" if code in UNREACHABLE else "exception", code)
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
        if len(self._sifted) > size + 5 + _GLITCH_BYTES_MAX:
            raise ReadFailed("long")
        return words

    def _why_no_reply(self, request: ModbusPDU) -> Reason:
        if not self.connected:
            return "link_down"
        return name_rtu(self._received, _question(request))


def _question(request: ModbusPDU) -> Question:
    return Question(request.dev_id, request.function_code)


def tcp_client(bus: Bus, timeout_s: float, trace: Trace) -> Client:
    """Make a client of RTU frames over TCP."""
    return AsyncModbusTcpClient(
        bus.host or "",
        port=bus.port or PORT,
        framer=FramerType.RTU,
        timeout=timeout_s,
        retries=0,
        reconnect_delay=0,
        trace_packet=trace,
    )


def serial_client(bus: Bus, baud_rate: int, timeout_s: float, trace: Trace) -> Client:
    """Make a client of a serial port."""
    return AsyncModbusSerialClient(
        bus.device or "",
        framer=FramerType.RTU,
        baudrate=baud_rate,
        parity=_PARITY[bus.parity or "none"],
        stopbits=bus.stop_bits or 1,
        timeout=timeout_s,
        retries=0,
        reconnect_delay=0,
        trace_packet=trace,
    )


def quiet_pymodbus() -> None:
    """Keep one log line a time-out out of the journal: the counters tell the same."""
    for name in ("pymodbus", "pymodbus_internal"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
