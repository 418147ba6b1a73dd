"""The strict wrapper: nothing but reads leaves, nothing but the reply comes in."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from pymodbus.client import AsyncModbusTcpClient

from edge.sources.lines import NumberedLine
from edge.sources.link import Client, ModbusLink, ReadFailed, Trace
from edge.sources.plan import Block, plan
from protocols.errors import StopService
from tests.support.faulty_rtu import base_word, telling_word
from tests.support.faulty_tcp import Answers, Asked, FaultyTcp, How, faulty_tcp, frame, words_frame

TIMEOUT_S = 0.1


def good(asked: Asked) -> Answers:
    return [(0, words_frame(asked, [7] * asked.count))]


@asynccontextmanager
async def linked(
    how: How, timeout_s: float = TIMEOUT_S
) -> AsyncIterator[tuple[FaultyTcp, ModbusLink, list[Client]]]:
    clients: list[Client] = []

    async with faulty_tcp(how) as server:

        def make(trace: Trace) -> Client:
            client = AsyncModbusTcpClient(
                "127.0.0.1",
                port=server.port,
                timeout=timeout_s,
                retries=0,
                reconnect_delay=0,
                trace_packet=trace,
            )
            clients.append(client)
            return client

        link = ModbusLink(make, transactions=True)
        await link.open()
        try:
            yield server, link, clients
        finally:
            link.close()
            await asyncio.sleep(0)


async def test_good_reply_is_believed() -> None:
    async with linked(good) as (_, link, _):
        assert await link.read(1, "holding_register", 0, 3) == [7, 7, 7]


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
    write: Callable[[AsyncModbusTcpClient], object],
) -> None:
    async with linked(good) as (server, _, clients):
        with pytest.raises(StopService, match="must never leave"):
            await write(clients[0])  # type: ignore[misc,arg-type]
        await asyncio.sleep(0.02)
        assert server.asked == []


def words(asked: Asked, count: int) -> bytes:
    return words_frame(asked, [9] * count)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda a: words(a.but(unit=2), a.count), "wrong_unit"),
        (lambda a: words(a.but(function=4), a.count), "wrong_function"),
        (lambda a: words(a, a.count + 1), "wrong_count"),
        (lambda a: words(a, a.count - 1), "wrong_count"),
        (lambda a: words(a.but(transaction=a.transaction + 1), a.count), "wrong_transaction"),
        (lambda a: words(a.but(transaction=0), a.count), "wrong_transaction"),
        (lambda a: words(a, a.count)[:-1], "short"),
        (lambda a: words(a, a.count)[:5], "short"),
        (lambda _: b"", "silent"),
        (lambda a: frame(a.transaction, a.unit, 3, 6, 0, 9, 0, 9, 0, 9, 1, 2), "corrupt"),
        (lambda a: frame(a.transaction, a.unit, 3, 4, 0, 9), "corrupt"),
        (lambda a: frame(a.transaction, a.unit, 3, 2, 0, 9, protocol=1), "corrupt"),
        (lambda a: frame(a.transaction, a.unit, 0x83, 6), "exception"),
        (lambda a: frame(a.transaction, a.unit, 0x84, 2), "wrong_function"),
        (lambda a: frame(a.transaction, a.unit, 0x83, 0x0B), "unit_unreachable"),
        (lambda a: frame(a.transaction, a.unit, 0x2B, 14, 1, 0, 0, 0, 0), "wrong_function"),
        (lambda a: frame(a.transaction, a.unit, 0x83), "corrupt"),
        (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", "corrupt"),
        (lambda _: bytes(30), "corrupt"),
    ],
)
async def test_other_reply_is_refused_with_its_reason(
    answer: Callable[[Asked], bytes], reason: str
) -> None:
    async with linked(lambda asked: [(0, answer(asked))]) as (_, link, _):
        with pytest.raises(ReadFailed) as failure:
            await link.read(1, "holding_register", 0, 3)
        assert failure.value.reason == reason


async def test_older_answers_before_the_reply_do_no_harm() -> None:
    def how(asked: Asked) -> Answers:
        late = words_frame(asked.but(transaction=asked.transaction + 99), [1] * asked.count)
        return [(0, late + words_frame(asked, [7] * asked.count))]

    async with linked(how) as (_, link, _):
        assert await link.read(1, "input_register", 4, 2) == [7, 7]


async def test_late_answer_never_reaches_the_next_question() -> None:
    """The connection is opened anew after a time-out."""

    def how(asked: Asked) -> Answers:
        late = TIMEOUT_S * 1.2 if len(server.asked) == 1 else 0.0
        return [(late, words_frame(asked, [asked.address] * asked.count))]

    (block,) = plan([("holding_register", 5, 1)], registers_per_read_max=9, gap_max=0)
    async with linked(how) as (server, link, clients):
        line = NumberedLine(link, TIMEOUT_S)
        with pytest.raises(ReadFailed):
            await line.read(1, block)
        assert not link.connected
        for _ in range(3):
            await line.open()
            assert await line.read(1, block) == [5]
        assert server.connections == len(clients) == 2


async def test_closed_connection_is_a_failure_and_is_opened_again() -> None:
    async with linked(good) as (server, link, _):
        await server.stop()
        with pytest.raises(ReadFailed) as failure:
            await link.read(1, "holding_register", 0, 1)
        assert failure.value.reason == "link_down"
        with pytest.raises(ReadFailed):
            await link.open()
        await server.start()
        await link.open()
        assert await link.read(1, "holding_register", 0, 1) == [7]


class Unreliable:
    """Answers with words that tell their place and exchange; two in three answers are faulty."""

    def __init__(self, rng: random.Random, timeout_s: float) -> None:
        self._rng, self._timeout_s = rng, timeout_s
        self.exchange = 0
        self.faulty = 0

    def __call__(self, asked: Asked) -> Answers:
        self.exchange += 1
        values = [
            telling_word(asked.unit, asked.function, asked.address + i, self.exchange)
            for i in range(asked.count)
        ]
        reply = words_frame(asked, values)
        faults: list[Answers] = [
            [(self._timeout_s * self._rng.uniform(0.9, 3), reply)],
            [],
            [(0, words_frame(asked.but(unit=asked.unit % 3 + 1), values))],
            [(0, words_frame(asked.but(function=4), values))],
            [(0, words_frame(asked, values[1:]))],
            [(0, reply + reply)],
            [(0, reply), (0.002, reply)],
            [(0, words_frame(asked.but(transaction=asked.transaction - 1), values))],
            [(0, reply[: self._rng.randrange(len(reply))])],
        ]
        if self._rng.random() > 2 / 3:
            return [(0, reply)]
        self.faulty += 1
        return self._rng.choice(faults)


async def test_no_wrong_value_on_a_faulty_tcp_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    timeout_s = 0.01
    server = Unreliable(random.Random(3), timeout_s)
    async with linked(server, timeout_s) as (_, link, _):
        line, believed = NumberedLine(link, timeout_s), 0
        blocks = blocks_of_same_length()
        for number in range(1_500):
            first, unit, block = server.exchange + 1, number % 3 + 1, blocks[number % len(blocks)]
            try:
                await line.open()
                values = await line.read(unit, block)
            except ReadFailed:
                continue
            believed += 1
            for offset, word in enumerate(values):
                base = base_word(unit, 3, block.address + offset)
                assert first <= (word - base) & 0xFFFF <= server.exchange
        assert believed > 300
        assert server.faulty > 500
    assert "asyncio" not in {record.name for record in caplog.records}, "nothing raised in the loop"


def blocks_of_same_length() -> tuple[Block, ...]:
    return plan(
        [("holding_register", 50 * block + address, 1) for block in range(4) for address in (0, 1)],
        registers_per_read_max=2,
        gap_max=0,
    )
