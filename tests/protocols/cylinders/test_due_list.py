"""The quick list says what the judgement of each cylinder says."""

import random
from datetime import date, timedelta
from typing import Any

from msgspec.structs import replace

from protocols.cylinders.base import Cylinder, MarkedDate
from protocols.cylinders.due import due_on, life_ends_on
from protocols.cylinders.due_list import Due, DueList, Facts
from tests.protocols.cylinders.good import BOOK
from tests.protocols.cylinders.random_cylinders import random_case

RNG = random.Random(5)
DATES: Any = {
    "manufactured_on": MarkedDate(2022, 4),
    "inspected_on": None,
    "inspection_due_on": None,
}
ON = date(2026, 3, 31)
FLEET = [
    replace(one, code=f"cylinder:{number}")
    for number in range(5_000)
    if (one := random_case(RNG)[0]) is not None
]


GROUPS: dict[str, Cylinder] = {}


def facts(one: Cylinder) -> Facts:
    alike = replace(one, code="", manufactured_on=None, inspected_on=None, inspection_due_on=None)
    group = str(alike)
    GROUPS[group] = alike
    made, inspected, marked = (
        None if day is None else str(day)
        for day in (one.manufactured_on, one.inspected_on, one.inspection_due_on)
    )
    return Facts(one.code, made, inspected, marked, group)


def lines(cylinders: list[Facts], on: date, within_days: int) -> list[Due]:
    return list(DueList(GROUPS.__getitem__, BOOK, on).lines(cylinders, within_days))


def slowly(within_days: int) -> list[Due]:
    found, until = [], ON + timedelta(days=within_days)
    for one in FLEET:
        due, life = due_on(one, BOOK, ON), life_ends_on(one, BOOK, ON)
        if due is None or min(due, life or due) <= until:
            found.append(Due(one.code, None, due, life))
    return found


def test_the_list_is_the_same_as_one_by_one() -> None:
    for within_days in (0, 7, 30, 90, 4000):
        assert lines([facts(one) for one in FLEET], ON, within_days) == slowly(within_days)


def test_pages_share_what_was_judged() -> None:
    listed, fleet = DueList(GROUPS.__getitem__, BOOK, ON), [facts(one) for one in FLEET]
    pages = [fleet[start : start + 100] for start in range(0, len(fleet), 100)]
    assert [line for page in pages for line in listed.lines(page, 90)] == slowly(90)


def test_borders() -> None:
    one = replace(FLEET[0], kind="lpg_household", gas="lpg", standard="", design_life_years=None)
    made = facts(replace(one, code="cylinder:1", vehicle=None, **DATES))
    assert not lines([made], date(2026, 4, 29), 0)
    assert lines([made], date(2026, 4, 30), 0)
    assert not lines([made], date(2026, 1, 29), 90)
    (line,) = lines([made], date(2026, 1, 30), 90)
    assert line.due_on == date(2026, 4, 30)


def test_what_stands_comes_back_whatever_its_days() -> None:
    one = replace(FLEET[0], kind="lpg_household", gas="lpg", standard="", design_life_years=None)
    made = facts(replace(one, vehicle=None, **DATES))._replace(standing="due=2026-04-30:90")
    (line,) = lines([made], date(2022, 5, 1), 90)
    assert line.standing == "due=2026-04-30:90"
