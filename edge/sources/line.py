"""What a bus asks, whatever its transport, and how a question fails."""

from collections.abc import Awaitable
from typing import Protocol

from edge.sources.plan import Block, Span
from edge.sources.sift import Reason
from protocols.errors import RetryLater

UNREACHABLE = frozenset({0x0A, 0x0B})
"""Exception codes of a Modbus gateway whose unit does not answer."""


class ReadFailed(RetryLater):
    """A question got no reply that can be believed."""

    def __init__(self, reason: Reason, exception_code: int = 0) -> None:
        super().__init__(f"{reason} {exception_code:#04x}" if exception_code else reason)
        self.reason: Reason = reason
        self.exception_code = exception_code


class Line(Protocol):
    """One connection or serial line; asks one question at a time."""

    @property
    def rest_s(self) -> float:
        """How long a unit must be left alone after a failure."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the line is open as far as anybody knows."""
        ...

    async def open(self) -> None:
        """Open the line if it is not. Raises ReadFailed."""
        ...

    def read(self, unit: int, block: Block) -> Awaitable[list[int]]:
        """Read a block. Raises ReadFailed."""
        ...

    async def read_again(self, unit: int, block: Block, span: Span) -> tuple[Span, list[int]]:
        """Read registers a second time, at least those of `span`. Raises ReadFailed."""
        ...

    @property
    def confirms(self) -> bool:
        """Whether a changed urgent value must be read a second time."""
        ...

    @property
    def unasked_bytes(self) -> int:
        """Bytes that came while no question was open."""
        ...

    def close(self) -> None:
        """Close the line."""
        ...
