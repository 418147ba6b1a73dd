"""An answer in the caller's words: names for numbers, and nothing that the caller may not see."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from cloud.model.principal import Scope
from cloud.trace.lineage.base import Bounds, Direction, Finding, LinkKind, Reason
from protocols.epcis.event import Role

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

    async def trace(
        self,
        start: Sequence[str],
        direction: Direction,
        *,
        at_us: int | None = None,
        bounds: Bounds,
        scope: Scope,
    ) -> Shown:
        """Trace items, see docs/lineage.md.

        Args:
            start: canonical ids, at least one.
            direction: where to.
            at_us: the items as they were then; None: all their life.
            bounds: how far.
            scope: what the caller may see.

        Raises:
            RefuseInput: `not_found`: no visible event names one of `start`.

        """
        ...
