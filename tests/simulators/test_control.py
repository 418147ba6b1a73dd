import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.clock import ManualClock
from simulators.city import City
from simulators.control import control_server
from simulators.dialect import Dialect
from simulators.scenario import Group, build_lift
from tests.support.full_board import full_board

Talk = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def city(tmp_path: Path) -> City:
    dialect = Dialect(full_board(tmp_path))
    group = Group(id="g", controller="full-board", traffic="none")
    return City([build_lift(dialect, group, i, i + 1, 1) for i in range(3)], ManualClock())


@pytest.fixture
async def link(city: City) -> AsyncIterator[Talk]:
    async with control_server(city, 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield reader, writer
        writer.close()


async def ask(link: Talk, message: object) -> dict[str, object]:
    text = message if isinstance(message, bytes) else json.dumps(message).encode()
    link[1].write(text + b"\n")
    answer: dict[str, object] = json.loads(await link[0].readline())
    return answer


async def test_orders_of_the_contract_are_obeyed(link: Talk, city: City) -> None:
    hold = {"op": "set", "lift": 0, "values": {"passenger_status": True, "message_code": ["90"]}}
    for order in (
        hold,
        {"op": "fault", "lift": 1, "name": "entrapment", "evidence": "off_level"},
        {"op": "silence", "unit": 3, "on": True},
    ):
        assert (await ask(link, order))["ok"] is True
    assert city.lifts[0].held == hold["values"]
    assert city.lifts[1].lift.riders
    assert [served.silent for served in city.lifts] == [False, False, True]
    for order in (
        {"op": "release", "lift": 0},
        {"op": "clear", "lift": 1},
        {"op": "silence", "unit": 3, "on": False},
    ):
        assert (await ask(link, order))["ok"] is True
    assert not city.lifts[0].held
    assert not city.lifts[1].lift.faults
    assert not city.lifts[2].silent


async def test_stats_tell_reads_and_changes(link: Talk, city: City) -> None:
    city.lifts[1].fetched("coil", 0, 1, 5)
    answer = await ask(link, {"op": "stats"})
    assert answer["reads"] == {"1": 0, "2": 1, "3": 0}
    lifts = answer["lifts"]
    assert isinstance(lifts, list)
    assert [lift["unit"] for lift in lifts] == [1, 2, 3]
    assert lifts[0]["changed_at"] == city.clock.wall_ms()
    assert lifts[0]["points"]["message_code"] == {
        "value": [],
        "changed_at": city.clock.wall_ms(),
    }


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b'{"op": "explode"}',
        b'{"op": "clear", "lift": "one"}',
        b'{"op": "clear", "colour": 1}',
        b'{"op": "clear", "lift": 99}',
        b'{"op": "set", "lift": 0, "values": {"speed": {}}}',
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"op": "set", "lift": 0, "values": {"speed": ' + b"[" * 60_000,
    ],
)
async def test_bad_line_is_answered_with_its_reason_and_the_next_is_obeyed(
    link: Talk, line: bytes
) -> None:
    answer = await ask(link, line)
    assert answer["ok"] is False
    assert answer["reason"]
    assert (await ask(link, {"op": "stats"}))["ok"] is True


async def test_endless_line_ends_the_connection(link: Talk) -> None:
    link[1].write(b"x" * 300_000)
    with contextlib.suppress(ConnectionResetError):
        assert await link[0].read() == b""
