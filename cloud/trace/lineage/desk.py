"""Answers lineages: finds them, names what the caller may see, hides the rest."""

from collections.abc import Sequence
from math import isnan

import numpy as np
from sqlalchemy import Connection

from cloud.model.database import Database
from cloud.model.principal import Scope
from cloud.trace.lineage.base import (
    FIRST_US,
    LAST_US,
    LINKS_MAX,
    STEPS_MAX,
    Index,
    Link,
    Named,
    Node,
    NodeKind,
    Question,
    Shown,
    ShownCut,
    ShownLink,
    ShownNode,
    ShownStep,
    Trace,
    Transformation,
    uom_of,
)
from cloud.trace.lineage.columns import taken
from cloud.trace.lineage.facts import Fact, facts_of, items_of, known_items, names_of
from cloud.trace.lineage.keeper import Keeper
from cloud.trace.lineage.meant import chosen, meant
from cloud.trace.lineage.trace import trace
from protocols.codes.registry import SchemeRegistry
from protocols.epcis.event import Role

_ROLES: tuple[Role, ...] = ("epc", "parent", "child", "input", "output")


class LineageDesk:
    """`Lineages` over the repository's tables and its index."""

    def __init__(self, database: Database, keeper: Keeper, registry: SchemeRegistry) -> None:
        self._database, self._keeper, self._registry = database, keeper, registry

    def meant(self, text: str) -> Sequence[str]:
        """As `Lineages`."""
        return meant(text, self._registry)

    async def items(self, texts: Sequence[str], *, scope: Scope) -> tuple[str, ...]:
        """As `Lineages`."""
        may_be = {text: self.meant(text) for text in texts}
        ids = {one for some in may_be.values() for one in some}
        return chosen(may_be, await self._database.read(lambda c: known_items(c, ids, scope)))

    async def trace(self, question: Question, *, scope: Scope) -> Shown:
        """As `Lineages`."""

        def work(connection: Connection) -> Shown:
            start = items_of(connection, question.start, scope)
            index = self._keeper.index(connection)
            found = trace(
                index,
                start,
                question.direction,
                at_us=question.at_us,
                bounds=question.bounds,
            )
            return _View(connection, index, found, scope).shown(question.start)

        return await self._database.read(work)


class _View:
    """One answer as its caller may see it."""

    def __init__(self, connection: Connection, index: Index, found: Trace, scope: Scope) -> None:
        self.found = found
        self.nodes, self.links = list(found.nodes), list(found.links[:LINKS_MAX])
        self.steps = list(found.steps[:STEPS_MAX])
        self._names = names_of(connection, [node.item_no for node in self.nodes])
        events = {one.event_no for one in self.steps} | {one.event_no for one in self.links}
        events |= {one.number for one in found.transformations}
        self._facts = facts_of(connection, events, scope)
        self._place = {node.item_no: n for n, node in enumerate(self.nodes)}
        self._named = self._uses(index, events)
        count = len(self.nodes)
        self._made = {one.number: n for n, one in enumerate(found.transformations, count)}
        self._seen = set(found.start)
        self._moments: set[tuple[int, int]] = set()
        self._parties: dict[int, str] = {}
        for event_no, uses in self._named.items():
            self._look(self._facts[event_no], [self.nodes[use.node].item_no for use in uses])

    def _uses(self, index: Index, events: set[int]) -> dict[int, list[Named]]:
        uses = index.uses_of(np.array(sorted(self._place), dtype=np.int64))
        wanted = np.fromiter(events, dtype=np.int64, count=len(events))
        uses = taken(uses, np.isin(uses.event, wanted))
        uses = taken(uses, np.lexsort((uses.item, uses.role, uses.event)))
        named: dict[int, list[Named]] = {}
        columns = (uses.event, uses.item, uses.role, uses.quantity, uses.uom)
        for event, item, role, quantity, uom in zip(*(c.tolist() for c in columns), strict=True):
            told = None if isnan(quantity) else quantity
            use = Named(node=self._place[item], role=_ROLES[role], quantity=told, uom=uom_of(uom))
            named.setdefault(event, []).append(use)
        return named

    def _look(self, fact: Fact, items: list[int]) -> None:
        for item in items:
            if fact.visible:
                self._seen.add(item)
                self._moments.add((item, fact.time_us))
            else:
                self._parties.setdefault(item, fact.words["organisation"] or "")

    def shown(self, start: tuple[str, ...]) -> Shown:
        found = self.found
        return Shown(
            start=start,
            direction=found.direction,
            at_us=_told(found.at_us),
            bounds=found.bounds,
            nodes=[
                *(self._item(node) for node in self.nodes),
                *(self._transformation(one) for one in found.transformations),
            ],
            links=[self._link(link) for link in self.links],
            steps=[self._step(step.event_no) for step in self.steps],
            findings=found.findings,
            cut=ShownCut(
                items=found.cut.items,
                beyond=found.cut.beyond,
                links=len(found.links) - len(self.links),
                steps=len(found.steps) - len(self.steps),
            ),
        )

    def _item(self, node: Node) -> ShownNode:
        kind: NodeKind = "carrier" if node.carrier else "thing"
        if node.item_no not in self._seen:
            party = self._parties.get(node.item_no, "")
            return ShownNode(kind=kind, depth=node.depth, hidden_at=party)
        known = (node.item_no, node.at_us) in self._moments
        time_us = node.at_us if known else None
        return ShownNode(kind=kind, depth=node.depth, id=self._names[node.item_no], time_us=time_us)

    def _transformation(self, one: Transformation) -> ShownNode:
        fact = self._facts[one.number]
        if not fact.visible:
            return _hidden_node(one.depth, fact)
        return ShownNode(
            kind="transformation", depth=one.depth, id=fact.event_id, time_us=fact.time_us
        )

    def _link(self, link: Link) -> ShownLink:
        fact = self._facts[link.event_no]
        ends = {"input": self._made.get(link.target), "output": self._made.get(link.source)}
        source = ends["output"] if link.kind == "output" else self._place[link.source]
        target = ends["input"] if link.kind == "input" else self._place[link.target]
        assert source is not None and target is not None  # noqa: S101, PT018  # all are nodes
        if not fact.visible:
            return ShownLink(
                kind=link.kind,
                source=source,
                target=target,
                approximate=link.reasons,
                hidden_at=fact.words["organisation"] or "",
            )
        return ShownLink(
            kind=link.kind,
            source=source,
            target=target,
            event_id=fact.event_id,
            since_us=_told(link.since_us),
            until_us=_told(link.until_us),
            quantity=link.quantity,
            uom=link.uom,
            approximate=link.reasons,
        )

    def _step(self, event_no: int) -> ShownStep:
        fact, items = self._facts[event_no], tuple(self._named.get(event_no, ()))
        party = fact.words["organisation"] or ""
        if not fact.visible:
            bare = tuple(Named(node=one.node, role=one.role) for one in items)
            return ShownStep(items=bare, hidden_at=party)
        return ShownStep(
            items=items,
            event_id=fact.event_id,
            time_us=fact.time_us,
            action=fact.action,
            captured_by=party,
            **{name: word for name, word in fact.words.items() if name != "organisation"},
        )


def _hidden_node(depth: int, fact: Fact) -> ShownNode:
    party = fact.words["organisation"] or ""
    return ShownNode(kind="transformation", depth=depth, hidden_at=party)


def _told(time_us: int) -> int | None:
    return time_us if FIRST_US < time_us < LAST_US - 1 else None
