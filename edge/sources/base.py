"""What a source is: something that runs until cancelled and emits samples."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from protocols.catalog.point_map import Controller, Table
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


Columns = tuple[Stream, dict[str, Value], dict[str, Quality]]
"""What is worth reporting of one moment: stream, values, and the qualities that are not good."""


class Registers(Protocol):
    """Neighbouring registers that were read together; the same object each time."""

    @property
    def table(self) -> Table:
        """Where they are."""
        ...

    @property
    def address(self) -> int:
        """Zero-based address of the first."""
        ...

    @property
    def count(self) -> int:
        """How many."""
        ...


Read = tuple[Registers, list[int]]
"""Registers and the words that they held."""


class Decoder(Protocol):
    """What a source needs of the decoding of one device: it keeps what was told last."""

    def observe(
        self, reads: Sequence[Read], at_boot_ms: int, doubtful: Sequence[Registers] = ()
    ) -> list[Columns]:
        """Take in what the device answered; return what changed, or all when a snapshot is due.

        The urgent points of `doubtful` registers stay as they were.
        """
        ...

    def urgent_span(self, registers: Registers, words: list[int]) -> tuple[int, int] | None:
        """Return offset and count of the registers that would change an urgent point, if any."""
        ...

    def agree(
        self, registers: Registers, words: list[int], span: tuple[int, int], again: list[int]
    ) -> bool:
        """Tell whether a second read of `span` says the same of the urgent points in it."""
        ...

    def lose(self, registers: Registers) -> list[Columns]:
        """Give up the points in these registers until they are read again: null, not good."""
        ...

    def silence(self) -> list[Columns]:
        """Say that the device is put aside as silent; the next answer says that it is back."""
        ...


DecoderFactory = Callable[[str, Controller], Decoder]
"""Makes the decoder of one asset from its id and its controller file."""
