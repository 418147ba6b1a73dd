"""Simulated controllers on a real Modbus line: TCP, RTU on a serial device, RTU over TCP."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, runtime_checkable

from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.exceptions import NoSuchIdException
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from pymodbus.simulator.simcore import SimCore

from protocols.clock import Clock
from protocols.errors import RetryLater
from protocols.modbus.registers import Table
from simulators.city import City
from simulators.dialect import Image

Parity = Literal["N", "E", "O"]
UNITS_PER_LINE_MAX = 247
BRIDGED_GAP_MAX = 16
"""Unlisted registers between two listed ones this near read as 0; others do not exist."""

_TABLES: dict[int, Table] = {
    1: "coil",
    2: "discrete_input",
    3: "holding_register",
    4: "input_register",
}
_WRITTEN: dict[int, Table] = {
    5: "coil",
    6: "holding_register",
    15: "coil",
    16: "holding_register",
}


class Served(Protocol):
    """A device behind its registers: a lift, or a scale."""

    unit_id: int
    where: str
    """Port or device where it is served, for people."""
    image: Image
    silent: bool
    delay_s: float
    refused: int
    """Requests answered with an exception."""

    def fetched(self, table: Table, address: int, count: int, now_ms: int) -> None:
        """Note that a client has read these registers."""
        ...


@runtime_checkable
class Writable(Protocol):
    """A device that takes writes: a filling gun, never a lift."""

    def written(self, table: Table, address: int, words: list[int]) -> None:
        """Take words that a client has written."""
        ...


class Board:
    """One device as a Modbus client sees it.

    Args:
        served: the device.
        clock: says when a register was read.
        bridged: answer 0 for short gaps between listed registers, as many boards do; else they
            are refused as ILLEGAL DATA ADDRESS.

    """

    def __init__(self, served: Served, clock: Clock, *, bridged: bool = True) -> None:
        self._served, self._clock = served, clock
        gap = BRIDGED_GAP_MAX if bridged else 0
        self._known = {
            table: frozenset(_bridge(sorted(words), gap)) for table, words in served.image.items()
        }

    async def read(self, function_code: int, address: int, count: int) -> list[int] | ExcCodes:
        """Answer a read request.

        Raises:
            NoSuchIdException: the device is silent.

        """
        served = self._served
        if served.delay_s:
            await asyncio.sleep(served.delay_s)
        if served.silent:
            raise NoSuchIdException("silent")
        table = _TABLES.get(function_code) or _WRITTEN.get(function_code)
        wanted = range(address, address + count)
        if table is None or not self._known.get(table, frozenset()).issuperset(wanted):
            served.refused += 1
            return ExcCodes.ILLEGAL_FUNCTION if table is None else ExcCodes.ILLEGAL_ADDRESS
        words = served.image[table]
        served.fetched(table, address, count, self._clock.wall_ms())
        return [words.get(index, 0) for index in wanted]

    async def write(self, function_code: int, address: int, words: list[int]) -> ExcCodes | None:
        """Answer a write request: a monitoring port takes none.

        Raises:
            NoSuchIdException: the device is silent.

        """
        served, table = self._served, _WRITTEN.get(function_code)
        if served.delay_s:
            await asyncio.sleep(served.delay_s)
        if served.silent:
            raise NoSuchIdException("silent")
        wanted = range(address, address + len(words))
        if table is None or not isinstance(served, Writable):
            served.refused += 1
            return ExcCodes.ILLEGAL_FUNCTION
        if not self._known.get(table, frozenset()).issuperset(wanted):
            served.refused += 1
            return ExcCodes.ILLEGAL_ADDRESS
        served.written(table, address, words)
        return None


class Line(SimCore):
    """The units of one port or serial line, in the place of pymodbus's own register store.

    Its own store is a list over the whole address range of each unit, 60,000 long for boards
    whose parameters start at 0xF000; and it has no unit that stays silent.
    """

    def __init__(self, boards: dict[int, Board]) -> None:
        super().__init__([])
        self._boards = boards

    def device_ids(self) -> list[int]:
        """Return the unit ids on this line."""
        return list(self._boards)

    async def async_getValues(  # noqa: N802
        self, device_id: int, func_code: int, address: int, count: int = 1
    ) -> list[int] | list[bool] | ExcCodes:
        """Answer a read request of pymodbus's server."""
        return await self._board(device_id).read(func_code, address, count)

    async def async_setValues(  # noqa: N802
        self, device_id: int, func_code: int, address: int, values: list[int] | list[bool]
    ) -> ExcCodes | None:
        """Answer a write request of pymodbus's server."""
        words = [int(value) for value in values]
        return await self._board(device_id).write(func_code, address, words)

    def _board(self, device_id: int) -> Board:
        board = self._boards.get(device_id)
        if board is None:
            raise NoSuchIdException("no such unit")
        return board


class LineServers:
    """The open ports and serial lines of one city.

    Args:
        clock: says when a register was read.
        bridged: see `Board`.

    """

    def __init__(self, clock: Clock, *, bridged: bool = True) -> None:
        self._clock, self._bridged = clock, bridged
        self._servers: list[ModbusTcpServer | ModbusSerialServer] = []

    async def serve_tcp(
        self,
        devices: Iterable[Served],
        port: int,
        *,
        host: str = "127.0.0.1",
        rtu_framing: bool = False,
    ) -> None:
        """Serve devices with different unit ids on one TCP port.

        Raises:
            RetryLater: the port is taken.
            ValueError: two devices with one unit id.

        """
        server = ModbusTcpServer(
            _PLACEHOLDER,
            framer=FramerType.RTU if rtu_framing else FramerType.SOCKET,
            address=(host, port),
            ignore_missing_devices=True,
        )
        await self._start(server, devices, f"{host}:{port}")

    async def serve_rtu(
        self,
        devices: Iterable[Served],
        device: str,
        *,
        baud_rate: int = 9600,
        parity: Parity = "N",
        stop_bits: int = 1,
    ) -> None:
        """Serve devices with different unit ids on one serial line.

        Raises:
            RetryLater: the device cannot be opened.
            ValueError: two devices with one unit id.

        """
        server = ModbusSerialServer(
            _PLACEHOLDER,
            port=device,
            baudrate=baud_rate,
            parity=parity,
            stopbits=stop_bits,
            ignore_missing_devices=True,
        )
        await self._start(server, devices, device)

    async def stop(self) -> None:
        """Close every port and line."""
        for server in self._servers:
            await server.shutdown()  # type: ignore[no-untyped-call]
        self._servers.clear()

    async def _start(
        self,
        server: ModbusTcpServer | ModbusSerialServer,
        devices: Iterable[Served],
        where: str,
    ) -> None:
        chosen = list(devices)
        boards = {s.unit_id: Board(s, self._clock, bridged=self._bridged) for s in chosen}
        if len(boards) != len(chosen):
            raise ValueError(f"two devices at {where} have the same unit id")
        server.context = Line(boards)
        try:
            await server.serve_forever(background=True)
        except (RuntimeError, OSError) as error:
            raise RetryLater(f"cannot serve Modbus at {where}: {error}") from error
        for served in chosen:
            served.where = f"{served.where} {where}".strip()
        self._servers.append(server)


async def run_city(city: City, *, tick_s: float = 0.1) -> None:
    """Let a city live in real time until cancelled; a stall of the machine is not made up for."""
    loop = asyncio.get_running_loop()
    last_s = loop.time()
    while True:
        await asyncio.sleep(tick_s)
        now_s = loop.time()
        city.step(min(now_s - last_s, 1.0))
        last_s = now_s


def _bridge(addresses: Sequence[int], gap_max: int) -> Iterable[int]:
    """Fill holes of up to `gap_max` addresses."""
    for address, following in zip(addresses, [*addresses[1:], None], strict=True):
        yield address
        if following is not None and following - address - 1 <= gap_max:
            yield from range(address + 1, following)


_PLACEHOLDER = SimDevice(1, simdata=[SimData(0, datatype=DataType.REGISTERS)])
"""Only there because the server's constructor asks for a device."""
