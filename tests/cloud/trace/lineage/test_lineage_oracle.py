"""The fast lineage against the slow reading of docs/lineage.md, over random histories."""

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from cloud.trace.lineage.base import Bounds, Direction
from cloud.trace.lineage.layers import Layers
from cloud.trace.lineage.trace import trace
from tests.support.lineage_histories import history, renumbered, segment, told, voided
from tests.support.lineage_oracle import Answer, Happening, History, Oracle

ITEMS = 14
W = Bounds()
DIRECTIONS: tuple[Direction, Direction] = ("back", "forward")


def _made(random: Random) -> list[Happening]:
    events, times = random.choice((8, 20, 40)), random.choice((6, 20, 200))
    return history(random, items=ITEMS, events=events, times=times)


def _compare(seed: int) -> None:
    random = Random(seed)
    happenings = _made(random)
    slow = History(happenings, voided(happenings))
    fast = Layers([segment(happenings)])
    for number in range(8):
        start = random.sample(range(ITEMS), random.choice((1, 1, 2)))
        at = random.choice((None, random.randrange(20)))
        bounds = Bounds(
            items=random.choice((10_000, 3, 6)) if number >= 4 else 10_000,
            depth=random.choice((64, 1, 2)) if number >= 4 else 64,
            horizon_us=random.choice((None, 5, 12)) if number >= 6 else None,
        )
        direction = DIRECTIONS[number % 2]
        found = told(trace(fast, start, direction, at_us=at, bounds=bounds))
        expected = Oracle(
            slow,
            start,
            back=direction == "back",
            at=at,
            items=bounds.items,
            depth=bounds.depth,
            horizon=bounds.horizon_us,
        ).answer()
        assert found == expected, f"seed {seed}, {direction} from {start} at {at}, {bounds}"


def _in_order(random: Random, happenings: list[Happening]) -> tuple[Layers, dict[int, int]]:
    """Capture in random order, into segments of random lengths; tell which number was which."""
    order = random.sample(range(len(happenings)), len(happenings))
    mixed = renumbered(happenings, order)
    cuts = sorted({1, len(mixed) + 1, *random.choices(range(1, len(mixed) + 1), k=3)})
    segments = [segment(mixed, first=a, end=b) for a, b in pairwise(cuts)]
    return Layers(segments), {n: happenings[place].number for n, place in enumerate(order, 1)}


def _named(happenings: list[Happening], answer: Answer, was: dict[int, int]) -> Answer:
    """Name events as they were numbered first, and joined transformations by their id."""
    ids = {h.number: h.transformation or h.number for h in happenings}
    links = {}
    for link, reasons in answer.links.items():
        kind, *ends = link
        if kind in ("input", "output"):
            item, transformation, event = ends
            ends = [item, ids[was[int(str(transformation))]], was[int(str(event))]]
        links[kind, *ends] = reasons
    known = {ids[was[n]]: state for n, state in answer.transformations.items()}
    steps = {was[event] for event in answer.steps}
    return replace(answer, links=links, transformations=known, steps=steps)  # type: ignore[arg-type]


def test_order_of_capture_and_cuts_of_the_index_change_nothing() -> None:
    for seed in range(25):
        random = Random(seed)
        happenings = _made(random)
        same = {h.number: h.number for h in happenings}
        whole, (parts, was) = Layers([segment(happenings)]), _in_order(random, happenings)
        for direction in DIRECTIONS:
            start = [random.randrange(ITEMS)]
            one = told(trace(whole, start, direction, bounds=Bounds()))
            other = told(trace(parts, start, direction, bounds=Bounds()))
            expected = _named(happenings, one, same)
            assert _named(happenings, other, was) == expected, f"seed {seed}"


def test_back_and_forward_reach_the_same() -> None:
    for seed in range(8):
        happenings = _made(Random(seed))
        index = Layers([segment(happenings)])
        reached = {
            (direction, item): {n.item_no for n in trace(index, [item], direction, bounds=W).nodes}
            for direction in DIRECTIONS
            for item in range(ITEMS)
        }
        for x in range(ITEMS):
            for y in range(ITEMS):
                assert (y in reached["forward", x]) == (x in reached["back", y]), f"seed {seed}"


def test_answers_are_those_of_the_oracle() -> None:
    for seed in range(25):
        _compare(seed)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_answers_are_those_of_the_oracle_over_1_000_histories() -> None:
    for seed in range(1_000, 2_000):
        _compare(seed)
