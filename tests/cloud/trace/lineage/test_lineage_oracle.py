"""The fast lineage against the slow reading of docs/lineage.md, over random histories."""

from random import Random

import pytest

from cloud.trace.lineage.base import Bounds, Direction
from cloud.trace.lineage.layers import Layers
from cloud.trace.lineage.trace import trace
from tests.support.lineage_histories import history, segment, told, voided
from tests.support.lineage_oracle import Happening, History, Oracle

ITEMS = 14


def _made(random: Random) -> list[Happening]:
    events, times = random.choice((8, 20, 40)), random.choice((6, 20, 200))
    return history(random, items=ITEMS, events=events, times=times)


def _compare(seed: int) -> None:
    random = Random(seed)
    happenings = _made(random)
    slow = History(happenings, voided(happenings))
    fast = Layers([segment(happenings)])
    directions: tuple[Direction, Direction] = ("back", "forward")
    for number in range(8):
        start = random.sample(range(ITEMS), random.choice((1, 1, 2)))
        at = random.choice((None, random.randrange(20)))
        bounds = Bounds(
            items=random.choice((10_000, 3, 6)) if number >= 4 else 10_000,
            depth=random.choice((64, 1, 2)) if number >= 4 else 64,
            horizon_us=random.choice((None, 5, 12)) if number >= 6 else None,
        )
        direction = directions[number % 2]
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


def test_answers_are_those_of_the_oracle() -> None:
    for seed in range(60):
        _compare(seed)


@pytest.mark.long
def test_answers_are_those_of_the_oracle_over_1_000_histories() -> None:
    for seed in range(1_000, 2_000):
        _compare(seed)
