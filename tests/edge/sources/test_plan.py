"""Which registers are read together, and how else the same could be read."""

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sources.plan import (
    Block,
    Signature,
    around,
    divide,
    partition,
    plan,
    spread,
)
from protocols.catalog.point_map import Table

TABLES: tuple[Table, ...] = get_args(Table)
spans = st.lists(
    st.tuples(
        st.sampled_from(TABLES[2:]),
        st.integers(0, 300),
        st.integers(1, 2),
    ),
    min_size=1,
    max_size=40,
)


def holding(*addresses: int, limit: int = 125, gap_max: int = 8) -> list[tuple[int, int]]:
    blocks = plan(
        [("holding_register", address, 1) for address in addresses],
        registers_per_read_max=limit,
        gap_max=gap_max,
    )
    return [(block.address, block.count) for block in blocks]


def test_neighbours_are_read_together() -> None:
    assert holding(10, 11, 12) == [(10, 3)]


def test_gap_is_bridged_up_to_gap_max() -> None:
    assert holding(0, 9, gap_max=8) == [(0, 10)]
    assert holding(0, 10, gap_max=8) == [(0, 1), (10, 1)]
    assert holding(0, 1, 3, gap_max=0) == [(0, 2), (3, 1)]


def test_read_is_no_longer_than_the_controller_allows() -> None:
    assert holding(*range(10), limit=4) == [(0, 4), (4, 4), (8, 2)]


def test_long_value_is_never_torn() -> None:
    blocks = plan(
        [("holding_register", 0, 1), ("holding_register", 1, 2), ("holding_register", 2, 2)],
        registers_per_read_max=2,
        gap_max=8,
    )
    assert [(block.address, block.count) for block in blocks] == [(0, 1), (1, 3)]


def test_bits_are_read_longer_than_registers() -> None:
    blocks = plan([("coil", 0, 1), ("coil", 400, 1)], registers_per_read_max=125, gap_max=500)
    assert [block.count for block in blocks] == [401]


@given(spans, st.integers(2, 125), st.integers(0, 20))
def test_plan_covers_every_value_once_within_limits(
    wanted: list[tuple[Table, int, int]], limit: int, gap_max: int
) -> None:
    blocks = plan(wanted, registers_per_read_max=limit, gap_max=gap_max)
    for table, address, width in wanted:
        holders = [
            block
            for block in blocks
            if block.table == table
            and block.address <= address
            and address + width <= block.address + block.count
        ]
        assert len(holders) == 1
    listed = {(t, a + i) for t, a, w in wanted for i in range(w)}
    for block in blocks:
        assert (block.table, block.address) in listed
        assert (block.table, block.address + block.count - 1) in listed
        chain = max(width for _, width in block.atoms)
        assert block.count <= max(limit, chain)


@given(spans, st.sets(st.integers(1, 40), max_size=6))
def test_parts_cover_the_block_and_avoid_what_is_owed(
    wanted: list[tuple[Table, int, int]], owed: set[int]
) -> None:
    for block in plan(wanted, registers_per_read_max=40, gap_max=8):
        unsafe = {block.signature(count) for count in owed}
        parts = partition(block, unsafe.__contains__)
        if parts is None:
            continue
        assert [i for start, count in parts for i in range(start, start + count)] == list(
            range(block.count)
        )
        shapes = [block.signature(count) for _, count in parts]
        assert len(set(shapes)) == len(shapes)
        assert not unsafe & set(shapes)
        inner = {start for start, _ in parts[1:]}
        assert all(not start < cut < start + width for start, width in block.atoms for cut in inner)


def one_block(*addresses: int) -> Block:
    (block,) = plan(
        [("holding_register", address, 1) for address in addresses],
        registers_per_read_max=125,
        gap_max=8,
    )
    return block


def test_other_length_is_one_register_fewer_and_the_rest() -> None:
    assert partition(one_block(*range(10)), {(3, 10)}.__contains__) == ((0, 9), (9, 1))


def test_single_register_has_no_other_length() -> None:
    assert partition(one_block(5), {(3, 1)}.__contains__) is None


def test_second_read_covers_the_span_by_another_length() -> None:
    block = one_block(*range(10))
    assert around(block, (4, 1), set[Signature]().__contains__) == (4, 1)
    assert around(block, (4, 1), {(3, 1)}.__contains__) == (3, 2)
    assert around(one_block(7), (0, 1), {(3, 1)}.__contains__) is None


def test_refused_block_is_divided_at_gaps_then_in_halves_then_not_at_all() -> None:
    parts = divide(one_block(0, 1, 4, 5, 6))
    assert [(part.address, part.count) for part in parts] == [(0, 2), (4, 3)]
    assert [(part.address, part.count) for part in divide(parts[1])] == [(4, 1), (5, 2)]
    assert divide(one_block(4)) == ()


def test_bits_tell_lengths_apart_by_bytes_only() -> None:
    (block,) = plan([("coil", 0, 1), ("coil", 9, 1)], registers_per_read_max=125, gap_max=8)
    assert block.signature(1) == block.signature(8) == (1, 1)
    assert partition(block, {(1, 2)}.__contains__) is None


@pytest.mark.parametrize("lengths", [(1, 1, 5), (2, 2, 2, 7, 7, 9), (1,), (3, 3)])
def test_blocks_of_the_same_length_are_kept_apart(lengths: tuple[int, ...]) -> None:
    blocks = [
        plan([("holding_register", a, 1) for a in range(n)], registers_per_read_max=125, gap_max=0)[
            0
        ]
        for n in lengths
    ]
    order = [block.count for block in spread(blocks)]
    assert sorted(order) == sorted(lengths)
    together = sum(a == b for a, b in pairwise(order))
    assert together == (1 if lengths == (3, 3) else 0)
