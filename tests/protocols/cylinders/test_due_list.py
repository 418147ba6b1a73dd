"""The quick list says what the judgement of each cylinder says."""

import random
from datetime import date, timedelta

from msgspec.structs import replace

from protocols.cylinders.base import Cylinder
from protocols.cylinders.due import due_on, life_ends_on
from protocols.cylinders.due_list import Due, Facts, due_list
from tests.protocols.cylinders.good import BOOK
from tests.protocols.cylinders.random_cylinders import random_case

RNG = random.Random(5)
ON = date(2026, 3, 31)
FLEET = [
    replace(one, code=f"cylinder:{number}")
    for number in range(5_000)
    if (one := random_case(RNG)[0]) is not None
]


def facts(one: Cylinder) -> Facts:
    group = replace(one, code="", manufactured_on=None, inspected_on=None, inspection_due_on=None)
    dates = (one.manufactured_on, one.inspected_on, one.inspection_due_on)
    return Facts(one.code, (group,), *[None if day is None else str(day) for day in dates])


def read(group: tuple[object, ...]) -> Cylinder:
    (one,) = group
    assert isinstance(one, Cylinder)
    return one


def slowly(within_days: int) -> list[Due]:
    lines = []
    for one in FLEET:
        due, life = due_on(one, BOOK, ON), life_ends_on(one, BOOK, ON)
        first = min(due or date.min, life or date.max)
        if first <= ON + timedelta(days=within_days):
            lines.append(Due(first, one.code, due, life))
    return sorted(lines, key=lambda line: (line.first_ends_on, line.code))


def test_the_list_is_the_same_as_one_by_one() -> None:
    for within_days in (0, 7, 30, 90, 4000):
        assert due_list(map(facts, FLEET), read, BOOK, ON, within_days) == slowly(within_days)


def test_borders() -> None:
    one = replace(FLEET[0], kind="lpg_household", gas="lpg", standard="", design_life_years=None)
    made = Facts("cylinder:1", (replace(one, vehicle=None),), "2022-04", None, None)
    assert not due_list([made], read, BOOK, date(2026, 4, 29), 0)
    assert due_list([made], read, BOOK, date(2026, 4, 30), 0)
    assert not due_list([made], read, BOOK, date(2026, 1, 29), 90)
    (line,) = due_list([made], read, BOOK, date(2026, 1, 30), 90)
    assert line.first_ends_on == line.due_on == date(2026, 4, 30)
