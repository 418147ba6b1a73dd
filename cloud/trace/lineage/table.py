"""Rows of an answer, made one by one only when they are looked at."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar, overload

from cloud.trace.lineage.base import Column, Numbers

Row = TypeVar("Row")
_AT_ONCE = 4096


class Table(Sequence[Row], Generic[Row]):
    """Columns as a sequence of rows.

    Making half a million rows takes a second, and hardly anyone looks at so many.
    """

    def __init__(self, make: Callable[..., Row], columns: Sequence[Column], order: Numbers) -> None:
        self._make, self._columns, self._order = make, columns, order

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        if isinstance(place, slice):
            return self._rows(self._order[place])
        return self._rows(self._order[[place]])[0]

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, len(self._order), _AT_ONCE):
            yield from self._rows(self._order[start : start + _AT_ONCE])

    def _rows(self, places: Numbers) -> list[Row]:
        columns = (column[places].tolist() for column in self._columns)
        return list(map(self._make, *columns))
