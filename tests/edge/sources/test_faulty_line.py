"""No wrong value ever: lines that answer late, wrongly, twice and not at all."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence

import pytest

from edge.sources.base import Columns, Registers, Sample
from edge.sources.bus import ModbusBus
from edge.sources.line import ReadFailed
from edge.sources.lines import CautiousLine
from edge.sources.link import Client, ModbusLink, Trace
from edge.sources.plan import Block, Span, plan, spread
from edge.sources.ticker import Ticker
from edge.sources.unit import Unit
from protocols.clock import SystemClock
from tests.support.faulty_rtu import FaultyRtu, misplaced

TIMEOUT_S = 0.05
# blocks of the same length, a value of two registers, and one register alone
SPANS = [
    *(("holding_register", address, 1) for address in range(10)),
    ("holding_register", 10, 2),
    *(("holding_register", 100 + address, 1) for address in range(12)),
    ("holding_register", 200, 1),
    *(("input_register", address, 1) for address in range(6)),
]


def serial_client(path: str, timeout_s: float, trace: Trace) -> Client:
    from pymodbus.client import AsyncModbusSerialClient

    return AsyncModbusSerialClient(
        path, timeout=timeout_s, retries=0, reconnect_delay=0, trace_packet=trace
    )


class CheckedLine(CautiousLine):
    """Judges every word that the line believes."""

    def __init__(self, server: FaultyRtu, timeout_s: float) -> None:
        link = ModbusLink(lambda trace: serial_client(server.path, timeout_s, trace))
        super().__init__(link, timeout_s, silence_s=0.002)
        self._server = server
        self.believed = 0
        self.wrong: list[str] = []
        self.reasons: Counter[str] = Counter()

    async def read(self, unit: int, block: Block) -> list[int]:
        first = self._server.exchange + 1
        try:
            words = await super().read(unit, block)
        except ReadFailed as error:
            self.reasons[error.reason] += 1
            raise
        self.believed += 1
        self.wrong += misplaced(
            block.table, unit, block.address, words, first, self._server.exchange
        )
        return words

    async def read_again(self, unit: int, block: Block, span: Span) -> tuple[Span, list[int]]:
        first = self._server.exchange + 1
        where, words = await super().read_again(unit, block, span)
        address = block.address + where[0]
        self.wrong += misplaced(block.table, unit, address, words, first, self._server.exchange)
        return where, words


class CarelessDecoder:
    """Reports nothing, and now and then wants a second read."""

    def __init__(self) -> None:
        self._polls = 0

    def observe(
        self,
        reads: Sequence[tuple[Registers, list[int]]],
        at_boot_ms: int,
        doubtful: Sequence[Registers] = (),
    ) -> list[Columns]:
        self._polls += 1
        return []

    def urgent_span(self, registers: Registers, words: list[int]) -> tuple[int, int] | None:
        return (0, 1) if self._polls % 10 == 0 else None

    def agree(
        self, registers: Registers, words: list[int], span: tuple[int, int], again: list[int]
    ) -> bool:
        return True

    def lose(self, registers: Registers) -> list[Columns]:
        return []

    def silence(self) -> list[Columns]:
        return []


@pytest.fixture
def no_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave units alone only as long as safety asks, so that far more goes over the line."""
    monkeypatch.setattr("edge.sources.unit.BACK_OFF_MAX_S", 0.0)
    monkeypatch.setattr("edge.sources.bus._PROBE_REST", 0)


class CarelessLine(CheckedLine):
    """Checks every frame, but asks the same again at once after a failure."""

    def __init__(self, server: FaultyRtu, timeout_s: float) -> None:
        super().__init__(server, timeout_s)
        self.rest_s = 0.0

    async def _ask(self, unit: int, block: Block, part: Span, memory: object) -> list[int]:
        return await self._link.read(unit, block.table, block.address + part[0], part[1])


async def stall(rng: random.Random) -> None:
    """Hold the loop up now and then, as a busy gateway does; answers wait in the kernel then."""
    while True:
        await asyncio.sleep(0.05)
        time.sleep(rng.uniform(0, 0.03))


async def run_campaign(
    faulty_frames: int,
    lines: int,
    seed: int,
    *,
    units: Sequence[int] = (1, 2, 3),
    line_type: type[CheckedLine] = CheckedLine,
) -> tuple[str, list[str]]:
    """Run lines side by side until so many faults were made; return figures and wrong words."""
    rng = random.Random(seed)
    ticker, servers, checked, tasks = Ticker(), [], [], []

    def emit(sample: Sample) -> None:
        raise AssertionError(sample)

    for number in range(lines):
        server = FaultyRtu(
            units, rng=random.Random(rng.random()), faulty_share=2 / 3, timeout_s=TIMEOUT_S
        )
        line = line_type(server, TIMEOUT_S)
        servers.append(server)
        checked.append(line)
        polled = [
            Unit(
                asset=f"elevator:{number}-{unit}",
                controller="test",
                unit_id=unit,
                period_s=0.02,
                blocks=spread(plan(SPANS, registers_per_read_max=125, gap_max=8)),  # type: ignore[arg-type]
                decoder=CarelessDecoder(),
            )
            for unit in units
        ]
        bus = ModbusBus(
            name=str(number),
            kind="modbus_rtu",
            units=polled,
            line=line,
            ticker=ticker,
            clock=SystemClock(),
            rng=rng,
        )
        tasks.append(asyncio.create_task(bus.run(emit)))
    tasks.append(asyncio.create_task(stall(random.Random(seed))))
    while sum(server.faulty for server in servers) < faulty_frames:
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for server in servers:
        server.close()
    made = sum((server.made for server in servers), Counter[str]())
    reasons = sum((line.reasons for line in checked), Counter[str]())
    wrong = [one for line in checked for one in line.wrong]
    figures = (
        f"{made.total()} faulty of {sum(server.exchange for server in servers)} exchanges on "
        f"{lines} lines: {sum(line.believed for line in checked)} blocks believed, "
        f"{len(wrong)} words wrong\nmade: {dict(made)}\nrefused: {dict(reasons)}"
    )
    assert made.total() >= faulty_frames
    assert sum(line.believed for line in checked) > faulty_frames / 10
    return figures, wrong


@pytest.mark.usefixtures("no_back_off")
async def test_no_wrong_value_on_faulty_lines(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    figures, wrong = await run_campaign(1_000, lines=16, seed=20261124)
    with capsys.disabled():
        print("\n" + figures)
    assert not wrong, wrong[:10]
    assert "asyncio" not in {record.name for record in caplog.records}, "nothing raised in the loop"


@pytest.mark.usefixtures("no_back_off")
async def test_campaign_finds_wrong_values_of_a_careless_line() -> None:
    _, wrong = await run_campaign(300, lines=8, seed=1, line_type=CarelessLine)
    assert wrong


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("no_back_off")
@pytest.mark.parametrize("units", [(1, 2, 3), (1,)], ids=["three units", "one unit"])
async def test_no_wrong_value_over_10000_faulty_frames(
    units: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    figures, wrong = await run_campaign(10_000, lines=24, seed=5, units=units)
    with capsys.disabled():
        print("\n" + figures)
    assert not wrong, wrong[:10]
