"""What a lineage answer is, and what it asks of an index.

The rules are those of docs/lineage.md, whose words are used here. Objects, classes and lots are
`item_no`s, events `event_no`s; times are us since 1970 UTC.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Direction = Literal["back", "forward"]
LinkKind = Literal["input", "output", "aggregation", "association"]
LINK_KINDS: tuple[LinkKind, ...] = ("input", "output", "aggregation", "association")
Reason = Literal[
    "class_level",
    "many_to_many",
    "missing_add",
    "missing_delete",
    "two_parents",
    "cycle",
    "through_carrier",
]
"""Why a link may be more than what happened: see `REASONS` in docs/lineage.md."""
REASONS: tuple[Reason, ...] = (
    "class_level",
    "many_to_many",
    "missing_add",
    "missing_delete",
    "two_parents",
    "cycle",
    "through_carrier",
)
FIRST_US, LAST_US = -(2**62), 2**62
"""Before and after every event."""

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Column = NDArray[Any]
"""Of another type, which is said where it stands."""

EPC, PARENT, CHILD, INPUT, OUTPUT = range(5)
"""Places in `trace_tables.ROLES`."""
OTHER, TRANSFORMATION = 1, 2
AGGREGATION, ASSOCIATION = 4, 8
"""Kinds of events, 0 is none; to the last two the action is added, its place in
`trace_tables.ACTIONS`."""
ADD, OBSERVE, DELETE = range(3)


class Bounds(Struct, frozen=True, kw_only=True):
    """How far to follow."""

    items: int = 10_000
    """At most so many items are answered; those reached first in time come first."""
    depth: int = 64
    """At most so many links from the start."""
    horizon_us: int | None = None
    """Forward: nothing later is followed; back: nothing earlier."""


class Node(Struct, frozen=True):
    """An item that the trace reaches."""

    item_no: int
    carrier: bool
    """It is not traced itself, it carries what is."""
    depth: int
    """Fewest links from the start."""
    at_us: int
    """Forward: it is traced from here on; back: up to here. Of a carrier: from the start of the
    first (forward), up to the end of the last span (back) in which it carried."""


class Transformation(Struct, frozen=True):
    """A TransformationEvent, or all those joined by a transformation id."""

    number: int
    """`event_no` of the first of its events."""
    depth: int
    at_us: int
    """Forward: time of the first traced input; back: of the last traced output."""


class Link(Struct, frozen=True):
    """One fact of how things come to be in one another.

    `input`: item `source` went into transformation `target`; `output`: transformation `source`
    gave item `target`; `aggregation`, `association`: item `source` was in or on item `target`.
    """

    kind: LinkKind
    source: int
    target: int
    """`item_no`, or `number` of a transformation."""
    event_no: int
    """That says it; of a span the one that begins it, or ends it when nothing begins it."""
    since_us: int
    until_us: int
    """Of a span [since_us, until_us); for the others both are the time of the event."""
    quantity: float | None
    uom: str | None
    reasons: tuple[Reason, ...]
    """Empty: it is as exact as what was captured."""


class Step(Struct, frozen=True):
    """An event in which a traced item or its carrier was named, in its traced time."""

    event_no: int
    time_us: int


class Finding(Struct, frozen=True):
    """Why the answer may hold more than what happened, and how often."""

    reason: Reason
    links: int


class Cut(Struct, frozen=True):
    """What the bounds left out; all zero when the answer is whole."""

    items: int
    """Items next to the answer, left out by `Bounds.items` or `Bounds.depth`. What lies behind
    them is not counted, for nobody went there."""
    beyond: int
    """Items and transformations next to the answer, left out by `Bounds.horizon_us`."""


class Trace(Struct, frozen=True):
    """A lineage. Everything is ordered by time, then by number."""

    start: tuple[int, ...]
    direction: Direction
    at_us: int
    bounds: Bounds
    nodes: Sequence[Node]
    transformations: Sequence[Transformation]
    links: Sequence[Link]
    steps: Sequence[Step]
    findings: tuple[Finding, ...]
    cut: Cut


class Uses(NamedTuple):
    """Rows of `trace_use` of live events, as columns."""

    item: Numbers
    event: Numbers
    role: Column
    """uint8."""
    by_class: Flags
    quantity: Column
    """float64; NaN: not said."""
    uom: Numbers
    """`code_of` the unit; 0: pieces."""


class Events(NamedTuple):
    """Events, as columns."""

    time_us: Numbers
    kind: Column
    """uint8."""
    parent: Numbers
    """`item_no`; -1: none."""
    group: Numbers
    """Equal for transformations with one transformation id; 0: it has none."""
    childless: Flags
    """It names no child: as DELETE it ends all that its parent holds."""


class Index(Protocol):
    """What happened to what: live events only, neither declarations nor what they void.

    Numbers that are not known have no rows. Rows come in any order, each once.
    """

    def uses_of(self, items: Numbers) -> Uses:
        """Return all uses of distinct items."""
        ...

    def uses_in(self, events: Numbers) -> Uses:
        """Return the uses of distinct events in the roles child, input and output."""
        ...

    def events(self, events: Numbers) -> Events:
        """Return events that uses named, in the order of `events`, which may repeat."""
        ...

    def joined(self, groups: Numbers) -> Numbers:
        """Return the events of distinct groups."""
        ...


def code_of(uom: str | None) -> int:
    """Return a unit code of at most 7 bytes as a number; 0 for None."""
    return int.from_bytes((uom or "").encode()[:7], "big")


def uom_of(code: int) -> str | None:
    """Return what `code_of` was given."""
    return code.to_bytes(7, "big").lstrip(b"\0").decode(errors="replace") or None
