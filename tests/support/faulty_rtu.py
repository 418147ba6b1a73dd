"""An RTU server of our own on a pseudo terminal, which misbehaves by a seed.

Every register's word tells which unit, table and address it belongs to, and in which exchange it
was read: a word in the wrong place, or an old one, is known as such.
"""

import asyncio
import os
import random
import struct
import tty
from collections import Counter
from collections.abc import Callable, Sequence

from edge.sources.plan import FUNCTIONS
from protocols.catalog.point_map import Table

FAULTS = (
    "late",
    "very_late",
    "silent",
    "wrong_unit",
    "wrong_function",
    "short",
    "long",
    "fewer",
    "trailing",
    "corrupt",
    "noise",
    "pieces",
    "doubled",
    "doubled_later",
    "exception",
)
Words = Callable[[int, int, int, int], int]
"""The word at (unit, function, address) as read in the exchange of this number."""


def crc(data: bytes) -> bytes:
    """Return the CRC of an RTU frame."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


def base_word(unit: int, function: int, address: int) -> int:
    """Return a word that hardly any other register has."""
    return (unit * 7_919 + function * 24_593 + address * 40_503) & 0xFFFF


def telling_word(unit: int, function: int, address: int, exchange: int) -> int:
    """Return what a register says in an exchange."""
    return (base_word(unit, function, address) + exchange) & 0xFFFF


class FaultyRtu:
    """Units on one line; each question is answered rightly, or with one fault."""

    def __init__(
        self,
        units: Sequence[int],
        *,
        rng: random.Random | None = None,
        faulty_share: float = 0.0,
        timeout_s: float = 0.1,
        faults: Sequence[str] = FAULTS,
        words: Words = telling_word,
        baud_rate: int = 0,
    ) -> None:
        self._units, self._rng = frozenset(units), rng or random.Random(0)
        self._share, self._timeout_s, self._faults = faulty_share, timeout_s, tuple(faults)
        self._words, self._baud_rate = words, baud_rate
        self.exchange = 0
        self.made: Counter[str] = Counter()
        self.silent: set[int] = set()
        self.asked: list[tuple[int, int, int, int]] = []
        self.refuse: Callable[[int, int, int, int], int] = lambda *_: 0
        """(unit, function, address, count) -> exception code, 0 for none."""
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._loop.add_reader(self._master, self._ready)

    @property
    def faulty(self) -> int:
        """How many faults were made."""
        return sum(self.made.values())

    def close(self) -> None:
        """Unplug the line."""
        if self._master >= 0:
            self._loop.remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = -1

    def send(self, data: bytes, after_s: float = 0.0) -> None:
        """Put bytes on the line, now or later."""
        if self._baud_rate:
            after_s += 10 * (len(data) + 8) / self._baud_rate
        self._loop.call_later(after_s, self._write, data)

    def _write(self, data: bytes) -> None:
        if self._master >= 0:
            os.write(self._master, data)

    def _ready(self) -> None:
        self._buffer += os.read(self._master, 1024)
        while len(self._buffer) >= 8:
            frame, self._buffer = self._buffer[:8], self._buffer[8:]
            if crc(frame[:6]) != frame[6:]:
                self._buffer = b""
                self.made["bad_question"] += 1
                return
            self._serve(*struct.unpack(">BBHH", frame[:6]))

    def _serve(self, unit: int, function: int, address: int, count: int) -> None:
        self.exchange += 1
        self.asked.append((unit, function, address, count))
        if unit not in self._units or unit in self.silent:
            return
        if code := self.refuse(unit, function, address, count):
            self.send(self._frame(bytes([unit, function | 0x80, code])))
            return
        fault = "none"
        if self._share and self._rng.random() < self._share:
            fault = self._rng.choice(self._faults)
            self.made[fault] += 1
        for delay_s, data in self._answers(fault, unit, function, address, count):
            self.send(data, delay_s)

    def _reply(self, unit: int, function: int, address: int, count: int) -> bytes:
        words = [self._words(unit, function, address + i, self.exchange) for i in range(count)]
        if function <= 2:
            bits = sum((word & 1) << i for i, word in enumerate(words))
            body = bits.to_bytes((count + 7) // 8, "little")
        else:
            body = struct.pack(f">{count}H", *words)
        return self._frame(bytes([unit, function, len(body)]) + body)

    def _frame(self, body: bytes) -> bytes:
        return body + crc(body)

    def _answers(
        self, fault: str, unit: int, function: int, address: int, count: int
    ) -> list[tuple[float, bytes]]:
        """Return what goes over the line, each part so many seconds later."""
        good = self._reply(unit, function, address, count)
        if fault in {"wrong_unit", "wrong_function", "exception", "long", "fewer"}:
            return [(0, self._other_reply(fault, unit, function, address, count))]
        if fault in {"short", "trailing", "corrupt", "noise"}:
            return [(0, _spoil(fault, good, self._rng))]
        return self._timed(fault, good)

    def _timed(self, fault: str, good: bytes) -> list[tuple[float, bytes]]:
        rng, time_out = self._rng, self._timeout_s
        cut = rng.randrange(1, len(good))
        answers: dict[str, list[tuple[float, bytes]]] = {
            "silent": [],
            "late": [(time_out * rng.uniform(0.95, 2.9), good)],
            "very_late": [(time_out * rng.uniform(2.9, 8.0), good)],
            "pieces": [(0, good[:cut]), (time_out * rng.uniform(0.02, 0.3), good[cut:])],
            "doubled": [(0, good + good)],
            "doubled_later": [(0, good), (rng.uniform(0.001, 0.04), good)],
        }
        return answers.get(fault, [(0, good)])

    def _other_reply(self, fault: str, unit: int, function: int, address: int, count: int) -> bytes:
        rng = self._rng
        match fault:
            case "wrong_unit":
                other = rng.choice([one for one in self._units if one != unit] or [unit + 1])
                return self._frame(
                    bytes([other]) + self._reply(unit, function, address, count)[1:-2]
                )
            case "wrong_function":
                code = rng.choice([3 if function == 4 else 4, 0x2B])
                return self._reply(unit, code, address, count)
            case "exception":
                return self._frame(bytes([unit, function | 0x80, rng.choice([1, 4, 6, 0x55])]))
            case "long":
                return self._reply(unit, function, address, count + rng.randint(1, 3))
        return self._reply(unit, function, address, max(0, count - 1))


def _spoil(fault: str, good: bytes, rng: random.Random) -> bytes:
    match fault:
        case "short":
            return good[: rng.randrange(1, len(good))]
        case "trailing":
            return good + rng.randbytes(rng.randint(1, 9))
        case "noise":
            return rng.randbytes(rng.randint(1, 12)) + good
    return _corrupt(good, rng)


def _corrupt(frame: bytes, rng: random.Random) -> bytes:
    data = bytearray(frame)
    for _ in range(rng.randint(1, 3)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data) if bytes(data) != frame else frame[:-1]


def misplaced(
    table: Table, unit: int, address: int, words: Sequence[int], first: int, last: int
) -> list[str]:
    """Name the words that are not of this place, or not of the exchanges first..last."""
    found = []
    for offset, word in enumerate(words):
        exchange = (word - base_word(unit, FUNCTIONS[table], address + offset)) & 0xFFFF
        if not first <= exchange <= last:
            age = first - exchange
            what = f"{age} exchanges old" if 0 < age < 1000 else "of another register"
            found.append(f"unit {unit} {table} {address + offset}: {what}")
    return found
