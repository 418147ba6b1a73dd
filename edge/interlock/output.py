"""The output of a filling place: a gun's controller or a filling scale, driven over Modbus.

Each drive writes the release, reads it back, and hears what the device says of its valve. What is
not as it was written is a failure, and a failure closes the connection: the device falls back by
its own watchdog, and the place knows that it does not know.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator, Mapping

from pymodbus import FramerType, ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from edge.interlock.permit import Permit, written
from edge.interlock.state import Wanted
from edge.settings import GateOutput
from protocols.catalog.point_map import BIT_TABLES, Controller, PointMap, Table
from protocols.errors import RetryLater, StopService
from protocols.modbus.registers import MutableImage, decode, encode, width
from protocols.readings import Value

Client = AsyncModbusSerialClient | AsyncModbusTcpClient
Trace = Callable[[bool, bytes], bytes]
MakeClient = Callable[[Trace], Client]

TIMEOUT_S = 0.3
_READS: Mapping[Table, type[ModbusPDU]] = {
    "coil": ReadCoilsRequest,
    "discrete_input": ReadDiscreteInputsRequest,
    "holding_register": ReadHoldingRegistersRequest,
    "input_register": ReadInputRegistersRequest,
}
_HEARTBEATS = 0x7FFF
_LIMITS = ("gross_limit_kg", "net_limit_kg")


class OutputFailed(RetryLater):
    """Nobody knows how the output is now; its connection is closed."""


class GunLink:
    """One gun or scale; one question at a time."""

    def __init__(self, gun: Controller, permit: Permit, make_client: MakeClient, *, tcp: bool):
        """Make a link; nothing is opened yet.

        Args:
            gun: where what is written stands; see `permit.map_faults`.
            permit: what may be written.
            make_client: makes a client of pymodbus with a trace function.
            tcp: its frames have the header of Modbus TCP.

        """
        self._gun, self._permit, self._make_client, self._tcp = gun, permit, make_client, tcp
        self._points = {point.name: point for point in gun.points}
        self._others = tuple(one.name for one in written(gun) if one.name not in _OWN_TURN)
        self._client: Client | None = None
        self._kept: dict[tuple[Table, int], int] = {}
        """What was written on this connection."""
        self._heartbeat = 0
        self.counters = {"output_writes": 0, "output_failures": 0}

    @property
    def connected(self) -> bool:
        """Whether it is open as far as anybody knows."""
        return self._client is not None and self._client.connected

    async def drive(self, wanted: Wanted) -> bool | None:
        """Bring the outputs to what is wanted; return whether the valve is open, None: untold.

        Raises:
            OutputFailed: not known to be so.
            StopService: the map writes what is not permitted.

        """
        try:
            if not self.connected:
                await self._open()
            if not wanted.open:
                await self._release(wanted)
            await self._write(self._values(wanted), again=False)
            if wanted.open:
                await self._check_limits(wanted)
                await self._release(wanted)
            return await self._valve_open()
        except (ModbusException, OSError, TimeoutError, ValueError) as error:
            self._fail()
            raise OutputFailed(str(error)[:200]) from None
        except (OutputFailed, StopService):
            self._fail()
            raise

    def close(self) -> None:
        """Let go of the line, whatever state it is in."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
        self._kept.clear()

    def _fail(self) -> None:
        self.counters["output_failures"] += 1
        self.close()

    async def _open(self) -> None:
        self.close()
        self._client = client = self._make_client(self._trace)
        if not await client.connect():
            raise OutputFailed("no connection")

    def _trace(self, sending: bool, data: bytes) -> bytes:
        return self._permit.check(data, tcp=self._tcp) if sending else data

    def _values(self, wanted: Wanted) -> dict[str, Value]:
        values: dict[str, Value] = {
            "lamp_green": wanted.lamp == "green",
            "lamp_yellow": wanted.lamp == "yellow",
            "lamp_red": wanted.lamp == "red",
            "buzzer": wanted.buzzer,
            "gross_limit_kg": wanted.gross_limit_kg or 0.0,
            "net_limit_kg": wanted.net_limit_kg or 0.0,
        }
        for name in _LIMITS:
            if name in self._points:
                values[name] = _floor(self._points[name], values[name])
        return {name: values[name] for name in self._others}

    async def _release(self, wanted: Wanted) -> None:
        """Write the release, let the heart beat, and read back what stands there now."""
        await self._write({"release": wanted.open}, again=True)
        if "heartbeat" in self._points:
            self._heartbeat = self._heartbeat % _HEARTBEATS + 1
            await self._write({"heartbeat": self._heartbeat}, again=True)
        if await self._read("release") is not wanted.open:
            raise OutputFailed(f"release: {wanted.open} was written and is not read back")

    async def _check_limits(self, wanted: Wanted) -> None:
        """Nothing is released before the device holds the limit that was written."""
        for name in _LIMITS:
            if name not in self._points:
                continue
            limit_kg = getattr(wanted, name)
            found = await self._read(name)
            if limit_kg is None or not isinstance(found, int | float) or found > limit_kg:
                raise OutputFailed(f"{name}: {limit_kg} at most, {found} is read back")

    async def _valve_open(self) -> bool | None:
        if "valve_open" not in self._points:
            return None
        found = await self._read("valve_open")
        return found if isinstance(found, bool) else None

    async def _read(self, name: str) -> Value:
        point = self._points[name]
        count = width(point)
        reply = await self._ask(
            _READS[point.table](address=point.address, count=count, dev_id=self._permit.unit_id)
        )
        bits = point.table in BIT_TABLES
        found = [int(bit) for bit in reply.bits[:count]] if bits else list(reply.registers)
        if len(found) != count:
            raise OutputFailed(f"{name}: {count} asked for, {len(found)} came")
        words = {point.address + at: word for at, word in enumerate(found)}
        value, _ = decode(self._gun, {point.table: words})[name]
        return value

    async def _write(self, values: Mapping[str, Value], *, again: bool) -> None:
        """Write what differs from what stands there; `again`: all of it."""
        image: MutableImage = {}
        encode(self._gun, values, image)
        for table, words in image.items():
            changed = {
                address: word
                for address, word in words.items()
                if again or self._kept.get((table, address)) != word
            }
            for address, run in _runs(changed, words, joined=table not in BIT_TABLES):
                await self._write_run(table, address, run)

    async def _write_run(self, table: Table, address: int, run: list[int]) -> None:
        unit = self._permit.unit_id
        request: ModbusPDU
        if table == "coil":
            request = WriteSingleCoilRequest(address=address, bits=[bool(run[0])], dev_id=unit)
        elif len(run) == 1:
            request = WriteSingleRegisterRequest(address=address, registers=run, dev_id=unit)
        else:
            request = WriteMultipleRegistersRequest(address=address, registers=run, dev_id=unit)
        reply = await self._ask(request)
        if reply.address != address:
            raise OutputFailed(f"written to {address}, answered for {reply.address}")
        self.counters["output_writes"] += 1
        self._kept |= {(table, address + at): word for at, word in enumerate(run)}

    async def _ask(self, request: ModbusPDU) -> ModbusPDU:
        client = self._client
        if client is None:
            raise OutputFailed("no connection")
        reply: ModbusPDU = await client.execute(False, request)
        same = (reply.dev_id, reply.function_code) == (request.dev_id, request.function_code)
        if reply.isError() or not same:
            raise OutputFailed(f"function {request.function_code}: answered by {reply}")
        return reply


_OWN_TURN = frozenset({"release", "heartbeat"})


def _floor(point: PointMap, value: Value) -> float:
    """Round a limit down to what the register can tell."""
    number = float(value) if isinstance(value, int | float) else 0.0
    if point.type == "float32":
        return math.nextafter(number * (1 - 2**-23), -math.inf) if number else 0.0
    steps = math.floor((number - point.offset) / point.scale + 1e-9)
    return steps * point.scale + point.offset


def _runs(
    changed: Mapping[int, int], words: Mapping[int, int], *, joined: bool
) -> Iterator[tuple[int, list[int]]]:
    """Yield neighbours together, so that both words of a number change at once."""
    run: list[int] = []
    start = 0
    for address in sorted(words if joined and changed else changed):
        if run and joined and address == start + len(run):
            run.append(words[address])
            continue
        if run:
            yield start, run
        start, run = address, [words[address]]
    if run:
        yield start, run


async def drive_closed(link: GunLink, within_s: float) -> bool:
    """Close the output at a stop; False: nobody knows whether it is."""
    with contextlib.suppress(OutputFailed, TimeoutError):
        async with asyncio.timeout(within_s):
            await link.drive(Wanted(open=False, lamp="off"))
            return True
    return False


def client_for(output: GateOutput) -> MakeClient:
    """Return what makes the client of an output."""
    timeout_s = output.timeout_s or TIMEOUT_S

    def make(trace: Trace) -> Client:
        if output.kind == "modbus_rtu":
            return AsyncModbusSerialClient(
                output.device or "",
                framer=FramerType.RTU,
                baudrate=output.baud_rate or 9600,
                parity=(output.parity or "none")[0].upper(),
                stopbits=output.stop_bits or 1,
                timeout=timeout_s,
                retries=0,
                reconnect_delay=0,
                trace_packet=trace,
            )
        return AsyncModbusTcpClient(
            output.host or "",
            port=output.port or 502,
            framer=FramerType.SOCKET if output.kind == "modbus_tcp" else FramerType.RTU,
            timeout=timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_packet=trace,
        )

    return make
