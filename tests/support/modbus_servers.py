"""Modbus servers of other makers, as partners: pymodbus, pyModbusTCP, libmodbus."""

import asyncio
import ctypes
import shutil
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from pyModbusTCP.server import DataBank, ModbusServer

from protocols.catalog.point_map import Table
from tests.support.libmodbus import load
from tests.support.mosquitto import free_port

Image = Mapping[Table, Mapping[int, int]]
TABLES: tuple[Table, ...] = ("coil", "discrete_input", "holding_register", "input_register")


def some_image(size: int = 64) -> dict[Table, dict[int, int]]:
    """Return registers of which no two are alike, and bits in a pattern."""
    return {
        "coil": {address: int(address % 3 == 0) for address in range(size)},
        "discrete_input": {address: int(address % 5 == 0) for address in range(size)},
        "holding_register": {address: 0x1000 + 257 * address for address in range(size)},
        "input_register": {address: 0x8001 + 263 * address for address in range(size)},
    }


def pymodbus_device(unit: int, image: Image) -> SimDevice:
    """Build a device of pymodbus' simulator."""
    bits = [
        [SimData(0, values=[bool(word) for word in image[table].values()], datatype=DataType.BITS)]
        for table in ("coil", "discrete_input")
    ]
    words = [
        [SimData(0, values=list(image[table].values()), datatype=DataType.REGISTERS)]
        for table in ("holding_register", "input_register")
    ]
    return SimDevice(id=unit, simdata=(*bits, *words))  # type: ignore[arg-type]


@asynccontextmanager
async def pymodbus_tcp(
    units: Mapping[int, Image], *, framer: FramerType = FramerType.SOCKET, port: int = 0
) -> AsyncIterator[int]:
    """Serve over TCP; yields the port."""
    port = port or free_port()
    devices = [pymodbus_device(unit, image) for unit, image in units.items()]
    server = ModbusTcpServer(devices, address=("127.0.0.1", port), framer=framer)
    await server.serve_forever(background=True)
    try:
        yield port
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]
        await asyncio.sleep(0)


@asynccontextmanager
async def pymodbus_rtu(units: Mapping[int, Image], path: str) -> AsyncIterator[None]:
    """Serve on a serial line."""
    devices = [pymodbus_device(unit, image) for unit, image in units.items()]
    server = ModbusSerialServer(devices, port=path, baudrate=19_200, framer=FramerType.RTU)
    await server.serve_forever(background=True)
    try:
        yield
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]
        await asyncio.sleep(0)


@contextmanager
def pymodbustcp(image: Image) -> Iterator[int]:
    """Serve one unit over TCP in threads; yields the port."""
    port = free_port()
    size = len(image["coil"])
    bank = DataBank(coils_size=size, d_inputs_size=size, h_regs_size=size, i_regs_size=size)
    server = ModbusServer("127.0.0.1", port, no_block=True, data_bank=bank)
    server.data_bank.set_coils(0, [bool(one) for one in image["coil"].values()])
    server.data_bank.set_discrete_inputs(0, [bool(x) for x in image["discrete_input"].values()])
    server.data_bank.set_holding_registers(0, list(image["holding_register"].values()))
    server.data_bank.set_input_registers(0, list(image["input_register"].values()))
    server.start()
    try:
        yield port
    finally:
        server.stop()


@contextmanager
def serial_pair(folder: Path) -> Iterator[tuple[str, str]]:
    """Lay a serial line between two pseudo terminals."""
    socat = shutil.which("socat")
    if socat is None:
        pytest.skip("socat is not installed (Debian: apt-get install socat)")
    ends = folder / "line-a", folder / "line-b"
    sides = [f"pty,raw,echo=0,link={end}" for end in ends]
    with subprocess.Popen([socat, *sides]) as process:
        try:
            deadline = time.monotonic() + 5
            while not all(end.exists() for end in ends):
                assert time.monotonic() < deadline
                time.sleep(0.005)
            yield str(ends[0]), str(ends[1])
        finally:
            process.terminate()


class _Mapping(ctypes.Structure):
    _fields_ = (
        ("nb_bits", ctypes.c_int),
        ("start_bits", ctypes.c_int),
        ("nb_input_bits", ctypes.c_int),
        ("start_input_bits", ctypes.c_int),
        ("nb_input_registers", ctypes.c_int),
        ("start_input_registers", ctypes.c_int),
        ("nb_registers", ctypes.c_int),
        ("start_registers", ctypes.c_int),
        ("tab_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_registers", ctypes.POINTER(ctypes.c_uint16)),
        ("tab_registers", ctypes.POINTER(ctypes.c_uint16)),
    )


@contextmanager
def libmodbus_rtu(image: Image, path: str, unit: int) -> Iterator[None]:
    """Serve one unit on a serial line by libmodbus, in a thread."""
    library = load()
    size = len(image["coil"])
    library.modbus_mapping_new.restype = ctypes.POINTER(_Mapping)
    library.modbus_reply.argtypes = [
        *(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.POINTER(_Mapping)),
    ]
    library.modbus_receive.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.modbus_set_indication_timeout.argtypes = [
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32),
    ]
    library.modbus_mapping_free.argtypes = [ctypes.POINTER(_Mapping)]
    context = library.modbus_new_rtu(path.encode(), 19_200, b"N", 8, 1)
    library.modbus_set_slave(context, unit)
    library.modbus_set_indication_timeout(context, 0, 100_000)
    assert library.modbus_connect(context) == 0
    mapping = library.modbus_mapping_new(size, size, size, size)
    for table, name in zip(
        TABLES, ("tab_bits", "tab_input_bits", "tab_registers", "tab_input_registers"), strict=True
    ):
        for address, word in image[table].items():
            getattr(mapping.contents, name)[address] = word
    stop = threading.Event()

    def serve() -> None:
        question = ctypes.create_string_buffer(260)
        while not stop.is_set():
            length = library.modbus_receive(context, question)
            if length > 0:
                library.modbus_reply(context, question, length, mapping)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        library.modbus_close(context)
        library.modbus_free(context)
        library.modbus_mapping_free(mapping)
