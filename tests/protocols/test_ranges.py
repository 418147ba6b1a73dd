import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from protocols.ranges import RangeSet

Ranges = list[tuple[int, int]]
ranges = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 12)).map(lambda p: (p[0], sum(p))))


def numbers(of: Ranges) -> set[int]:
    return {one for low, high in of for one in range(low, high + 1)}


@given(ranges)
def test_range_set_holds_exactly_what_was_added(added: Ranges) -> None:
    held = RangeSet(added)
    assert numbers(list(held)) == numbers(added)
    assert held.count() == len(numbers(added))
    assert all((one in held) == (one in numbers(added)) for one in range(80))


@given(ranges)
def test_ranges_are_sorted_and_never_touch(added: Ranges) -> None:
    held = list(RangeSet(added))
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(held))
    assert RangeSet(held) == RangeSet(added)


@given(ranges, st.integers(1, 70), st.integers(-2, 15))
def test_add_counts_the_new_numbers(added: Ranges, low: int, span: int) -> None:
    held = RangeSet(added)
    before = numbers(added)
    assert held.add(low, low + span) == len(set(range(low, low + span + 1)) - before)


@given(ranges, st.integers(1, 70), st.integers(0, 30))
def test_missing_is_the_complement_within_bounds(added: Ranges, low: int, span: int) -> None:
    holes = RangeSet(added).missing(low, low + span)
    assert numbers(holes) == set(range(low, low + span + 1)) - numbers(added)
    assert holes == sorted(holes)


@given(ranges)
def test_through_and_the_rest_say_all(added: Ranges) -> None:
    held = RangeSet(added)
    rest = numbers(held.beyond_through())
    assert set(range(1, held.through + 1)) | rest == numbers(added)
    assert held.through + 1 not in numbers(added)
    assert held.top == max(numbers(added), default=0)


def test_empty_set_has_no_numbers() -> None:
    empty = RangeSet()
    assert (len(empty), empty.count(), empty.top, empty.through) == (0, 0, 0, 0)
    assert empty.missing(1, 3) == [(1, 3)]
    assert 1 not in empty
    assert repr(empty) == "RangeSet([])"
    assert empty != "RangeSet([])"


def test_single_number_joins_its_neighbours() -> None:
    held = RangeSet([(1, 2), (4, 5)])
    assert held.add(3) == 1
    assert list(held) == [(1, 5)]


def test_remove_and_overlap_like_a_plain_set() -> None:
    rng = random.Random(11)
    for _ in range(300):
        one, plain = RangeSet(), set[int]()
        for _ in range(rng.randint(1, 30)):
            low = rng.randint(1, 60)
            high = low + rng.randint(0, 12)
            numbers = set(range(low, high + 1))
            if rng.random() < 0.5:
                assert one.add(low, high) == len(numbers - plain)
                plain |= numbers
            else:
                assert one.remove(low, high) == len(numbers & plain)
                plain -= numbers
            found = {n for a, b in one.overlap(low, high + 5) for n in range(a, b + 1)}
            assert found == plain & set(range(low, high + 6))
        assert {n for a, b in one for n in range(a, b + 1)} == plain
        assert all(b + 1 < c for (_, b), (c, _) in itertools.pairwise(one))


def test_whole_tells_whether_there_are_holes() -> None:
    assert RangeSet().whole
    assert RangeSet([(1, 9)]).whole
    assert not RangeSet([(2, 9)]).whole
    assert not RangeSet([(1, 3), (5, 9)]).whole
