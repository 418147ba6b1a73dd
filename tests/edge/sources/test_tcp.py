"""Modbus TCP: nothing but reads leaves, nothing but the reply comes in."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sources.line import ReadFailed
from edge.sources.plan import FUNCTIONS, Block, plan
from edge.sources.tcp import TcpLine
from protocols.catalog.point_map import TABLES, Table
from tests.support.faulty_rtu import base_word, telling_word
from tests.support.faulty_tcp import Answers, Asked, FaultyTcp, How, faulty_tcp, frame, words_frame

TIMEOUT_S = 0.1


def good(asked: Asked) -> Answers:
    return [(0, words_frame(asked, [7] * asked.count))]


def block(count: int = 3, address: int = 0, table: Table = "holding_register") -> Block:
    spans = [(table, address, 1), (table, address + count - 1, 1)]
    (made,) = plan(spans, registers_per_read_max=125, gap_max=125)
    return made


@asynccontextmanager
async def linked(
    how: How, timeout_s: float = TIMEOUT_S
) -> AsyncIterator[tuple[FaultyTcp, TcpLine]]:
    async with faulty_tcp(how) as server:
        line = TcpLine("127.0.0.1", server.port, timeout_s)
        await line.open()
        try:
            yield server, line
        finally:
            line.close()
            await asyncio.sleep(0)


async def test_good_reply_is_believed() -> None:
    async with linked(good) as (_, line):
        assert await line.read(1, block()) == [7, 7, 7]


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
    async with linked(lambda asked: [(0, answer(asked))]) as (_, line):
        with pytest.raises(ReadFailed) as failure:
            await line.read(1, block())
        assert failure.value.reason == reason


async def test_older_answers_before_the_reply_do_no_harm() -> None:
    def how(asked: Asked) -> Answers:
        late = words_frame(asked.but(transaction=asked.transaction + 99), [1] * asked.count)
        return [(0, late + words_frame(asked, [7] * asked.count))]

    async with linked(how) as (_, line):
        assert await line.read(1, block(2, 4, "input_register")) == [7, 7]
        assert line.unasked_bytes == 0


async def test_late_answer_never_reaches_the_next_question() -> None:
    """The connection is opened anew after a time-out."""

    def how(asked: Asked) -> Answers:
        late = TIMEOUT_S * 1.2 if len(server.asked) == 1 else 0.0
        return [(late, words_frame(asked, [asked.address] * asked.count))]

    async with linked(how) as (server, line):
        with pytest.raises(ReadFailed):
            await line.read(1, block(1, 5))
        assert not line.connected
        for _ in range(3):
            await line.open()
            assert await line.read(1, block(1, 5)) == [5]
        assert server.connections == 2


async def test_closed_connection_is_a_failure_and_is_opened_again() -> None:
    async with linked(good) as (server, line):
        await server.stop()
        with pytest.raises(ReadFailed) as failure:
            await line.read(1, block())
        assert failure.value.reason == "link_down"
        with pytest.raises(ReadFailed):
            await line.open()
        with pytest.raises(ReadFailed):
            await line.read(1, block())
        await server.start()
        await line.open()
        assert await line.read(1, block()) == [7, 7, 7]


@pytest.mark.parametrize("table", TABLES)
async def test_question_is_the_read_of_its_table(table: Table) -> None:
    async with linked(lambda _: []) as (server, line):
        with pytest.raises(ReadFailed):
            await line.read(9, block(20, 0x0102, table))
        assert server.asked == [Asked(1, 9, FUNCTIONS[table], 0x0102, 20)]


async def test_bits_come_in_their_order() -> None:
    def how(asked: Asked) -> Answers:
        return [(0, frame(asked.transaction, asked.unit, asked.function, 2, 0b1000_0101, 0b10))]

    async with linked(how) as (_, line):
        bits = [1, 0, 1, 0, 0, 0, 0, 1, 0, 1]
        assert await line.read(1, block(10, 0, "coil")) == bits


async def test_reply_may_come_in_pieces() -> None:
    def how(asked: Asked) -> Answers:
        reply = words_frame(asked, list(range(asked.count)))
        return [(0.002 * at, reply[at : at + 1]) for at in range(len(reply))]

    async with linked(how, 1.0) as (_, line):
        for _ in range(2):
            assert await line.read(1, block()) == [0, 1, 2]


async def test_what_nobody_asked_for_is_counted_and_forgotten() -> None:
    def how(asked: Asked) -> Answers:
        reply = words_frame(asked, [7] * asked.count)
        return [(0, reply + reply), (0.01, reply)]

    async with linked(how) as (_, line):
        assert await line.read(1, block()) == [7, 7, 7]
        await asyncio.sleep(0.03)
        assert line.unasked_bytes == 2 * (9 + 6)
        assert await line.read(1, block()) == [7, 7, 7]


async def test_refusal_leaves_the_connection_open() -> None:
    def how(asked: Asked) -> Answers:
        if len(server.asked) == 1:
            return [(0, frame(asked.transaction, asked.unit, 0x83, 2))]
        return good(asked)

    async with linked(how) as (server, line):
        with pytest.raises(ReadFailed) as failure:
            await line.read(1, block())
        assert failure.value.exception_code == 2
        assert await line.read(1, block()) == [7, 7, 7]
        assert server.connections == 1


async def test_cancelled_question_leaves_nothing_behind() -> None:
    async with linked(lambda _: []) as (_, line):
        task = asyncio.ensure_future(line.read(1, block()))
        await asyncio.sleep(0.01)
        task.cancel()
        line.close()
        await asyncio.sleep(2 * TIMEOUT_S)
        assert not line.connected


@given(st.binary(max_size=40), st.booleans())
async def test_any_bytes_are_named_and_never_raise(data: bytes, numbered: bool) -> None:
    def how(asked: Asked) -> Answers:
        start = asked.transaction.to_bytes(2, "big") + b"\0\0\0" if numbered else b""
        return [(0, start + data)]

    with suppress(ReadFailed):  # also where a busy machine does not connect within 10 ms
        async with linked(how, 0.01) as (_, line):
            assert len(await line.read(1, block())) == 3


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
    async with linked(server, timeout_s) as (_, line):
        believed = 0
        blocks = blocks_of_same_length()
        for number in range(1_500):
            first, unit, part = server.exchange + 1, number % 3 + 1, blocks[number % len(blocks)]
            try:
                await line.open()
                values = await line.read(unit, part)
            except ReadFailed:
                continue
            believed += 1
            for offset, word in enumerate(values):
                base = base_word(unit, 3, part.address + offset)
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
