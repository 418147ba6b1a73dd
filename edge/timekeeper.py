"""What time it is, and whether anybody knows: the system clock, the cloud's word, or neither.

Everything inside the daemon is stamped with milliseconds since boot. A stamp tells how these
become what goes over the wire, at the moment when a batch is closed, so that a batch never mixes
two clocks and a step of the wall clock bends no interval.
"""

from typing import NamedTuple

from protocols.clock import Clock
from protocols.limits import AT_AHEAD_MAX_MS
from protocols.readings import ClockState

BUILT_AT_MS = 1_761_955_200_000
"""2025-11-01: no clock that shows an earlier time was ever set."""
AGREE_MS = 60_000
"""System clock and cloud mean the same time when they differ by less."""
CLOUD_STEP_MS = 5_000
"""A larger difference between two words of the cloud is a step, not delay on the way."""
CLOUD_BEST_FOR_MS = 600_000
"""For so long the quickest word of the cloud counts; later ones replace it, for clocks drift."""


class Stamp(NamedTuple):
    """How ms since boot become `at`: add `offset_ms`."""

    clock: ClockState
    offset_ms: int


class Timekeeper:
    """Trusts the system clock when it is later than build time and last known time.

    Otherwise time is `free` until the cloud tells it; from then on it is the boot clock with an
    offset. What is known once stays known until the next boot, whatever the system clock does.
    """

    def __init__(self, clock: Clock, *, known_ms: int = 0) -> None:
        self._clock = clock
        self.floor_ms = max(BUILT_AT_MS, known_ms)
        """The least that the time can be, ms since 1970; for the dates of certificates."""
        self._offset_ms: int | None = None
        self._cloud_offset_ms: int | None = None
        self._cloud_at_ms = 0

    def stamp(self) -> Stamp:
        """Return how times since boot are to be written now."""
        if self.system_trusted():
            self._offset_ms = self._clock.wall_ms() - self._clock.boot_ms()
        elif self._cloud_offset_ms is not None:
            self._offset_ms = self._cloud_offset_ms
        if self._offset_ms is None:
            return Stamp("free", 0)
        return Stamp("synced", self._offset_ms)

    def system_trusted(self) -> bool:
        """Tell whether the system clock can be right.

        The cloud's word decides where it contradicts: by a minute when the clock is slow, by the
        24 hours beyond which it takes no reading when the clock is fast.
        """
        wall_ms = self._clock.wall_ms()
        if self._cloud_offset_ms is None:
            return wall_ms >= self.floor_ms
        ahead_ms = wall_ms - (self._clock.boot_ms() + self._cloud_offset_ms)
        if abs(ahead_ms) < AGREE_MS:
            return True
        return wall_ms >= self.floor_ms and 0 < ahead_ms <= AT_AHEAD_MAX_MS

    def heard(self, cloud_ms: int) -> None:
        """Take the cloud's time (ms since 1970) as it arrives; the way here only makes it late."""
        if cloud_ms < BUILT_AT_MS:
            return
        now_ms = self._clock.boot_ms()
        offset_ms, known = cloud_ms - now_ms, self._cloud_offset_ms
        if (
            known is None
            or offset_ms > known
            or known - offset_ms > CLOUD_STEP_MS
            or now_ms - self._cloud_at_ms > CLOUD_BEST_FOR_MS
        ):
            self._cloud_offset_ms, self._cloud_at_ms = offset_ms, now_ms

    def now_ms(self) -> int:
        """Return the time as it goes over the wire: since 1970 or, when free, since boot."""
        return self._clock.boot_ms() + self.stamp().offset_ms
