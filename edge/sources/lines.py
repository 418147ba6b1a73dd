"""How a serial line is asked: with caution, for its replies are not numbered."""

import asyncio
from collections.abc import Iterable
from functools import partial

from edge.settings import Bus
from edge.sources.line import ReadFailed
from edge.sources.link import ModbusLink, quiet_pymodbus, serial_client, tcp_client
from edge.sources.plan import Block, Signature, Span, around, partition
from edge.sources.timing import line_silence_s, line_timeout_s
from protocols.catalog.defaults import defaults

BAUD_RATE = defaults().modbus.baud_rate
_OWED_TIME_OUTS = 20
"""How late an answer is believed to come at all; until then nothing is asked that it would fit."""
_REPEATS_MAX = 4
_TWICE_S = 0.3
"""How late the same answer may come twice; another length tells the second from a new one."""
_TWICE_BRIEF_S = 0.05
"""The same where there is no other length and the line has to wait."""
_SILENT_READS_MAX = 8
"""So many reads without one byte, and the line is opened anew."""


class _Memory:
    """What a unit was asked lately, and which answers it may still owe."""

    def __init__(self) -> None:
        self._owed: dict[Signature, list[float]] = {}
        self._answered: dict[Signature, float] = {}

    def owed(self, shape: Signature, now: float) -> int:
        """Count the answers of this shape that may still come."""
        until = [one for one in self._owed.get(shape, ()) if one > now]
        if until:
            self._owed[shape] = until
        else:
            self._owed.pop(shape, None)
        return len(until)

    def unsafe(self, shape: Signature, now: float) -> bool:
        """Tell whether an old answer, or a new one come twice, could have this shape."""
        return self.answered_at(shape) > now - _TWICE_S or self.owed(shape, now) > 0

    def failed(self, shape: Signature, until: float) -> None:
        """An answer of this shape did not come, or another took its place."""
        self._owed.setdefault(shape, []).append(until)
        del self._owed[shape][:-_REPEATS_MAX]

    def answered(self, shape: Signature, now: float) -> None:
        """The answer came."""
        self._answered[shape] = now

    def answered_at(self, shape: Signature) -> float:
        """Return when an answer of this shape came last."""
        return self._answered.get(shape, -_TWICE_S)


class CautiousLine:
    """RTU: replies carry no number, so the length of the data serves as one.

    An answer later than its time-out fits any later question to the same unit for as many
    registers by the same function. So no question is asked that an answer still owed would fit:
    the block is read in parts of other lengths, never beyond it. Where there is no other length
    (one register alone), it is read as often as answers are owed and once more, and all must agree.
    """

    confirms = True

    def __init__(self, link: ModbusLink, timeout_s: float, silence_s: float) -> None:
        self._link = link
        self._timeout_s = timeout_s
        self._silence_s = silence_s
        self._memories: dict[int, _Memory] = {}
        self._silent_reads = 0
        self.rest_s = 2 * timeout_s
        self.open = link.open
        self.close = link.close

    @property
    def connected(self) -> bool:
        """Whether the line is open as far as anybody knows."""
        return self._link.connected

    @property
    def unasked_bytes(self) -> int:
        """Bytes that came while no question was open."""
        return self._link.unasked_bytes

    async def read(self, unit: int, block: Block) -> list[int]:
        """Read a block, whole or in parts. Raises ReadFailed."""
        memory = self._memories.setdefault(unit, _Memory())
        now = asyncio.get_running_loop().time()
        parts = partition(block, lambda shape: memory.unsafe(shape, now))
        if parts is None:
            return await self._read_repeatedly(unit, block, (0, block.count), memory)
        words: list[int] = []
        for part in parts:
            words += await self._ask(unit, block, part, memory)
        return words

    async def read_again(self, unit: int, block: Block, span: Span) -> tuple[Span, list[int]]:
        """Read registers a second time, by another length where there is one."""
        memory = self._memories.setdefault(unit, _Memory())
        now = asyncio.get_running_loop().time()
        other = around(block, span, lambda shape: memory.unsafe(shape, now))
        if other is None:
            whole = 0, block.count
            return whole, await self._read_repeatedly(unit, block, whole, memory)
        return other, await self._ask(unit, block, other, memory)

    async def _read_repeatedly(
        self, unit: int, block: Block, part: Span, memory: _Memory
    ) -> list[int]:
        loop, shape = asyncio.get_running_loop(), block.signature(part[1])
        times = memory.owed(shape, loop.time()) + 1
        if times > _REPEATS_MAX:
            raise ReadFailed("unsafe")
        await asyncio.sleep(memory.answered_at(shape) + _TWICE_BRIEF_S - loop.time())
        words = await self._ask(unit, block, part, memory)
        for _ in range(times - 1):
            if await self._ask(unit, block, part, memory) != words:
                memory.failed(shape, loop.time() + _OWED_TIME_OUTS * self._timeout_s)
                raise ReadFailed("unsafe")
        return words

    async def _ask(self, unit: int, block: Block, part: Span, memory: _Memory) -> list[int]:
        await self._quiet()
        loop, shape = asyncio.get_running_loop(), block.signature(part[1])
        start, count = part
        try:
            words = await self._link.read(unit, block.table, block.address + start, count)
        except ReadFailed as error:
            memory.failed(shape, loop.time() + _OWED_TIME_OUTS * self._timeout_s)
            self._reopen_if_dead(error)
            raise
        self._silent_reads = 0
        memory.answered(shape, loop.time())
        return words

    async def _quiet(self) -> None:
        """Wait for 3.5 characters of silence; on a line that is never silent one time-out."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout_s
        while True:
            # bytes may wait in the kernel after a stall: two turns of the loop, and they are seen
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            now = loop.time()
            left = self._link.last_byte_at + self._silence_s - now
            if left <= 0 or now >= end:
                return
            await asyncio.sleep(left)

    def _reopen_if_dead(self, error: ReadFailed) -> None:
        self._silent_reads = self._silent_reads + 1 if error.reason == "silent" else 0
        if self._silent_reads >= _SILENT_READS_MAX:
            self._silent_reads = 0
            self._link.close()


def serial_line(bus: Bus, blocks: Iterable[Block]) -> CautiousLine:
    """Make the line of an RTU bus; nothing is opened yet. `blocks` tell the longest reply."""
    quiet_pymodbus()
    longest = max(block.count for block in blocks)
    bits, baud_rate = bus.bits_per_character, bus.baud_rate or BAUD_RATE
    timeout_s = line_timeout_s(bus.timeout_s, baud_rate, bits, longest)
    if bus.kind == "modbus_rtu":
        make = partial(serial_client, bus, baud_rate, timeout_s)
    else:
        timeout_s = max(timeout_s, bus.timeout_s or defaults().modbus.timeout_tcp_s)
        make = partial(tcp_client, bus, timeout_s)
    return CautiousLine(ModbusLink(make), timeout_s, line_silence_s(baud_rate, bits))
