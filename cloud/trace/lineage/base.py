"""What a lineage answer is, and what it asks of an index.

The rules are those of docs/lineage.md, whose words are used here. Objects, classes and lots are
`item_no`s, events `event_no`s; times are us since 1970 UTC.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol, get_args

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cloud.model.principal import Scope
from protocols.epcis.event import Role

Direction = Literal["back", "forward"]
LinkKind = Literal["input", "output", "aggregation", "association"]
LINK_KINDS: tuple[LinkKind, ...] = get_args(LinkKind)
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
REASONS: tuple[Reason, ...] = get_args(Reason)
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


class Question(Struct, frozen=True):
    """What is asked, in the caller's words."""

    start: tuple[str, ...]
    """Canonical ids, at least one: together the first things of the trace."""
    direction: Direction
    at_us: int | None
    """The items as they were then: nothing of them that is later (back) or earlier (forward)
    counts; None: all their life."""
    bounds: Bounds


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
    return code.to_bytes(7, "big").lstrip(b"\0").decode(errors="replace") if code else None


NodeKind = Literal["thing", "carrier", "transformation"]
LINKS_MAX, STEPS_MAX = 40_000, 20_000
"""What is shown of an answer; those first in time."""


class ShownNode(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item or a transformation; its place in the list is its number."""

    kind: NodeKind
    depth: int
    id: str | None = None
    """Canonical; of a transformation the id of its first event. None: hidden."""
    time_us: int | None = None
    """As `Node.at_us`; None: hidden, or without bound."""
    hidden_at: str | None = None
    """The party that captured what the caller may not see."""


class ShownLink(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A link between nodes of the list."""

    kind: LinkKind
    source: int
    target: int
    event_id: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    quantity: float | None = None
    uom: str | None = None
    approximate: tuple[Reason, ...] = ()
    hidden_at: str | None = None


class Named(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node that a step names."""

    node: int
    role: Role
    quantity: float | None = None
    uom: str | None = None


class ShownStep(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event on the way."""

    items: tuple[Named, ...]
    event_id: str | None = None
    time_us: int | None = None
    type: str | None = None
    action: str | None = None
    biz_step: str | None = None
    disposition: str | None = None
    read_point: str | None = None
    biz_location: str | None = None
    captured_by: str | None = None
    hidden_at: str | None = None


class ShownCut(Struct, frozen=True, kw_only=True):
    """What is not shown; all zero: the answer is whole."""

    items: int
    beyond: int
    links: int
    steps: int


class Shown(Struct, frozen=True, kw_only=True):
    """A lineage as it is answered."""

    start: tuple[str, ...]
    direction: Direction
    at_us: int | None
    bounds: Bounds
    nodes: Sequence[ShownNode]
    links: Sequence[ShownLink]
    steps: Sequence[ShownStep]
    findings: Sequence[Finding]
    cut: ShownCut


class Lineages(Protocol):
    """Where things come from and go to, for whoever asks."""

    def meant(self, text: str) -> Sequence[str]:
        """Return the identifiers that a text may stand for, the surest first; at least one."""
        ...

    async def items(self, texts: Sequence[str], *, scope: Scope) -> tuple[str, ...]:
        """Return the one identifier of each text that a visible event names; else its surest.

        Raises:
            RefuseInput: `ambiguous`: events name several, and all of them are told.

        """
        ...

    async def trace(self, question: Question, *, scope: Scope) -> Shown:
        """Trace items, see docs/lineage.md, and show what the scope admits of the answer.

        Raises:
            RefuseInput: `not_found`: no visible event names one of the start.

        """
        ...
