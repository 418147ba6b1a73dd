"""What the tables say of the items and events of an answer, and which of them a caller may see."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import Connection, Row, exists, select

from cloud.model.principal import Scope
from cloud.model.trace_tables import ACTIONS, trace_event, trace_item, trace_use, trace_word
from cloud.trace.prepare import hash_text
from cloud.trace.visible import sees_event
from protocols.errors import RefuseInput

T = TypeVar("T")
_ASKED_MAX = 500
_FACTS = ("event_no", "event_id", "hash", "event_time_us", "action")
_WORDS = ("type", "biz_step", "disposition", "read_point", "biz_location", "organisation")


class Fact(Struct, frozen=True, kw_only=True):
    """An event."""

    event_id: str
    time_us: int
    action: str | None
    words: Mapping[str, str | None]
    """By column: type, biz_step, disposition, read_point, biz_location, organisation."""
    visible: bool


def known_items(connection: Connection, ids: Collection[str], scope: Scope) -> dict[str, int]:
    """Return the numbers of those items that are in a visible event, by their ids."""
    item, use, event = trace_item.c, trace_use.c, trace_event
    seen = select(use.event_no).join(event, event.c.event_no == use.event_no)
    seen = seen.where(use.item_no == item.item_no, sees_event(scope, event))
    query = select(item.id, item.item_no).where(item.id.in_(ids), exists(seen))
    return {row.id: row.item_no for row in connection.execute(query)}


def items_of(connection: Connection, ids: Sequence[str], scope: Scope) -> list[int]:
    """Return the numbers of items; RefuseInput `not_found` for one that is in no visible event."""
    found = known_items(connection, ids, scope)
    for one in ids:
        if one not in found:
            raise RefuseInput("not_found", f"nothing known of {one[:200]!r}")
    return [found[one] for one in ids]


def names_of(connection: Connection, items: Iterable[int]) -> dict[int, str]:
    """Return canonical ids by number."""
    column = trace_item.c
    query = select(column.item_no, column.id)
    rows = (connection.execute(query.where(column.item_no.in_(part))) for part in _parts(items))
    return {row.item_no: row.id for part in rows for row in part}


def facts_of(connection: Connection, events: Iterable[int], scope: Scope) -> dict[int, Fact]:
    """Return events by number."""
    found, visible = list[Row[Any]](), set[int]()
    event = trace_event.alias("e")
    query = select(*(event.c[name] for name in (*_FACTS, *_WORDS)))
    for part in _parts(events):
        here = event.c.event_no.in_(part)
        found += connection.execute(query.where(here)).all()
        if not scope.everything:
            seen = select(event.c.event_no).where(here, sees_event(scope, event))
            visible.update(connection.scalars(seen))
    numbers = {number for row in found for number in row[len(_FACTS) :]} - {None}
    column = trace_word.c
    words = dict[int, str]()
    for part in _parts(numbers):
        named = select(column.word_no, column.word).where(column.word_no.in_(part))
        words |= {row.word_no: row.word for row in connection.execute(named)}
    everything = scope.everything
    return {row[0]: _fact(row, words, everything or row[0] in visible) for row in found}


def _fact(row: Row[Any], words: Mapping[int, str], visible: bool) -> Fact:
    numbers = row[len(_FACTS) :]
    return Fact(
        event_id=row.event_id if row.event_id is not None else hash_text(row.hash),
        time_us=row.event_time_us,
        action=None if row.action is None else ACTIONS[row.action],
        words=dict(zip(_WORDS, map(words.get, numbers), strict=True)),
        visible=visible,
    )


def _parts(numbers: Iterable[T]) -> Iterable[list[T]]:
    ordered = list(numbers)
    return (ordered[n : n + _ASKED_MAX] for n in range(0, len(ordered), _ASKED_MAX))
