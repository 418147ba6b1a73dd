"""The rows of new events, in the order of the columns of their tables."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Table

from cloud.model.trace_tables import trace_event, trace_facet, trace_use
from cloud.trace.facets import storable
from cloud.trace.numbers import Numbers, Said
from cloud.trace.prepare import Prepared

Rows = list[tuple[Any, ...]]
KINDS = {
    "type": "type",
    "biz_step": "biz_step",
    "disposition": "disposition",
    "read_point": "place",
    "biz_location": "place",
}
"""Kind of the words of a column, in the order of `Prepared.words`."""


class Sight(NamedTuple):
    """A row of `trace_sight`."""

    event_no: int
    organisation: int
    event_time_us: int


class EventRows:
    """Rows of events that are numbered from `first` on."""

    def __init__(self, numbers: Numbers, organisation: int, *, first: int) -> None:
        self._numbers, self._organisation, self._first = numbers, organisation, first
        self._words: dict[tuple[str | None, ...], list[int | None]] = {}

    def of(
        self, events: Sequence[Prepared], record_time_us: int, job: int | None
    ) -> Iterator[tuple[Table, Rows]]:
        """Learn the numbers that the rows need, and return the rows of each table."""
        self._learn(events)
        yield (
            trace_event,
            [
                self._event(one, event_no, record_time_us, job)
                for event_no, one in enumerate(events, self._first)
            ],
        )
        yield trace_use, self._uses(events)
        yield trace_facet, self._facets(events)

    def _learn(self, events: Sequence[Prepared]) -> None:
        alike = {one.words for one in events}
        words = {
            (kind, word)
            for said in alike
            for kind, word in zip(KINDS.values(), said, strict=True)
            if word is not None
        }
        words.update(("facet", facet.name) for one in events for facet in one.facets)
        self._numbers.learn_words(words)
        self._words = {said: self._word_numbers(said) for said in alike}
        self._numbers.learn_items(item for one in events for item, _role, _use in one.uses)
        self._numbers.learn_contexts({one.context: one.contexts for one in events})

    def _event(
        self, one: Prepared, event_no: int, record_time_us: int, job: int | None
    ) -> tuple[Any, ...]:
        event = one.event
        type_, *others = self._words[one.words]
        declaration, transformation = event.declaration, event.transformation_id
        return (
            event_no,
            one.key,
            event.event_time_us,
            record_time_us,
            one.id_key,
            event.event_id,
            one.digest,
            type_,
            one.action,
            *others,
            self._organisation,
            storable(transformation) if transformation else None,
            declaration.declared_at_us if declaration else None,
            None,
            job,
            self._numbers.contexts[one.context],
            one.body,
        )

    def _word_numbers(self, words: tuple[str | None, ...]) -> list[int | None]:
        return [
            None if word is None else self._numbers.words[kind, word]
            for kind, word in zip(KINDS.values(), words, strict=True)
        ]

    def _uses(self, events: Sequence[Prepared]) -> Rows:
        items = self._numbers.items
        return [
            (items[item], event_no, at, role, use.by_class, use.quantity, use.uom)
            for event_no, one in enumerate(events, self._first)
            for at, (item, role, use) in enumerate(one.uses)
        ]

    def _facets(self, events: Sequence[Prepared]) -> Rows:
        words = self._numbers.words
        return [
            (event_no, at, words["facet", facet.name], facet.text, facet.number, facet.time_us)
            for event_no, one in enumerate(events, self._first)
            for at, facet in enumerate(one.facets)
        ]


def said_by(
    events: Sequence[Prepared], first: int, sights: Iterable[Sight], numbers: Numbers
) -> set[Said]:
    """Return what events, numbered from `first`, say to each organisation that sees them."""
    alike = {
        (organisation, events[event_no - first].words)
        for event_no, organisation, _ in sights
        if event_no >= first
    }
    return {
        (organisation, aspect, numbers.words[kind, word])
        for organisation, words in alike
        for (aspect, kind), word in zip(KINDS.items(), words, strict=True)
        if word is not None
    }
