"""The terms of the watch over cylinders: the shipped file, what its samples prove, a site's own."""

import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from protocols.catalog.files import data_root
from protocols.cylinders.watch import FILE, FOLDER, Sample, Watch, load_watch
from protocols.errors import FixConfiguration

WATCH = load_watch()
PATH = data_root() / FOLDER / f"{FILE}.toml"
SAMPLES = [msgspec.convert(one, Sample) for one in tomllib.loads(PATH.read_text())["samples"]]


def changed() -> Iterator[tuple[str, Watch]]:
    """The shipped terms, each with one figure changed by one."""
    days = WATCH.due.days
    for index in range(len(days)):
        for step in (-1, 1):
            other = (*days[:index], days[index] + step, *days[index + 1 :])
            yield f"days {other}", replace(WATCH, due=replace(WATCH.due, days=other))
    for section, name in (
        ("delivery", "missing_after_h"),
        ("places", "apart_min"),
        ("station", "snapshot_stale_h"),
    ):
        part = getattr(WATCH, section)
        other_part = replace(part, **{name: getattr(part, name) + 1})
        yield f"{section}.{name}", replace(WATCH, **{section: other_part})


@pytest.mark.parametrize(("name", "other"), list(changed()))
def test_each_figure_is_proven_by_a_sample(name: str, other: Watch) -> None:
    assert any(one.found(other) != one.cases for one in SAMPLES), name


def test_no_case_is_an_emergency() -> None:
    assert {one.alarm for one in WATCH.cases} == {None, "critical", "warning"}


def test_a_sites_own_terms_take_the_place_of_the_shipped_ones(tmp_path: Path) -> None:
    own = tmp_path / FOLDER / f"{FILE}.toml"
    own.parent.mkdir(parents=True)
    shipped = PATH.read_text().partition("# Each sample")[0]
    own.write_text(shipped.replace("days = [90, 30, 7]", "days = [60, 14]"))
    assert load_watch(tmp_path).due.days == (60, 14)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("days = [90, 30, 7]", "days = [7, 30]", "the longest first"),
        ('alarm = "critical"', 'alarm = "emergency"', "alarm"),
        ('id = "missing"', 'id = "overdue"', "each of"),
        ("missing_after_h = 72", "missing_after_h = 73", "samples"),
        ("apart_min = 20", "apart_minutes = 20", "unknown key"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, before: str, after: str, told: str) -> None:
    own = tmp_path / FOLDER / f"{FILE}.toml"
    own.parent.mkdir(parents=True)
    own.write_text(PATH.read_text().replace(before, after))
    with pytest.raises(FixConfiguration) as error:
        load_watch(tmp_path)
    assert told in str(error.value)


def test_a_leap_day() -> None:
    assert Sample(about="-", on=date(2028, 2, 29), due_on=date(2028, 2, 29), cases=()).found(
        WATCH
    ) == ("due:7",)
