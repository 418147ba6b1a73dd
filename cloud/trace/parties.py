"""Organisations that source and destination lists name, and so see the event."""

from collections.abc import Sequence

from sqlalchemy import Connection, exists, or_, select

from cloud.model.database import take_turn
from cloud.model.rows import insert_tuples
from cloud.model.trace_tables import trace_event, trace_facet, trace_party, trace_sight, trace_word
from cloud.trace.event_rows import KINDS, Sight
from cloud.trace.facets import storable
from cloud.trace.numbers import Memory, Numbers, Said
from cloud.trace.prepare import Prepared

TURN = "trace"
_FAMILIES = ("source:", "destination:")
_LOOK_UP_MAX = 500


def named_in(
    connection: Connection, numbers: Numbers, events: Sequence[Prepared], first: int
) -> set[Sight]:
    """Return the sights of organisations named in events numbered from `first`."""
    said: dict[str, list[int]] = {}
    for event_no, one in enumerate(events, first):
        for facet in one.facets:
            if facet.text is not None and facet.name.startswith(_FAMILIES):
                said.setdefault(facet.text, []).append(event_no)
    known: list[tuple[str, str]] = []
    identifiers, column = list(said), trace_party.c
    for start in range(0, len(identifiers), _LOOK_UP_MAX):
        part = identifiers[start : start + _LOOK_UP_MAX]
        query = select(column.identifier, column.organisation)
        rows = connection.execute(query.where(column.identifier.in_(part)))
        known += [(row[0], row[1]) for row in rows]
    numbers.learn_words([("organisation", organisation) for _, organisation in known])
    return {
        Sight(
            event_no,
            numbers.words["organisation", organisation],
            events[event_no - first].event.event_time_us,
        )
        for identifier, organisation in known
        for event_no in said[identifier]
    }


def said_of_old(connection: Connection, sights: Sequence[Sight]) -> set[Said]:
    """Return what stored events say to an organisation that comes to see them."""
    found: set[Said] = set()
    columns = [trace_event.c[aspect] for aspect in KINDS]
    for start in range(0, len(sights), _LOOK_UP_MAX):
        part = {one.event_no: one.organisation for one in sights[start : start + _LOOK_UP_MAX]}
        query = select(trace_event.c.event_no, *columns).where(trace_event.c.event_no.in_(part))
        for event_no, *words in connection.execute(query):
            found |= {
                (part[event_no], aspect, word)
                for aspect, word in zip(KINDS, words, strict=True)
                if word is not None
            }
    return found


def put_party(connection: Connection, organisation: str, identifier: str) -> None:
    """Say that an identifier names an organisation; it sees the events that name it already too.

    Args:
        connection: of a transaction.
        organisation: its id.
        identifier: canonical, as lists of events name it.

    """
    take_turn(connection, TURN)
    identifier, party = storable(identifier), trace_party.c
    here = (party.identifier == identifier, party.organisation == organisation)
    if connection.scalar(select(party.identifier).where(*here)) is not None:
        return
    insert_tuples(connection, trace_party, [(identifier, organisation)])
    numbers = Numbers(Memory(), connection)
    numbers.learn_words([("organisation", organisation)])
    number = numbers.words["organisation", organisation]
    facet, word, sight = trace_facet.c, trace_word.c, trace_sight.c
    lists = or_(*(word.word.startswith(family) for family in _FAMILIES))
    names = select(word.word_no).where(word.kind == "facet", lists)
    seen = exists().where(sight.event_no == facet.event_no, sight.organisation == number)
    found = select(facet.event_no)
    found = found.where(facet.name.in_(names), facet.text == identifier, ~seen)
    event = trace_event.c
    times = select(event.event_no, event.event_time_us).where(event.event_no.in_(found))
    sights = [Sight(row[0], number, row[1]) for row in connection.execute(times)]
    insert_tuples(connection, trace_sight, sights)
    numbers.learn_said(said_of_old(connection, sights))
