"""A filling gun behind its registers: open when released, closed when nobody speaks to it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from protocols.modbus.registers import Table, decode
from simulators.dialect import Dialect, Image

WATCHDOG_S = 2.0


@dataclass
class FillingGun:
    """Serve it with `LineServers`; the map is a file of `gates/`.

    With a heartbeat register the watchdog looks at that, else at any write.
    """

    unit_id: int
    dialect: Dialect
    where: str = ""
    image: Image = field(default_factory=dict)
    silent: bool = False
    delay_s: float = 0.0
    refused: int = 0
    reads: int = 0
    deaf: bool = False
    """It answers, and does not do what it was told."""
    stuck_open: bool = False
    """The valve does not close."""
    now_s: Callable[[], float] = time.monotonic
    history: list[tuple[float, bool]] = field(default_factory=list)
    """When it opened and closed."""

    def __post_init__(self) -> None:
        """Start closed."""
        self.image = self.dialect.blank()
        self._heard_s = self.now_s()
        self._beat: object = None
        self._open = False

    @property
    def open(self) -> bool:
        """Whether gas can come."""
        if self._open and self.now_s() - self._heard_s > WATCHDOG_S:
            self._turn(to_open=False)
        return self._open or self.stuck_open

    def value(self, name: str) -> object:
        """Return what stands in the registers of a point."""
        found = decode(self.dialect.controller, self.image).get(name)
        return None if found is None else found[0]

    def fetched(self, table: Table, address: int, count: int, now_ms: int) -> None:
        """Count a read, and show the valve as it is."""
        del table, address, count, now_ms
        self.reads += 1
        self.dialect.write({"valve_open": self.open}, self.image)

    def written(self, table: Table, address: int, words: list[int]) -> None:
        """Take what a client writes."""
        if self.deaf:
            return
        for at, word in enumerate(words):
            self.image[table][address + at] = word
        beat = self.value("heartbeat")
        if beat is None or beat != self._beat:
            self._heard_s, self._beat = self.now_s(), beat
        self._turn(to_open=self.value("release") is True)

    def _turn(self, *, to_open: bool) -> None:
        if to_open != self._open:
            self._open = to_open
            self.history.append((self.now_s(), to_open))
