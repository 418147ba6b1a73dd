"""The strict wrapper around pymodbus: nothing but reads leaves."""

import asyncio
from collections.abc import Callable

import pytest
from pymodbus.client import AsyncModbusSerialClient

from edge.sources.link import Client, ModbusLink, Trace
from protocols.errors import StopService
from tests.support.faulty_rtu import FaultyRtu


@pytest.mark.parametrize(
    "write",
    [
        lambda client: client.write_register(0, 1, device_id=1),
        lambda client: client.write_coil(0, True, device_id=1),
        lambda client: client.write_registers(0, [1, 2], device_id=1),
        lambda client: client.write_coils(0, [True], device_id=1),
        lambda client: client.mask_write_register(address=0, device_id=1),
        lambda client: client.readwrite_registers(read_count=1, values=[1], device_id=1),
        lambda client: client.diag_restart_communication(True, device_id=1),
        lambda client: client.read_fifo_queue(device_id=1),
    ],
)
async def test_nothing_but_reads_leaves_even_when_asked(
    write: Callable[[Client], object],
) -> None:
    server, clients = FaultyRtu([1]), list[Client]()

    def make(trace: Trace) -> Client:
        clients.append(
            AsyncModbusSerialClient(
                server.path, timeout=0.1, retries=0, reconnect_delay=0, trace_packet=trace
            )
        )
        return clients[0]

    link = ModbusLink(make)
    await link.open()
    with pytest.raises(StopService, match="must never leave"):
        await write(clients[0])  # type: ignore[misc]
    await asyncio.sleep(0.02)
    assert not server.asked
    assert not server.made
    link.close()
    server.close()
