"""What a source is: something that runs until cancelled and emits samples."""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from protocols.readings import Quality, Value
from protocols.topics import Stream


class Sample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is worth reporting of one asset at one moment: changed points, or all of a snapshot."""

    asset: str
    at_boot_ms: int
    """When the device answered, ms since boot; the collector turns it into wall time."""
    stream: Stream
    """`alarm`: commit within 20 ms and send at once; `data`: group up to 1 s."""
    values: dict[str, Value]
    quality: dict[str, Quality] = {}
    """Only for values that are not good."""


Emit = Callable[[Sample], None]


class Source(Protocol):
    """One bus or reader."""

    @property
    def name(self) -> str:
        """The id that the site file gives it."""
        ...

    async def run(self, emit: Emit) -> None:
        """Read until cancelled; device and link errors are counted and survived, never raised."""
        ...

    def status(self) -> dict[str, Any]:
        """Return health and counters as plain JSON data, for `status` and the fleet page."""
        ...
