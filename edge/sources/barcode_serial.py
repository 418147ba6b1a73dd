"""A bar code scanner on a serial line."""

from collections.abc import Mapping, Sequence

from edge.settings import Scanner
from edge.sources.base import READ_WAIT_S, Driver, OpenDriver, Seen, TextSeen
from edge.sources.serial_port import SerialPort
from edge.sources.texts import GAP_S, Habit, TextCutter

BAUD_RATE = 9600
"""As most scanners are delivered."""


def opener(scanner: Scanner) -> OpenDriver:
    """Return a function that opens this scanner."""
    habit = Habit()

    def open_scanner() -> Driver:
        port = SerialPort(scanner.device, scanner.baud_rate or BAUD_RATE)
        return SerialScanner(port, TextCutter(habit))

    return open_scanner


class SerialScanner:
    """One scanner, open."""

    def __init__(self, port: SerialPort, cutter: TextCutter) -> None:
        self._port, self._cutter = port, cutter

    def read(self) -> Sequence[Seen]:
        """Wait for the texts of bar codes.

        Raises:
            RetryLater: the scanner is gone.

        """
        data = self._port.receive(GAP_S if self._cutter.waiting else READ_WAIT_S)
        texts = self._cutter.feed(data) if data else self._cutter.silence()
        return [TextSeen(text) for text in texts]

    def close(self) -> None:
        """Let go of the device; a text that has begun is torn."""
        self._cutter.tear()
        self._port.close()

    @property
    def counters(self) -> Mapping[str, int]:
        """What was dropped on the way."""
        return self._cutter.counters
