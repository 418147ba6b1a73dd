"""Writing prepared events, inside the one capture transaction of its time."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, func, select, update

from cloud.model.database import take_turn
from cloud.model.rows import insert_tuples
from cloud.model.trace_tables import (
    trace_event,
    trace_facet,
    trace_holder,
    trace_master,
    trace_use,
)
from cloud.trace.base import Behaviour, Captured
from cloud.trace.facets import storable
from cloud.trace.numbers import Memory, Numbers
from cloud.trace.prepare import Prepared, hash_text
from protocols.epcis.document import MasterElement

TURN = "trace"
_LOOK_UP_MAX = 500


class Conflicted(Exception):
    """One event's id is taken and the others may not be stored without it: roll back."""

    def __init__(self, outcomes: list[Captured]) -> None:
        super().__init__("an event id is taken")
        self.outcomes = outcomes


class Known(Struct):
    """A stored event, as far as a capture must know it."""

    event_no: int
    event_id: str
    key: bytes
    organisation: int
    declares: bool
    voided: bool


class Insertion:
    """One capture's way through its transaction."""

    def __init__(self, connection: Connection, memory: Memory, organisation: str) -> None:
        self._connection = connection
        self.numbers = Numbers(memory, connection)
        take_turn(connection, TURN)
        self.numbers.learn_words([("organisation", organisation)])
        self._organisation = self.numbers.words["organisation", organisation]
        self._known: dict[int, list[Known]] = {}
        self._holds: set[int] = set()
        self._voids: dict[int, int] = {}

    def write(
        self, events: Sequence[Prepared], *, at_us: int, behaviour: Behaviour, job: int | None
    ) -> list[Captured]:
        """Write what is new.

        Raises:
            Conflicted: under `rollback`; the caller ends the transaction without a trace.

        """
        head, record_time_us = head_of(self._connection)
        self._look_up(events)
        outcomes, new = self._judge(events, head)
        if behaviour == "rollback" and any(one.outcome == "conflict" for one in outcomes):
            raise Conflicted([_unwritten(one, head) for one in outcomes])
        self._learn(new)
        self._write_events(new, head + 1, max(record_time_us, at_us), job)
        self._write_uses(new, head + 1)
        self._write_facets(new, head + 1)
        self._write_holders()
        for event_no, by in self._voids.items():
            change = update(trace_event).where(trace_event.c.event_no == event_no)
            self._connection.execute(change.values(voided_by=by))
        return outcomes

    def _look_up(self, events: Sequence[Prepared]) -> None:
        """Find stored events of the same ids: those equal and those in conflict are among them."""
        column = trace_event.c
        keys = list({one.id_key for one in events})
        for start in range(0, len(keys), _LOOK_UP_MAX):
            query = select(
                column.event_no, column.id_key, column.event_id, column.hash, column.event_key,
                column.organisation, column.declared_at_us, column.voided_by,
            ).where(column.id_key.in_(keys[start : start + _LOOK_UP_MAX]))  # fmt: skip
            for row in self._connection.execute(query):
                known = Known(
                    event_no=row.event_no,
                    event_id=_id_of(row.event_id, row.hash),
                    key=row.event_key,
                    organisation=row.organisation,
                    declares=row.declared_at_us is not None,
                    voided=row.voided_by is not None,
                )
                self._known.setdefault(row.id_key, []).append(known)

    def _judge(
        self, events: Sequence[Prepared], head: int
    ) -> tuple[list[Captured], list[Prepared]]:
        outcomes: list[Captured] = []
        new: list[Prepared] = []
        for one in events:
            others = [k for k in self._known.get(one.id_key, ()) if k.event_id == one.event_id]
            same = next((k for k in others if k.key == one.key), None)
            if same is not None:
                if same.organisation != self._organisation:
                    self._holds.add(same.event_no)
                outcomes.append(Captured("duplicate", same.event_no, one.event_id))
            elif one.event.declaration is None and not all(k.declares for k in others):
                outcomes.append(Captured("conflict", None, one.event_id))
            else:
                new.append(one)
                event_no = head + len(new)
                outcomes.append(Captured("stored", event_no, one.event_id))
                self._relate(one, event_no, others)
        return outcomes, new

    def _relate(self, one: Prepared, event_no: int, others: Iterable[Known]) -> None:
        """Mark what an error declaration voids; it may come before what it declares wrong.

        Nobody voids the event of another organisation.
        """
        declares = one.event.declaration is not None
        known = Known(event_no, one.event_id, one.key, self._organisation, declares, voided=False)
        for other in others:
            if other.organisation != self._organisation or other.declares == declares:
                continue
            right, wrong = (known, other) if declares else (other, known)
            if not wrong.voided:
                wrong.voided = True
                self._voids[wrong.event_no] = right.event_no
        self._known.setdefault(one.id_key, []).append(known)

    def _learn(self, new: Sequence[Prepared]) -> None:
        words: set[tuple[str, str]] = set()
        items: dict[str, int | None] = {}
        for one in new:
            words.update(_words(one))
            for item, _, _use in one.uses:
                items[item] = None
        self.numbers.learn_words(words)
        self.numbers.learn_items(items)
        self.numbers.learn_contexts({one.context: one.contexts for one in new})

    def _write_events(
        self, new: Sequence[Prepared], first: int, record_time_us: int, job: int | None
    ) -> None:
        rows = [
            self._row(one, event_no, record_time_us, job) for event_no, one in enumerate(new, first)
        ]
        insert_tuples(self._connection, trace_event, rows)

    def _row(
        self, one: Prepared, event_no: int, record_time_us: int, job: int | None
    ) -> tuple[Any, ...]:
        event, word = one.event, self._word
        declaration, transformation = event.declaration, event.transformation_id
        return (
            event_no,
            one.key,
            event.event_time_us,
            record_time_us,
            one.id_key,
            event.event_id,
            one.digest,
            word("type", event.type),
            one.action,
            word("biz_step", event.biz_step),
            word("disposition", event.disposition),
            word("place", event.read_point),
            word("place", event.biz_location),
            self._organisation,
            storable(transformation) if transformation else None,
            declaration.declared_at_us if declaration else None,
            None,
            job,
            self.numbers.contexts[one.context],
            one.body,
        )

    def _word(self, kind: str, word: str | None) -> int | None:
        return self.numbers.words[kind, storable(word)] if word is not None else None

    def _write_uses(self, new: Sequence[Prepared], first: int) -> None:
        items = self.numbers.items
        rows = [
            (items[item], event_no, at, role, use.by_class, use.quantity, use.uom)
            for event_no, one in enumerate(new, first)
            for at, (item, role, use) in enumerate(one.uses)
        ]
        insert_tuples(self._connection, trace_use, rows)

    def _write_facets(self, new: Sequence[Prepared], first: int) -> None:
        words = self.numbers.words
        rows = [
            (event_no, at, words["facet", facet.name], facet.text, facet.number, facet.time_us)
            for event_no, one in enumerate(new, first)
            for at, facet in enumerate(one.facets)
        ]
        insert_tuples(self._connection, trace_facet, rows)

    def _write_holders(self) -> None:
        column = trace_holder.c
        for event_no in sorted(self._holds):
            here = (column.organisation == self._organisation, column.event_no == event_no)
            if self._connection.scalar(select(column.event_no).where(*here)) is None:
                row = (self._organisation, event_no)
                insert_tuples(self._connection, trace_holder, [row])


def _unwritten(one: Captured, head: int) -> Captured:
    number = one.event_no
    return Captured(one.outcome, None if (number or 0) > head else number, one.event_id)


def _words(one: Prepared) -> Iterable[tuple[str, str]]:
    event = one.event
    yield "type", storable(event.type)
    for kind, word in (
        ("biz_step", event.biz_step),
        ("disposition", event.disposition),
        ("place", event.read_point),
        ("place", event.biz_location),
    ):
        if word is not None:
            yield kind, storable(word)
    for facet in one.facets:
        yield "facet", facet.name


def _id_of(event_id: str | None, digest: bytes) -> str:
    return event_id if event_id is not None else hash_text(digest)


def head_of(connection: Connection) -> tuple[int, int]:
    """Return number and record time of the newest event; zeros when there is none."""
    column = trace_event.c
    newest = select(func.max(column.event_no)).scalar_subquery()
    query = select(column.event_no, column.record_time_us).where(column.event_no == newest)
    row = connection.execute(query).first()
    return (row.event_no, row.record_time_us) if row else (0, 0)


def write_master(
    connection: Connection, organisation: str, elements: Sequence[MasterElement]
) -> None:
    """Keep what an organisation says of vocabulary elements, over what it said of them before."""
    column = trace_master.c
    for element in elements:
        id_ = storable(element.id)
        told = trace_master.delete().where(
            column.organisation == organisation, column.element == id_
        )
        connection.execute(told)
        said = [*element.attributes, *(("", child) for child in element.children)]
        rows = [
            (organisation, id_, at, element.type, name, storable(value))
            for at, (name, value) in enumerate(said)
        ]
        insert_tuples(connection, trace_master, rows)
