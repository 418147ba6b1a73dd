"""A UHF module of the R200 / M100 / QM100 family on a serial line."""

import contextlib
import termios
import time
from collections.abc import Iterator, Mapping, Sequence

import serial

from edge.settings import Reader
from edge.sources import r200
from edge.sources.base import READ_WAIT_S, Driver, OpenDriver, Seen
from edge.sources.gen2 import REPEAT_S, BankName, Visit, Visits
from edge.sources.r200 import Bank, Command, Frame, FrameReader
from protocols.errors import RetryLater

BAUD_RATE = 115_200
QUIET_S = 0.05
"""Nothing for so long: the frame that has begun will not be completed."""
ANSWER_S = 0.15
"""A module that is well answers within so long."""
ACCESS_S = 0.35
"""Reading the memory of one tag is given up after so long, to be tried again."""
INVENTORY_S = 1.0
"""Nothing for so long: the inventory has ended, or the module is gone."""
BANKS: Mapping[BankName, tuple[Bank, Sequence[int], int]] = {
    "tid": (Bank.TID, (6, 4, 2), 6),
    "user": (Bank.USER, (32, 16, 8, 4), 64),
}
"""Of each bank: words to ask for at once, largest first, and words to take at most."""
_GONE = (OSError, termios.error)
"""What pyserial raises when a device is pulled out; the second is no OSError."""


def opener(reader: Reader) -> OpenDriver:
    """Return a function that opens the module of this reader."""

    def open_module() -> Driver:
        try:
            port = serial.Serial(
                reader.device,
                reader.baud_rate or BAUD_RATE,
                timeout=QUIET_S,
                write_timeout=READ_WAIT_S,
                exclusive=True,
            )
        except _GONE as error:
            raise RetryLater(f"{reader.device}: {error}") from None
        module = Module(port, Visits(reader.banks, reader.away_s))
        try:
            module.start(reader.power_dbm)
        except RetryLater:
            module.close()
            raise
        return module

    return open_module


class Module:
    """One module, open."""

    def __init__(self, port: serial.Serial, visits: Visits) -> None:
        self._port, self._visits = port, visits
        self._frames = FrameReader()
        self._heard_s = time.monotonic()
        self._sighted: dict[bytes, Visit] = {}
        self._counters = dict.fromkeys(
            ("bad_tag_crc", "empty_epc", "error_replies", "inventory_restarts", "reads_failed"), 0
        )

    def start(self, power_dbm: float | None) -> None:
        """Make sure that a module is there, set it up, and let it look for tags.

        Raises:
            RetryLater: nothing answers, or the power is refused.

        """
        self._check_alive()
        if power_dbm is not None:
            answer = self._ask(r200.power(power_dbm), Command.POWER)
            if answer is None or answer.error is not None:
                raise RetryLater(f"{self._port.port}: the module refuses {power_dbm} dBm")
        self._ask(r200.select_for_access(), Command.SELECT_MODE)
        self._write(r200.inventory())

    def read(self) -> Sequence[Seen]:
        """Wait for tags; read the memory of one that is new.

        Raises:
            RetryLater: the module is gone or silent.

        """
        end_s = time.monotonic() + READ_WAIT_S - ACCESS_S
        while time.monotonic() < end_s:
            for found in self._receive():
                self._take(found)
            if any(visit.news for visit in self._sighted.values()):
                break
            if self._sighted:
                end_s = min(end_s, time.monotonic() + REPEAT_S)
        now_s = time.monotonic()
        if now_s - self._heard_s > INVENTORY_S:
            self._check_alive()
            self._counters["inventory_restarts"] += 1
            self._write(r200.inventory())
        elif (visit := self._visits.to_read(now_s)) is not None:
            self._read_memory(visit)
            self._write(r200.inventory())
        return self._told()

    def close(self) -> None:
        """Let the module rest and the line go."""
        with contextlib.suppress(*_GONE):
            self._port.write(r200.frame(r200.COMMAND, Command.STOP))
        with contextlib.suppress(*_GONE):
            self._port.close()

    @property
    def counters(self) -> Mapping[str, int]:
        """What was dropped on the way."""
        frames = self._frames
        return {
            **self._counters,
            "bad_checksum": frames.checksums_bad,
            "noise_bytes": frames.bytes_skipped,
        }

    def _told(self) -> list[Seen]:
        now_s = time.monotonic()
        told: list[Seen] = [
            visit.tell() for visit in self._sighted.values() if self._visits.tellable(visit, now_s)
        ]
        self._sighted.clear()
        return [*told, *self._visits.overdue(now_s)]

    def _take(self, found: Frame) -> None:
        """Take a frame that answers nothing in particular."""
        if found.error is not None:
            self._counters["error_replies"] += found.error != r200.NO_TAG
        elif found.type == r200.NOTICE and found.command == Command.INVENTORY:
            seen = r200.sighting(found.parameters)
            if seen is None:
                self._counters["bad_tag_crc"] += 1
            elif not seen.epc:
                self._counters["empty_epc"] += 1
            else:
                now_s = time.monotonic()
                visit = self._visits.see(seen.epc, now_s, pc=seen.pc, rssi_dbm=seen.rssi_dbm)
                self._sighted[visit.epc] = visit

    def _read_memory(self, visit: Visit) -> None:
        """Read what is missing of one tag; what fails is tried again later."""
        end_s = time.monotonic() + ACCESS_S
        self._ask(r200.frame(r200.COMMAND, Command.STOP), Command.STOP)
        self._ask(r200.select(visit.epc), Command.SELECT)
        for name in tuple(visit.missing):
            memory = self._read_bank(visit.epc, name, end_s)
            if memory is None:
                self._counters["reads_failed"] += 1
                return
            visit.learn(name, memory)

    def _read_bank(self, epc: bytes, name: BankName, end_s: float) -> bytes | None:
        """Read one bank; empty where the tag has none, None where it could not be told."""
        bank, sizes, words_max = BANKS[name]
        memory = b""
        for words in sizes:
            while len(memory) // 2 + words <= words_max:
                if time.monotonic() > end_s:
                    return None
                ask = r200.read(bank, words, offset_words=len(memory) // 2)
                answer = self._ask(ask, Command.READ)
                if answer is not None and answer.error == r200.OVERRUN:
                    break
                part = None if answer is None else r200.memory(answer.parameters, epc)
                if answer is None or answer.error is not None or part is None:
                    return None
                memory += part
        return memory

    def _check_alive(self) -> None:
        """Stop what runs and ask who is there.

        Raises:
            RetryLater: nobody answers.

        """
        ask = r200.frame(r200.COMMAND, Command.INFO, b"\0")
        for _ in range(2):
            self._ask(r200.frame(r200.COMMAND, Command.STOP), Command.STOP)
            if self._ask(ask, Command.INFO) is not None:
                return
        raise RetryLater(f"{self._port.port}: no UHF module answers")

    def _ask(self, ask: bytes, command: Command) -> Frame | None:
        """Write a command; return its reply or the error; None when neither comes."""
        self._write(ask)
        end_s = time.monotonic() + ANSWER_S
        while time.monotonic() < end_s:
            answer = None
            for found in self._receive():
                mine = found.command == command or found.error not in {None, r200.NO_TAG}
                if answer is None and found.type == r200.REPLY and mine:
                    answer = found
                else:
                    self._take(found)
            if answer is not None:
                return answer
        return None

    def _write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except _GONE as error:
            raise RetryLater(f"{self._port.port}: {error}") from None

    def _receive(self) -> Iterator[Frame]:
        """Wait QUIET_S for bytes and yield the frames that they complete."""
        try:
            data = self._port.read(self._port.in_waiting or 1)
        except _GONE as error:
            raise RetryLater(f"{self._port.port}: {error}") from None
        if not data:
            yield from self._frames.quiet()
            return
        for found in self._frames.feed(data):
            self._heard_s = time.monotonic()
            yield found
