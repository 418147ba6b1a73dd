import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException
from pyModbusTCP.client import ModbusClient

from protocols.catalog.controller import load_controllers
from protocols.catalog.point_map import Controller
from protocols.clock import SystemClock
from protocols.errors import RetryLater
from protocols.modbus.registers import Table, decode
from simulators import actions
from simulators.city import City, ServedLift
from simulators.dialect import Dialect
from simulators.modbus_server import LineServers, run_city
from simulators.processes import free_port
from simulators.scenario import Group, build_lift
from simulators.serial_line import SerialLine
from tests.support.full_board import full_board
from tests.support.libmodbus import LibModbus

SHIPPED = load_controllers(None)[0]


@pytest.fixture
async def servers() -> AsyncIterator[LineServers]:
    running = LineServers(SystemClock())
    yield running
    await running.stop()


def city_of(controller: Controller, lifts: int = 2, traffic: bool = False) -> City:
    group = Group(id="g", controller=controller.id, traffic="mixed" if traffic else "none")
    dialect = Dialect(controller)
    made = [build_lift(dialect, group, i, i + 1, 1) for i in range(lifts)]
    return City(made, SystemClock())


def ranges(words: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for address in sorted(words):
        if found and found[-1][0] + found[-1][1] == address:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((address, 1))
    return found


def drive_somewhere(city: City) -> None:
    for served in city.lifts:
        served.lift.call(0, 5)
    for _ in range(120):
        city.step(0.1)
    city.apply(actions.Fault(name="run_time_exceeded"))


async def read_by_pymodbus(
    client: AsyncModbusTcpClient | AsyncModbusSerialClient, served: ServedLift
) -> dict[Table, dict[int, int]]:
    calls = {
        "coil": client.read_coils,
        "discrete_input": client.read_discrete_inputs,
        "input_register": client.read_input_registers,
        "holding_register": client.read_holding_registers,
    }
    image: dict[Table, dict[int, int]] = {}
    for table, words in served.image.items():
        for address, count in ranges(list(words)):
            reply = await calls[table](address, count=count, device_id=served.unit_id)
            assert not reply.isError()
            values = reply.registers or [int(bit) for bit in reply.bits][:count]
            image.setdefault(table, {}).update(zip(range(address, address + count), values))  # noqa: B905
    return image


def read_by_pymodbustcp(port: int, served: ServedLift) -> dict[Table, dict[int, int]]:
    client = ModbusClient(host="127.0.0.1", port=port, unit_id=served.unit_id, timeout=2)
    calls = {
        "coil": client.read_coils,
        "discrete_input": client.read_discrete_inputs,
        "input_register": client.read_input_registers,
        "holding_register": client.read_holding_registers,
    }
    image: dict[Table, dict[int, int]] = {}
    for table, words in served.image.items():
        for address, count in ranges(list(words)):
            values = calls[table](address, count)
            assert values is not None
            found = zip(range(address, address + count), map(int, values), strict=True)
            image.setdefault(table, {}).update(found)
    client.close()
    return image


def read_by_libmodbus(client: LibModbus, served: ServedLift) -> dict[Table, dict[int, int]]:
    image: dict[Table, dict[int, int]] = {}
    for table, words in served.image.items():
        for address, count in ranges(list(words)):
            values = client.read(table, served.unit_id, address, count)
            found = zip(range(address, address + count), values, strict=True)
            image.setdefault(table, {}).update(found)
    return image


@pytest.mark.parametrize("name", ["full-board", *sorted(SHIPPED)])
async def test_every_controller_is_read_back_by_three_clients(
    name: str, servers: LineServers, tmp_path: Path
) -> None:
    controller = SHIPPED.get(name) or full_board(tmp_path)
    city, port = city_of(controller), free_port()
    drive_somewhere(city)
    await servers.serve_tcp(city.lifts, port)
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()
    for served in city.lifts:
        assert await read_by_pymodbus(client, served) == served.image
        assert await asyncio.to_thread(read_by_pymodbustcp, port, served) == served.image

        def by_libmodbus(served: ServedLift = served) -> dict[Table, dict[int, int]]:
            with LibModbus(port=port) as peer:
                return read_by_libmodbus(peer, served)

        image = await asyncio.to_thread(by_libmodbus)
        assert image == served.image
        shown = decode(controller, image)
        said = served.lift.values()
        for point in ("car_position", "door_status", "passenger_status", "door_zone"):
            if point in shown:
                assert shown[point][0] == said[point]
    client.close()


async def test_rtu_over_a_pty_is_read_by_libmodbus_and_pymodbus(
    servers: LineServers, tmp_path: Path
) -> None:
    city = city_of(full_board(tmp_path), lifts=3)
    drive_somewhere(city)
    link = tmp_path / "line"
    with SerialLine(link) as line:
        await servers.serve_rtu(city.lifts, line.server_end)

        def by_libmodbus() -> list[dict[Table, dict[int, int]]]:
            with LibModbus(device=str(link)) as peer:
                return [read_by_libmodbus(peer, served) for served in city.lifts]

        assert await asyncio.to_thread(by_libmodbus) == [s.image for s in city.lifts]
        client = AsyncModbusSerialClient(line.client_end, baudrate=9600, timeout=1)
        await client.connect()
        for served in city.lifts:
            assert await read_by_pymodbus(client, served) == served.image
        client.close()
        await servers.stop()
    assert not link.is_symlink()


async def test_rtu_over_tcp_is_read_by_pymodbus(servers: LineServers, tmp_path: Path) -> None:
    city, port = city_of(full_board(tmp_path)), free_port()
    await servers.serve_tcp(city.lifts, port, rtu_framing=True)
    client = AsyncModbusTcpClient("127.0.0.1", port=port, framer=FramerType.RTU)
    await client.connect()
    for served in city.lifts:
        assert await read_by_pymodbus(client, served) == served.image
    client.close()


async def test_silent_and_missing_units_answer_nothing_and_others_go_on(
    servers: LineServers, tmp_path: Path
) -> None:
    city, port = city_of(full_board(tmp_path)), free_port()
    await servers.serve_tcp(city.lifts, port)
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=0.15, retries=0)
    await client.connect()
    city.apply(actions.Silence(unit=2, on=True))
    for unit in (2, 99):
        with pytest.raises(ModbusIOException):
            await client.read_holding_registers(0x0100, count=1, device_id=unit)
    assert not (await client.read_holding_registers(0x0100, count=1, device_id=1)).isError()
    city.apply(actions.Silence(unit=2, on=False))
    assert not (await client.read_holding_registers(0x0100, count=1, device_id=2)).isError()
    assert [served.reads for served in city.lifts] == [1, 1]
    client.close()


async def test_unlisted_addresses_and_writes_are_refused(
    servers: LineServers, tmp_path: Path
) -> None:
    city, port = city_of(full_board(tmp_path), lifts=1), free_port()
    await servers.serve_tcp(city.lifts, port)
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()
    before = {table: dict(words) for table, words in city.lifts[0].image.items()}
    beyond = await client.read_holding_registers(0x0500, count=1, device_id=1)
    across = await client.read_holding_registers(0x0111, count=2, device_id=1)
    bridged = await client.read_holding_registers(0x0100, count=3, device_id=1)
    written = await client.write_register(0x0100, 5, device_id=1)
    coil = await client.write_coil(3, value=True, device_id=1)
    assert [reply.exception_code for reply in (beyond, across, written, coil)] == [2, 2, 1, 1]
    assert bridged.registers[1] == 0
    assert city.lifts[0].image == before
    assert city.lifts[0].refused == 4
    client.close()


async def test_board_without_bridges_refuses_gaps(tmp_path: Path) -> None:
    servers = LineServers(SystemClock(), bridged=False)
    city, port = city_of(full_board(tmp_path), lifts=1), free_port()
    await servers.serve_tcp(city.lifts, port)
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()
    reply = await client.read_holding_registers(0x0100, count=3, device_id=1)
    assert reply.exception_code == 2
    client.close()
    await servers.stop()


async def test_delayed_controller_answers_late(servers: LineServers, tmp_path: Path) -> None:
    city, port = city_of(full_board(tmp_path), lifts=1), free_port()
    await servers.serve_tcp(city.lifts, port)
    city.apply(actions.Delay(delay_s=0.2))
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()
    begun = time.monotonic()
    assert not (await client.read_holding_registers(0x0100, count=1, device_id=1)).isError()
    assert time.monotonic() - begun >= 0.2
    client.close()


async def test_taken_port_and_doubled_unit_are_refused(
    servers: LineServers, tmp_path: Path
) -> None:
    city, port = city_of(full_board(tmp_path)), free_port()
    await servers.serve_tcp(city.lifts, port)
    with pytest.raises(RetryLater, match=str(port)):
        await servers.serve_tcp(city.lifts, port)
    with pytest.raises(ValueError, match="same unit id"):
        await servers.serve_tcp([city.lifts[0], city.lifts[0]], free_port())


async def test_two_hundred_lifts_at_one_poll_a_second_cost_little(
    servers: LineServers, tmp_path: Path
) -> None:
    city, ports = city_of(full_board(tmp_path), lifts=200, traffic=True), []
    for first in range(0, 200, 20):
        ports.append(free_port())
        await servers.serve_tcp(city.lifts[first : first + 20], ports[-1])
    living = asyncio.create_task(run_city(city))
    begun_s, cpu_s = time.monotonic(), time.process_time()
    await asyncio.sleep(3)
    share = (time.process_time() - cpu_s) / (time.monotonic() - begun_s)
    living.cancel()
    assert share < 0.1, "the physics of 200 lifts take a tenth of a core at most"
