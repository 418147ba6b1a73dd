"""What time a handheld judges by: its clock may be unset, wrong, or set back by somebody.

Within one boot time runs on by the machine's boot clock, whatever is done to the wall clock. The
service's word, heard in this boot, counts before everything else. Over a restart time never goes
back behind what was written last.
"""

from collections.abc import Callable

import msgspec
from msgspec import Struct

from protocols.clock import Clock
from protocols.handheld import TimeSource

BUILT_AT_MS = 1_761_955_200_000
"""2025-11-01: no clock that shows an earlier time was ever set."""
SET_BACK_MS = 120_000
"""A wall clock that much behind what was written last was set back."""


class KeptTime(Struct, frozen=True):
    """What was known last, to go on from."""

    at_ms: int
    boot_id: str
    boot_ms: int
    source: TimeSource


class Now(Struct, frozen=True):
    """A moment, ms since 1970 UTC, and whose word it is."""

    at_ms: int
    source: TimeSource


class HandTime:
    """The time on a handheld."""

    def __init__(self, clock: Clock, boot_id: str, kept: bytes | None) -> None:
        self._clock, self._boot_id = clock, boot_id
        self._last = None if kept is None else _kept.decode(kept)

    def now(self) -> Now:
        """Return the time to judge by and to write."""
        last, boot_ms = self._last, self._clock.boot_ms()
        same_boot = last is not None and last.boot_id == self._boot_id
        floor_ms = BUILT_AT_MS if last is None else last.at_ms
        if last is not None and same_boot:
            floor_ms += max(0, boot_ms - last.boot_ms)
            if last.source != "doubtful":
                return self._note(floor_ms, last.source)
        wall_ms = self._clock.wall_ms()
        if wall_ms < floor_ms - SET_BACK_MS:
            return self._note(floor_ms, "doubtful")
        return self._note(max(wall_ms, floor_ms), "device")

    def heard(self, service_ms: int) -> None:
        """Take the service's word, by which all times of this boot are counted from now on."""
        self._note(service_ms, "service")

    def encoded(self) -> bytes:
        """Return what is to be kept for the next start."""
        self.now()
        return msgspec.json.encode(self._last)

    def _note(self, at_ms: int, source: TimeSource) -> Now:
        self._last = KeptTime(at_ms, self._boot_id, self._clock.boot_ms(), source)
        return Now(at_ms, source)


_kept = msgspec.json.Decoder(KeptTime)
Tell = Callable[[], Now]
