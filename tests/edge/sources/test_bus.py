"""A bus at work: silence, fair turns, refusals, reconnecting, second looks at what is urgent."""

import asyncio
import random
from pathlib import Path

import pytest

from edge.decode.device import Decoders
from edge.settings import Bus, Device
from edge.sources.base import Source
from edge.sources.registry import build_sources
from protocols.clock import SystemClock
from protocols.errors import RefuseInput
from tests.support.edge_bus import BOARD, devices, running, site
from tests.support.faulty_rtu import FaultyRtu
from tests.support.faulty_tcp import Answers, Asked, faulty_tcp, frame, words_frame


def tcp_bus(port: int, count: int = 1, period_s: float = 0.1, timeout_s: float = 0.2) -> Bus:
    return Bus(
        id="tcp",
        kind="modbus_tcp",
        host="127.0.0.1",
        port=port,
        timeout_s=timeout_s,
        devices=devices(count, period_s),
    )


def rtu_bus(path: str, count: int, period_s: float, timeout_s: float | None = None) -> Bus:
    return Bus(
        id="rtu",
        kind="modbus_rtu",
        device=path,
        baud_rate=19_200,
        timeout_s=timeout_s,
        devices=devices(count, period_s),
    )


def count_of(source: Source, name: str) -> int:
    value = source.status()["counters"][name]
    assert isinstance(value, int)
    return value


def image(asked: Asked, words: dict[int, int]) -> bytes:
    return words_frame(
        asked, [words.get(asked.address + offset, 0) for offset in range(asked.count)]
    )


@pytest.fixture
def short_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again within half a second instead of a minute."""
    monkeypatch.setattr("edge.sources.unit.BACK_OFF_MAX_S", 0.5)
    monkeypatch.setattr("edge.sources.bus._LINK_REST_S", 0.3)


async def one_in_ten_silent(
    timeout_s: float | None, seconds: float, capsys: pytest.CaptureFixture[str]
) -> None:
    server = FaultyRtu(range(1, 11), words=lambda *_: 5, baud_rate=19_200)
    server.silent.add(4)
    async with running(rtu_bus(server.path, 10, 1.0, timeout_s)) as (sources, heard):
        await asyncio.sleep(seconds)
        polls = {one["unit_id"]: one["polls"] for one in sources[0].status()["devices"]}
        tries, wanted = polls.pop(4), int(seconds)
        worst = min(polls.values()) / wanted
        with capsys.disabled():
            print(f"\n1 of 10 silent for {seconds:.0f} s: {tries} tries of it; ", end="")
            print(f"the worst of the nine kept {worst:.1%} of its polls")
        assert worst >= 0.9
        assert count_of(sources[0], "polls_failed") == tries
        assert heard.latest("elevator:4") == {
            "controller_online": False,
            **dict.fromkeys(
                ("car_position", "load_percent", "message_code", "present_counter_value")
            ),
        }
    server.close()


async def test_nine_keep_their_polls_when_one_of_ten_is_silent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    await one_in_ten_silent(None, 12, capsys)


@pytest.mark.long
async def test_nine_keep_their_polls_at_a_time_out_as_long_as_the_period(
    capsys: pytest.CaptureFixture[str],
) -> None:
    await one_in_ten_silent(1.0, 60, capsys)


@pytest.mark.usefixtures("short_back_off")
async def test_silent_device_says_so_once_and_comes_back_whole() -> None:
    server = FaultyRtu([1, 2], words=lambda _u, _f, address, _e: address)
    async with running(rtu_bus(server.path, 2, 0.1, 0.1)) as (sources, heard):
        await heard.until(lambda: "car_position" in heard.latest("elevator:1"))
        server.silent.add(1)
        await heard.until(lambda: heard.latest("elevator:1").get("controller_online") is False)
        alarm, data = heard.of("elevator:1")[-2:]
        assert (alarm.stream, alarm.values) == ("alarm", {"controller_online": False})
        assert data.stream == "data"
        assert set(data.values.values()) == {None}
        assert set(data.quality.values()) == {"stale"}
        assert set(data.values) == set(data.quality) == {one.name for one in BOARD.points}
        (first, second) = sources[0].status()["devices"]
        assert (first["silent"], second["silent"]) == (True, False)
        said = len(heard.of("elevator:1"))
        server.silent.clear()
        await heard.until(lambda: len(heard.of("elevator:1")) >= said + 2, 20)
        alarm, data = heard.of("elevator:1")[said:]
        assert (alarm.stream, alarm.values) == (
            "alarm",
            {"controller_online": True, "message_code": []},
        )
        assert data.values == {
            "car_position": 0,
            "load_percent": 1,
            "present_counter_value": (6 << 16) + 7,
        }
        assert heard.latest("elevator:2")["controller_online"] is True
    server.close()


async def test_equal_registers_are_told_once() -> None:
    async with (
        faulty_tcp(lambda asked: [(0, image(asked, {0: 3}))]) as server,
        running(tcp_bus(server.port, period_s=0.05)) as (sources, heard),
    ):
        await heard.until(lambda: len(server.asked) > 10 or not heard.samples, 5)
        while len(server.asked) < 10:
            await asyncio.sleep(0.01)
        assert [one.stream for one in heard.samples] == ["alarm", "data"]
        assert count_of(sources[0], "polls_done") >= 9


async def test_change_is_told_alone_and_urgent_change_in_the_alarm_stream() -> None:
    words = {0: 3}
    async with (
        faulty_tcp(lambda asked: [(0, image(asked, words))]) as server,
        running(tcp_bus(server.port, period_s=0.05)) as (_, heard),
    ):
        await heard.until(lambda: len(heard.samples) == 2)
        words[0] = 4
        await heard.until(lambda: len(heard.samples) == 3)
        words[4] = 1
        await heard.until(lambda: len(heard.samples) == 4)
        told = [(one.stream, one.values) for one in heard.samples[2:]]
        assert told == [("data", {"car_position": 4}), ("alarm", {"message_code": ["90"]})]


async def test_late_poll_is_skipped_and_counted_never_queued() -> None:
    async with (
        faulty_tcp(lambda asked: [(0.33, image(asked, {}))]) as server,
        running(tcp_bus(server.port, period_s=0.1, timeout_s=1.0)) as (sources, _),
    ):
        await asyncio.sleep(1.5)
        assert len(server.asked) <= 5
        skipped, due = count_of(sources[0], "polls_skipped"), count_of(sources[0], "polls_due")
        assert due - skipped <= 5
        assert skipped >= 8


@pytest.mark.usefixtures("short_back_off")
async def test_line_comes_back_after_the_server_was_away() -> None:
    async with (
        faulty_tcp(lambda asked: [(0, image(asked, {0: 3}))]) as server,
        running(tcp_bus(server.port, 2)) as (sources, heard),
    ):
        await heard.until(lambda: len(heard.samples) == 4)
        await server.stop()
        await heard.until(lambda: heard.latest("elevator:2").get("controller_online") is False)
        status = sources[0].status()
        assert status["link"] == "down"
        assert all(one["silent"] for one in status["devices"])
        assert heard.latest("elevator:1")["car_position"] is None
        await server.start()
        await heard.until(lambda: heard.latest("elevator:2").get("controller_online") is True)
        assert sources[0].status()["link"] == "up"
        assert heard.latest("elevator:2")["car_position"] == 3


@pytest.mark.usefixtures("short_back_off")
async def test_unplugged_serial_line_is_opened_again_when_it_is_back(tmp_path: Path) -> None:
    first, link = FaultyRtu([1], words=lambda *_: 0), tmp_path / "line"
    link.symlink_to(first.path)
    async with running(rtu_bus(str(link), 1, 0.1, 0.1)) as (sources, heard):
        await heard.until(lambda: len(heard.samples) >= 2)
        first.close()
        link.unlink()
        await heard.until(lambda: heard.latest("elevator:1").get("controller_online") is False)
        assert sources[0].status()["link"] == "down"
        second = FaultyRtu([1], words=lambda *_: 0)
        link.symlink_to(second.path)
        await heard.until(lambda: heard.latest("elevator:1").get("controller_online") is True)
        assert sources[0].status()["link"] == "up"
    second.close()


@pytest.mark.usefixtures("short_back_off")
async def test_refused_registers_are_read_around_and_named() -> None:
    """The device has neither the unlisted registers nor 6 and 7, whatever its document says."""

    def how(asked: Asked) -> Answers:
        last = asked.address + asked.count - 1
        if last >= 5 or (asked.address <= 2 <= last) or (asked.address <= 3 <= last):
            return [(0, frame(asked.transaction, asked.unit, asked.function | 0x80, 2))]
        return [(0, image(asked, {0: 3, 1: 44, 4: 2}))]

    async with (
        faulty_tcp(how) as server,
        running(tcp_bus(server.port, period_s=0.05)) as (sources, heard),
    ):
        await heard.until(lambda: "present_counter_value" in heard.latest("elevator:1"), 15)
        assert heard.latest("elevator:1") == {
            "controller_online": True,
            "car_position": 3,
            "load_percent": 44,
            "message_code": ["02"],
            "present_counter_value": None,
        }
        (device,) = sources[0].status()["devices"]
        assert device["unread"] == ["holding_register 0x0006+2"]
        assert device["answers"]
        assert all(
            (one.address, one.count) in {(0, 8), (0, 2), (4, 1), (6, 2)} for one in server.asked
        )


@pytest.mark.usefixtures("short_back_off")
async def test_points_of_a_block_that_answers_no_more_go_stale() -> None:
    far = BOARD.points[3].__class__(
        name="total_running_time", table="input_register", address=9, type="uint32"
    )
    board = BOARD.__class__(schema=1, id="board", kind="elevator", points=(*BOARD.points, far))
    broken = False

    def how(asked: Asked) -> Answers:
        if broken and asked.function == 4:
            return []
        return [(0, image(asked, {0: 3, 9: 1}))]

    async with faulty_tcp(how) as server:
        bus = tcp_bus(server.port, period_s=0.05, timeout_s=0.05)
        async with running(bus, controllers=[board]) as (_, heard):
            await heard.until(lambda: heard.latest("elevator:1").get("total_running_time"))
            broken = True
            await heard.until(lambda: heard.latest("elevator:1")["total_running_time"] is None, 15)
            assert heard.samples[-1].quality == {"total_running_time": "stale"}
            assert heard.latest("elevator:1")["car_position"] == 3
            assert heard.latest("elevator:1")["controller_online"] is True


async def test_urgent_change_on_a_serial_line_is_read_twice_with_another_length() -> None:
    on = False
    server = FaultyRtu([1], words=lambda _u, _f, address, _e: int(on and address == 4))
    async with running(rtu_bus(server.path, 1, 0.05)) as (_, heard):
        await heard.until(lambda: len(heard.samples) == 2)
        before = len(server.asked)
        on = True
        await heard.until(lambda: heard.latest("elevator:1")["message_code"] == ["90"])
        lengths = [count for _, _, _, count in server.asked[before:]]
        assert lengths[-1] != lengths[-2]
    server.close()


async def test_urgent_change_that_was_never_there_is_not_told() -> None:
    """A frame can be wrong and still have the right CRC: once in 65,536."""

    def words(_unit: int, _function: int, address: int, exchange: int) -> int:
        return int(address == 4 and exchange % 7 == 0)

    server = FaultyRtu([1], words=words)
    async with running(rtu_bus(server.path, 1, 0.05)) as (sources, heard):
        async with asyncio.timeout(10):
            while count_of(sources[0], "unconfirmed") < 3:
                await asyncio.sleep(0.02)
        assert heard.latest("elevator:1")["message_code"] == []
        assert len(heard.of("elevator:1", "alarm")) == 1
    server.close()


async def test_devices_without_a_good_controller_are_set_aside_by_name() -> None:
    plan = site(
        Bus(
            id="b",
            kind="modbus_tcp",
            host="h",
            devices=(
                *devices(1),
                Device(asset="elevator:9", controller="gone"),
                Device(asset="elevator:8", controller="odd", unit_id=8),
            ),
        )
    )
    odd = BOARD.__class__(
        schema=1, id="odd", kind="elevator", points=BOARD.points, framing="acme-7"
    )
    sources, faults = build_sources(
        plan, {"board": BOARD, "odd": odd}, SystemClock(), random.Random(1), Decoders()
    )
    assert [source.name for source in sources] == ["b"]
    said = [str(fault) for fault in faults]
    assert any("elevator:9" in one and "'gone'" in one for one in said)
    assert any("elevator:8" in one and "acme-7" in one for one in said)
    assert len(said) == 2


async def test_hundred_connections_share_slots_and_one_ticker() -> None:
    async with faulty_tcp(lambda asked: [(0, image(asked, {0: 3}))]) as server:
        buses = [
            Bus(
                id=f"b{number}",
                kind="modbus_tcp",
                host="127.0.0.1",
                port=server.port,
                devices=(
                    Device(asset=f"elevator:{number}", controller="board", poll_interval_s=0.5),
                ),
            )
            for number in range(100)
        ]
        async with running(*buses) as (sources, heard):
            await heard.until(lambda: len(heard.samples) == 200)
            assert server.connections == 100
            await asyncio.sleep(1.0)
            done = [count_of(source, "polls_done") for source in sources]
            assert min(done) >= 2
            assert sum(count_of(source, "polls_failed") for source in sources) == 0


async def test_cancellation_that_meets_a_reply_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Python 3.12 wait_for hands over the reply and forgets that it was cancelled."""
    loop = asyncio.get_running_loop()

    def cancel_now(data: bytes, _question: object) -> bytes:
        loop.call_soon(task.cancel)
        return data

    monkeypatch.setattr("edge.sources.link.sift_rtu", cancel_now)
    server = FaultyRtu([1])
    (source,), _ = build_sources(
        site(rtu_bus(server.path, 1, 0.1, 5.0)),
        {"board": BOARD},
        SystemClock(),
        random.Random(1),
        Decoders(),
    )
    task = asyncio.create_task(source.run(lambda _: None))
    await asyncio.wait([task], timeout=1)
    assert task.cancelled()
    assert len(server.asked) <= 2  # a read and a second look at it, but no second poll
    server.close()


async def test_registers_are_read_on_demand_between_polls_and_never_past_a_bound() -> None:
    server = FaultyRtu([1, 2], words=lambda unit, _f, address, _e: 100 * unit + address)
    async with running(rtu_bus(server.path, 2, 0.1, 0.1)) as ((bus,), heard):
        await heard.until(lambda: "car_position" in heard.latest("elevator:2"))
        words = await bus.ask("elevator:2", "holding_register", 7, 3)
        assert words == [207, 208, 209]
        with pytest.raises(RefuseInput, match="unknown_asset"):
            await bus.ask("elevator:9", "holding_register", 0, 1)
        server.silent.add(1)
        asked = [
            asyncio.create_task(bus.ask("elevator:1", "coil", number, 1)) for number in range(8)
        ]
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(one).__name__ for one in done} == {"ReadFailed", "RefuseInput"}
        server.silent.clear()
        assert {function for _, function, _, _ in server.asked} <= {1, 2, 3, 4}
        polls = bus.status()["counters"]["polls_done"]
        await asyncio.sleep(0.5)
        assert bus.status()["counters"]["polls_done"] > polls
    server.close()
