"""Writing prepared events, inside the one capture transaction of its time."""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from sqlalchemy import Connection, func, select, update

from cloud.model.database import take_turn
from cloud.model.rows import insert_tuples
from cloud.model.trace_tables import (
    trace_event,
    trace_master,
    trace_sight,
)
from cloud.trace.base import Behaviour, Captured
from cloud.trace.event_rows import EventRows, Sight, said_by
from cloud.trace.facets import storable
from cloud.trace.numbers import Memory, Numbers
from cloud.trace.parties import TURN, named_in, said_of_old
from cloud.trace.prepare import Prepared, hash_text
from protocols.epcis.document import MasterElement

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
    time_us: int
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
        self._seen_by: set[Sight] = set()
        self._voids: dict[int, int] = {}
        self._head = 0

    def write(
        self, events: Sequence[Prepared], *, at_us: int, behaviour: Behaviour, job: int | None
    ) -> list[Captured]:
        """Write what is new.

        Raises:
            Conflicted: under `rollback`; the caller ends the transaction without a trace.

        """
        head, record_time_us = head_of(self._connection)
        self._head = head
        self._look_up(events)
        outcomes, new = self._judge(events, head)
        if behaviour == "rollback" and any(one.outcome == "conflict" for one in outcomes):
            raise Conflicted([_unwritten(one, head) for one in outcomes])
        rows = EventRows(self.numbers, self._organisation, first=head + 1)
        for table, values in rows.of(new, max(record_time_us, at_us), job):
            insert_tuples(self._connection, table, values)
        self._seen_by |= named_in(self._connection, self.numbers, new, head + 1)
        self._write_sights()
        self.numbers.learn_said(said_by(new, head + 1, self._seen_by, self.numbers))
        self.numbers.learn_said(
            said_of_old(self._connection, [one for one in self._seen_by if one.event_no <= head])
        )
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
                column.event_time_us, column.organisation, column.declared_at_us, column.voided_by,
            ).where(column.id_key.in_(keys[start : start + _LOOK_UP_MAX]))  # fmt: skip
            for row in self._connection.execute(query):
                known = Known(
                    event_no=row.event_no,
                    event_id=_id_of(row.event_id, row.hash),
                    key=row.event_key,
                    time_us=row.event_time_us,
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
                    self._seen_by.add(Sight(same.event_no, self._organisation, same.time_us))
                outcomes.append(Captured("duplicate", same.event_no, one.event_id))
            elif one.event.declaration is None and not all(k.declares for k in others):
                outcomes.append(Captured("conflict", None, one.event_id))
            else:
                new.append(one)
                event_no = head + len(new)
                outcomes.append(Captured("stored", event_no, one.event_id))
                time_us = one.event.event_time_us
                self._seen_by.add(Sight(event_no, self._organisation, time_us))
                self._relate(one, event_no, others)
        return outcomes, new

    def _relate(self, one: Prepared, event_no: int, others: Iterable[Known]) -> None:
        """Mark what an error declaration voids; it may come before what it declares wrong.

        Nobody voids the event of another organisation.
        """
        declares = one.event.declaration is not None
        known = Known(
            event_no=event_no,
            event_id=one.event_id,
            key=one.key,
            time_us=one.event.event_time_us,
            organisation=self._organisation,
            declares=declares,
            voided=False,
        )
        for other in others:
            if other.organisation != self._organisation or other.declares == declares:
                continue
            right, wrong = (known, other) if declares else (other, known)
            if not wrong.voided:
                wrong.voided = True
                self._voids[wrong.event_no] = right.event_no
        self._known.setdefault(one.id_key, []).append(known)

    def _write_sights(self) -> None:
        """Write who sees old events too; whose they are already is no news."""
        column = trace_sight.c
        old = [one.event_no for one in self._seen_by if one.event_no <= self._head]
        known = set[tuple[int, int]]()
        for start in range(0, len(old), _LOOK_UP_MAX):
            query = select(column.event_no, column.organisation)
            query = query.where(column.event_no.in_(old[start : start + _LOOK_UP_MAX]))
            known |= {(row[0], row[1]) for row in self._connection.execute(query)}
        new = [one for one in sorted(self._seen_by) if one[:2] not in known]
        insert_tuples(self._connection, trace_sight, new)


def _unwritten(one: Captured, head: int) -> Captured:
    number = one.event_no
    return Captured(one.outcome, None if (number or 0) > head else number, one.event_id)


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
