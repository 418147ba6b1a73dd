"""Sets of sequence numbers as sorted, disjoint, inclusive ranges."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator


class RangeSet:
    """Whole numbers from 1 up, kept as the fewest inclusive ranges."""

    __slots__ = ("_ranges",)

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._ranges: list[tuple[int, int]] = []
        for low, high in ranges:
            self.add(low, high)

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self._ranges, (number, 2**63)) - 1
        return index >= 0 and self._ranges[index][1] >= number

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._ranges)

    def __len__(self) -> int:
        """Count the ranges, not the numbers."""
        return len(self._ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RangeSet) and self._ranges == other._ranges

    def __repr__(self) -> str:
        return f"RangeSet({self._ranges})"

    __hash__ = None  # type: ignore[assignment]  # it changes

    def add(self, low: int, high: int | None = None) -> int:
        """Add low..high (both included); return how many numbers were new."""
        high = low if high is None else high
        if high < low:
            return 0
        ranges = self._ranges
        first = bisect_right(ranges, (low - 1, -1))
        if first and ranges[first - 1][1] >= low - 1:
            first -= 1
        last, had, new_low, new_high = first, 0, low, high
        while last < len(ranges) and ranges[last][0] <= high + 1:
            a, b = ranges[last]
            had += max(0, min(b, high) - max(a, low) + 1)
            new_low, new_high = min(new_low, a), max(new_high, b)
            last += 1
        ranges[first:last] = [(new_low, new_high)]
        return high - low + 1 - had

    def remove(self, low: int, high: int | None = None) -> int:
        """Take low..high (both included) out; return how many numbers were in."""
        high = low if high is None else high
        ranges = self._ranges
        first = bisect_right(ranges, (low, -1))
        if first and ranges[first - 1][1] >= low:
            first -= 1
        last, had, rest = first, 0, []
        while last < len(ranges) and ranges[last][0] <= high:
            a, b = ranges[last]
            had += min(b, high) - max(a, low) + 1
            if a < low:
                rest.append((a, low - 1))
            if b > high:
                rest.append((high + 1, b))
            last += 1
        ranges[first:last] = rest
        return had

    def overlap(self, low: int, high: int) -> list[tuple[int, int]]:
        """List the ranges within low..high that are in the set, lowest first."""
        ranges = self._ranges
        index = bisect_right(ranges, (low, -1))
        if index and ranges[index - 1][1] >= low:
            index -= 1
        found = []
        while index < len(ranges) and ranges[index][0] <= high:
            a, b = ranges[index]
            found.append((max(a, low), min(b, high)))
            index += 1
        return found

    def missing(self, low: int, high: int) -> list[tuple[int, int]]:
        """List the ranges within low..high that are not in the set, lowest first."""
        holes, at = [], low
        for a, b in self._ranges:
            if b < at:
                continue
            if a > high:
                break
            if a > at:
                holes.append((at, a - 1))
            at = b + 1
        if at <= high:
            holes.append((at, high))
        return holes

    def count(self) -> int:
        """Count the numbers in the set."""
        return sum(high - low + 1 for low, high in self._ranges)

    @property
    def top(self) -> int:
        """The largest number, 0 when empty."""
        return self._ranges[-1][1] if self._ranges else 0

    @property
    def through(self) -> int:
        """The largest n such that 1..n are all in the set, 0 when 1 is not."""
        return self._ranges[0][1] if self._ranges and self._ranges[0][0] <= 1 else 0

    @property
    def whole(self) -> bool:
        """True when there are no holes: 1..top, or nothing at all."""
        return not self._ranges or (len(self._ranges) == 1 and self._ranges[0][0] <= 1)

    def beyond_through(self) -> list[tuple[int, int]]:
        """List the ranges that do not start at 1."""
        return self._ranges[1:] if self.through else list(self._ranges)
