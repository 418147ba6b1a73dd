"""What time it is, and whether anybody knows: the system clock, the cloud's word, or neither.

Everything inside the daemon is stamped with milliseconds since boot. A stamp tells how these
become what goes over the wire, at the moment when a batch is closed, so that a batch never mixes
two clocks and a step of the wall clock bends no interval.
"""

from typing import NamedTuple

from protocols.clock import Clock
from protocols.readings import ClockState

BUILT_AT_MS = 1_761_955_200_000
"""2025-11-01: no clock that shows an earlier time was ever set."""
BUILT_FOR_MS = 20 * 365 * 24 * 3_600_000
"""A clock that shows a time so much later is broken."""
AGREE_MS = 60_000
"""System clock and cloud mean the same time when they differ by less."""
CLOUD_STEP_MS = 5_000
"""A word of the cloud that is later than another by more may be a step, or long under way."""
CONFIRM_MS = 1_000
"""It is a step when a word that comes so much later agrees: what stood in one queue does not."""
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
        self._cloud_at_ms = self._cloud_since_ms = 0
        self._cloud_confirmed = False
        self._doubted: tuple[int, int] | None = None
        """(offset, when) of a word that contradicts the one that counts."""

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

        The cloud's word decides where it contradicts by a minute; that the clock is fast only
        after a second word, for one that was long under way makes a right clock look so.
        """
        wall_ms = self._clock.wall_ms()
        plausible = self.floor_ms <= wall_ms < BUILT_AT_MS + BUILT_FOR_MS
        if self._cloud_offset_ms is None:
            return plausible
        if self._cloud_agrees(wall_ms):
            return True
        ahead = wall_ms > self._clock.boot_ms() + self._cloud_offset_ms
        return ahead and plausible and not self._cloud_confirmed

    def certificate_floor_ms(self) -> int | None:
        """Return the least that the time can be, ms since 1970; None when the clock is right.

        Until the cloud agrees, the clock may as well be slow: nothing that has begun by the true
        time may then be refused as not begun.
        """
        wall_ms = self._clock.wall_ms()
        if self._cloud_agrees(wall_ms):
            return None
        return max(self.floor_ms, wall_ms) if self.system_trusted() else self.floor_ms

    def _cloud_agrees(self, wall_ms: int) -> bool:
        if self._cloud_offset_ms is None:
            return False
        return abs(wall_ms - (self._clock.boot_ms() + self._cloud_offset_ms)) < AGREE_MS

    def heard(self, cloud_ms: int) -> None:
        """Take the cloud's time (ms since 1970) as it arrives; the way here only makes it late."""
        if cloud_ms < BUILT_AT_MS:
            return
        now_ms = self._clock.boot_ms()
        offset_ms, known = cloud_ms - now_ms, self._cloud_offset_ms
        late_ms = 0 if known is None else known - offset_ms
        if late_ms > CLOUD_STEP_MS:
            if not self._agrees(offset_ms, now_ms):
                return
            self._cloud_confirmed = True
        elif known is None or late_ms < -CLOUD_STEP_MS:
            self._cloud_confirmed, self._cloud_since_ms = False, now_ms
        elif now_ms - self._cloud_since_ms >= CONFIRM_MS:
            self._cloud_confirmed = True
        if (
            known is None
            or not 0 <= late_ms <= CLOUD_STEP_MS
            or now_ms - self._cloud_at_ms > CLOUD_BEST_FOR_MS
        ):
            self._cloud_offset_ms, self._cloud_at_ms, self._doubted = offset_ms, now_ms, None

    def _agrees(self, offset_ms: int, now_ms: int) -> bool:
        """Tell whether an earlier word said the same; else remember this one."""
        if self._doubted is not None:
            doubted_ms, since_ms = self._doubted
            if abs(offset_ms - doubted_ms) <= CLOUD_STEP_MS:
                return now_ms - since_ms >= CONFIRM_MS
        self._doubted = (offset_ms, now_ms)
        return False

    def now_ms(self) -> int:
        """Return the time as it goes over the wire: since 1970 or, when free, since boot."""
        return self._clock.boot_ms() + self.stamp().offset_ms
