"""The output against a real Modbus server: what it writes, and what it never does."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.pdu.bit_message import WriteSingleCoilRequest
from pymodbus.pdu.register_message import WriteMultipleRegistersRequest

from edge.interlock.output import GunLink, OutputFailed, client_for, drive_closed
from edge.interlock.permit import Permit, map_faults
from edge.interlock.state import Wanted
from edge.settings import GateOutput
from protocols.errors import StopService
from tests.support.guns import GUNS, GunServer, modbus_gun

COIL, SCALE = GUNS["coil-gun"], GUNS["setpoint-scale"]
ALL = Permit(unit_id=7, coils=frozenset(range(5)), holding_registers=frozenset(range(0x100, 0x105)))
OPEN = Wanted(open=True, lamp="green", gross_limit_kg=30.456, net_limit_kg=14.456)
CLOSED = Wanted(open=False, lamp="red", buzzer=True)


def link_to(server: GunServer, permit: Permit = ALL) -> GunLink:
    output = GateOutput(
        kind="modbus_tcp", gun="x", writes={}, host="127.0.0.1", port=server.port, timeout_s=0.2
    )
    return GunLink(server.gun.dialect.controller, permit, client_for(output), tcp=True)


def is_open(server: GunServer) -> bool:
    return server.gun.open


@pytest.mark.parametrize("name", ["coil-gun", "setpoint-scale"])
async def test_release_is_written_read_back_and_taken_back(name: str) -> None:
    with modbus_gun(name) as server:
        link = link_to(server)
        assert await link.drive(CLOSED) is False
        assert await link.drive(OPEN) is True
        assert is_open(server)
        assert server.gun.value("lamp_green") is True
        assert server.gun.value("buzzer") is False
        assert await link.drive(CLOSED) is False
        assert not is_open(server)
        assert server.gun.value("lamp_red") is True
        assert server.gun.refused == 0
        link.close()


async def test_limit_stands_in_the_device_before_release_and_never_above_what_was_said() -> None:
    with modbus_gun("setpoint-scale") as server:
        link = link_to(server)
        await link.drive(OPEN)
        assert server.gun.value("gross_limit_kg") == pytest.approx(30.45)
        await link.drive(CLOSED)
        assert server.gun.value("gross_limit_kg") == 0
        link.close()


async def test_a_device_that_answers_and_obeys_not_is_a_failure() -> None:
    for name in ("coil-gun", "setpoint-scale"):
        with modbus_gun(name) as server:
            link = link_to(server)
            await link.drive(CLOSED)
            server.gun.deaf = True
            with pytest.raises(OutputFailed):
                await link.drive(OPEN)
            assert not server.gun.open
            assert not link.connected


async def test_a_silent_a_cut_and_a_slow_line_are_failures_and_come_back() -> None:
    with modbus_gun() as server:
        link = link_to(server)
        await link.drive(CLOSED)
        server.gun.silent = True
        with pytest.raises(OutputFailed):
            await link.drive(OPEN)
        server.gun.silent = False
        server.gun.delay_s = 0.5
        with pytest.raises(OutputFailed):
            await link.drive(OPEN)
        server.gun.delay_s = 0.0
        await asyncio.sleep(0.6)
        await link.drive(CLOSED)
        server.cut()
        with pytest.raises(OutputFailed):
            await link.drive(OPEN)
        assert not await drive_closed(link, 0.3)
        server.mend()
        await link.drive(OPEN)
        assert is_open(server)
        assert await drive_closed(link, 0.3)
        assert not is_open(server)
        link.close()


async def test_a_refresh_lets_the_heart_beat_and_silence_closes_the_device() -> None:
    with modbus_gun("setpoint-scale") as server:
        link = link_to(server)
        await link.drive(OPEN)
        first = server.gun.value("heartbeat")
        await link.drive(OPEN)
        assert server.gun.value("heartbeat") != first
        link.close()
        now_s = server.gun.now_s
        server.gun.now_s = lambda: now_s() + 3.0
        assert not server.gun.open


async def test_what_is_not_permitted_never_leaves() -> None:
    with modbus_gun() as server:
        link = link_to(server, Permit(unit_id=7, coils=frozenset({1, 2, 3, 4})))
        with pytest.raises(StopService):
            await link.drive(OPEN)
        assert not link.connected
        assert server.gun.history == []
        assert server.gun.value("release") is False


@given(
    unit=st.integers(0, 255),
    function=st.integers(0, 255),
    address=st.integers(0, 0xFFFF),
    count=st.integers(0, 123),
)
def test_only_permitted_frames_pass(unit: int, function: int, address: int, count: int) -> None:
    pdu = bytes([unit, function]) + address.to_bytes(2, "big") + count.to_bytes(2, "big")
    try:
        ALL.check(bytes(6) + pdu, tcp=True)
    except StopService:
        return
    assert unit == 7
    if function == 0x05:
        assert address in ALL.coils
    elif function == 0x06:
        assert address in ALL.holding_registers
    elif function == 0x10:
        assert set(range(address, address + count)) <= ALL.holding_registers
    else:
        assert function in {1, 2, 3, 4}


def test_frames_of_both_transports_are_looked_at() -> None:
    coil = WriteSingleCoilRequest(address=9, bits=[True], dev_id=7)
    words = WriteMultipleRegistersRequest(address=0x104, registers=[1, 2], dev_id=7)
    for request in (coil, words):
        pdu = bytes([7, request.function_code]) + request.encode()
        for frame, tcp in ((pdu, False), (bytes(6) + pdu, True)):
            with pytest.raises(StopService):
                ALL.check(frame, tcp=tcp)


def test_a_map_must_fit_its_permit() -> None:
    assert list(map_faults(COIL, ALL)) == []
    assert list(map_faults(SCALE, ALL)) == []
    (fault,) = map_faults(COIL, Permit(unit_id=7, coils=frozenset({0, 1, 2, 3})))
    assert fault == ("writes.coil with 4, for buzzer of coil-gun", "not permitted")
