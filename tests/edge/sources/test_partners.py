"""The same registers from servers of three other makers, over TCP, RTU and RTU over TCP."""

import asyncio
from pathlib import Path

import pytest
from pymodbus import FramerType

from edge.settings import Bus, Device
from edge.sources.line import Line, ReadFailed
from edge.sources.plan import FUNCTIONS, plan
from edge.sources.registry import line_for
from protocols.catalog.point_map import Table
from tests.support.modbus_servers import (
    libmodbus_rtu,
    pymodbus_rtu,
    pymodbus_tcp,
    pymodbustcp,
    serial_pair,
    some_image,
)

IMAGE = some_image()
SPANS: list[tuple[Table, int, int]] = [
    (table, address, width)
    for table in FUNCTIONS
    for address, width in ((0, 1), (3, 1), (4, 2 if "register" in table else 1), (40, 1), (63, 1))
]
BLOCKS = plan(SPANS, registers_per_read_max=125, gap_max=8)
DEVICE = Device(asset="elevator:1", controller="any", unit_id=7)


async def read_all(line: Line) -> None:
    """Read every block and compare; then what is not there must be refused, not invented."""
    await line.open()
    for block in BLOCKS:
        words = await line.read(7, block)
        there = IMAGE[block.table]
        assert words == [there[block.address + offset] for offset in range(block.count)]
    (beyond,) = plan([("holding_register", 500, 2)], registers_per_read_max=125, gap_max=8)
    with pytest.raises(ReadFailed) as failure:
        await line.read(7, beyond)
    assert failure.value.reason == "exception"
    assert failure.value.exception_code == 2
    line.close()
    await asyncio.sleep(0)  # asyncio closes the socket in the next turn of the loop


def tcp(port: int, kind: str = "modbus_tcp") -> Line:
    bus = Bus(id="b", kind=kind, host="127.0.0.1", port=port, timeout_s=2.0, devices=(DEVICE,))  # type: ignore[arg-type]
    return line_for(bus, BLOCKS)


def rtu(path: str) -> Line:
    bus = Bus(id="b", kind="modbus_rtu", device=path, baud_rate=19_200, devices=(DEVICE,))
    return line_for(bus, BLOCKS)


async def test_tcp_from_pymodbus() -> None:
    async with pymodbus_tcp({7: IMAGE}) as port:
        await read_all(tcp(port))


async def test_tcp_from_pymodbustcp() -> None:
    with pymodbustcp(IMAGE) as port:
        await read_all(tcp(port))


async def test_rtu_over_tcp_from_pymodbus() -> None:
    async with pymodbus_tcp({7: IMAGE}, framer=FramerType.RTU) as port:
        await read_all(tcp(port, "modbus_rtu_over_tcp"))


async def test_rtu_from_pymodbus(tmp_path: Path) -> None:
    with serial_pair(tmp_path) as (far, near):
        async with pymodbus_rtu({7: IMAGE}, far):
            await read_all(rtu(near))


async def test_rtu_from_libmodbus(tmp_path: Path) -> None:
    with serial_pair(tmp_path) as (far, near), libmodbus_rtu(IMAGE, far, 7):
        await read_all(rtu(near))
