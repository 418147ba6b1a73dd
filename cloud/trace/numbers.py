"""Words, items and contexts, each stored once under a dense number.

Numbers are given out in the turn of a capture transaction, so that there is one giver; what was
committed never changes, so every process may remember it.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, Connection, func, select

from cloud.model.rows import insert_tuples
from cloud.model.trace_tables import trace_context, trace_item, trace_said, trace_word

K = TypeVar("K")
Said = tuple[int, str, int]
"""Organisation, column of `trace_event`, word: a row of `trace_said`."""
REMEMBERED_MAX = 200_000
"""Of one table; of items about 40 MB."""
_LOOK_UP_MAX = 500


class Remembered(Generic[K]):
    """Numbers that were committed; when full, the half that was first remembered is forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.known: dict[K, int] = {}

    def add(self, numbers: Mapping[K, int]) -> None:
        """Remember what a transaction that has been committed found or made."""
        if len(self.known) + len(numbers) > self._most:
            kept = islice(self.known.items(), len(self.known) // 2, None)
            self.known = dict(kept) if len(numbers) < self._most else {}
        self.known.update(numbers)


class Numbers:
    """The numbers of one transaction, over those that were committed."""

    def __init__(self, memory: "Memory", connection: Connection) -> None:
        self._memory, self._connection = memory, connection
        self.words: dict[tuple[str, str], int] = {}
        self.items: dict[str, int] = {}
        self.contexts: dict[bytes, int] = {}
        self.said: dict[Said, int] = {}

    def learn_words(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Find or make the numbers of words; then they are in `words`."""
        missing = self._from_memory(self._memory.words, self.words, wanted)
        kinds: dict[str, list[str]] = {}
        for kind, word in missing:
            kinds.setdefault(kind, []).append(word)
        table = trace_word
        for kind, words in kinds.items():
            one_kind = table.c.kind == kind
            found = self._found(table.c.word, table.c.word_no, words, one_kind)
            self.words.update({(kind, word): number for word, number in found.items()})
        new = [one for one in missing if one not in self.words]
        start = self._next(table.c.word_no) if new else 0
        rows = [(number, *one) for number, one in enumerate(new, start)]
        insert_tuples(self._connection, table, rows)
        self.words.update({(kind, word): number for number, kind, word in rows})

    def learn_items(self, wanted: Iterable[str]) -> None:
        """Find or make the numbers of items, by canonical id; then they are in `items`."""
        missing = self._from_memory(self._memory.items, self.items, wanted)
        column = trace_item.c
        self.items.update(self._found(column.id, column.item_no, missing))
        new = [one for one in missing if one not in self.items]
        start = self._next(column.item_no) if new else 0
        rows = list(enumerate(new, start))
        insert_tuples(self._connection, trace_item, rows)
        self.items.update({one: number for number, one in rows})

    def learn_contexts(self, wanted: Mapping[bytes, str]) -> None:
        """Find or make the numbers of contexts, by their digest; then they are in `contexts`."""
        missing = self._from_memory(self._memory.contexts, self.contexts, wanted)
        column = trace_context.c
        self.contexts.update(self._found(column.sha256, column.context_no, missing))
        new = [one for one in missing if one not in self.contexts]
        start = self._next(column.context_no) if new else 0
        rows = [(number, one, wanted[one]) for number, one in enumerate(new, start)]
        insert_tuples(self._connection, trace_context, rows)
        self.contexts.update({one: number for number, one, _ in rows})

    def learn_said(self, wanted: Iterable[Said]) -> None:
        """Write which words an organisation's events say."""
        missing = self._from_memory(self._memory.said, self.said, wanted)
        if not missing:
            return
        column = trace_said.c
        organisations = {one[0] for one in missing}
        query = select(column.organisation, column.aspect, column.word)
        rows = self._connection.execute(query.where(column.organisation.in_(organisations)))
        known = {(row[0], row[1], row[2]) for row in rows}
        insert_tuples(self._connection, trace_said, [one for one in missing if one not in known])
        self.said.update(dict.fromkeys(missing, 0))

    def committed(self) -> None:
        """Remember them: the transaction has been committed."""
        self._memory.words.add(self.words)
        self._memory.items.add(self.items)
        self._memory.contexts.add(self.contexts)
        self._memory.said.add(self.said)

    @staticmethod
    def _from_memory(memory: Remembered[K], into: dict[K, int], wanted: Iterable[K]) -> list[K]:
        missing, known = [], memory.known
        for one in dict.fromkeys(wanted):
            number = known.get(one)
            if number is not None:
                into[one] = number
            elif one not in into:
                missing.append(one)
        return missing

    def _found(
        self, key: Column[Any], number: Column[Any], wanted: Sequence[K], *more: Any
    ) -> dict[K, int]:
        found: dict[K, int] = {}
        for start in range(0, len(wanted), _LOOK_UP_MAX):
            part = wanted[start : start + _LOOK_UP_MAX]
            query = select(key, number).where(key.in_(part), *more)
            found.update({row[0]: row[1] for row in self._connection.execute(query)})
        return found

    def _next(self, number: Column[Any]) -> int:
        last: int | None = self._connection.scalar(select(func.max(number)))
        return (last or 0) + 1


class Memory:
    """What one process remembers of committed numbers."""

    def __init__(self, most: int = REMEMBERED_MAX) -> None:
        self.words: Remembered[tuple[str, str]] = Remembered(most)
        self.items: Remembered[str] = Remembered(most)
        self.contexts: Remembered[bytes] = Remembered(most)
        self.said: Remembered[Said] = Remembered(most)
