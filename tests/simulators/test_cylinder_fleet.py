"""A city's cylinders over years: nothing overdue is filled, and each way of a life is gone."""

import random
from datetime import date, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from cloud.cylinders.import_rows import read_rows
from protocols.border import load_toml
from protocols.cylinders.base import Cylinder, Seen, Verdict
from protocols.cylinders.book import RuleBook
from protocols.cylinders.verdict import fill_verdict
from protocols.errors import StopService
from simulators import cylinder_fleet
from simulators.cylinder_fleet import (
    FILE,
    Figures,
    Fleet,
    run_fleet,
    shipped_rules,
    write_rows,
)
from simulators.fleet_story import FleetStory

STORY, BOOK, BEGINS = load_toml(FILE, FleetStory), shipped_rules(), date(2026, 1, 1)


def fleet(cylinders: int = 300, seed: int = 3, story: FleetStory = STORY) -> Fleet:
    return Fleet(story, cylinders, BEGINS, BOOK, random.Random(seed))


def test_years_pass_and_each_cylinder_is_accounted_for() -> None:
    city = fleet()
    figures = city.run(4 * 365)
    assert figures.wrong == []
    assert figures.fills > 3_000
    assert {"inspection_overdue", "not_purged", "beyond_life", "foreign_filler"} <= set(
        figures.refused
    )
    assert figures.inspected > figures.failed > 0
    assert figures.extended > 0
    states = [one.state for one in city.cylinders]
    assert states.count("scrapped") == figures.scrapped > 0
    assert states.count("lost") == figures.lost
    assert len(city.cylinders) == figures.registered == 300 + figures.scrapped
    assert len({one.code for one in city.cylinders}) == len(city.cylinders)
    assert 0 < city.due_within(90) < 300


def test_the_same_seed_gives_the_same_years() -> None:
    one, other = fleet(100).run(500), fleet(100).run(500)
    assert one == other
    assert one != fleet(100, seed=4).run(500)


def filled_years_ago(one: Cylinder, years: float) -> bool:
    """Tell by plain arithmetic whether an LPG bottle was filled more than 4 years after it was due.

    An oracle of its own: 4 years from the last inspection, or from manufacture.
    """
    since = one.inspected_on or one.manufactured_on
    assert since is not None
    assert one.last_filled_on is not None
    return (one.last_filled_on - since.last) > timedelta(days=366 * years)


def test_no_bottle_was_filled_after_its_four_years_by_plain_arithmetic() -> None:
    city = fleet(300)
    city.run(5 * 365)
    filled = [one for one in city.cylinders if one.kind == "lpg_household" and one.last_filled_on]
    assert len(filled) > 150
    assert not [one for one in filled if filled_years_ago(one, 4)]


def test_a_wrong_filling_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def lenient(one: Cylinder, seen: Seen, book: RuleBook) -> Verdict:
        return replace(fill_verdict(one, seen, book), decision="fill", reasons=())

    monkeypatch.setattr(cylinder_fleet, "fill_verdict", lenient)
    with pytest.raises(StopService, match="wrong fillings"):
        run_fleet(200, 2, 1, None, lambda _: None)


def test_the_registry_reads_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cylinder_fleet, "ROWS_PER_FILE", 150)
    city = fleet(400)
    city.run(200)
    count = write_rows(city, tmp_path / "out")
    files = sorted((tmp_path / "out").iterdir())
    read = [one for file in files for one in read_rows("jsonl", file.read_bytes())]
    assert [one.refusal for one in read if one.refusal is not None] == []
    assert len(read) == count == len(city.cylinders) - city.figures.scrapped
    assert len(files) == 3


def test_the_command_tells_what_happened(tmp_path: Path) -> None:
    lines: list[str] = []
    figures = run_fleet(100, 1, 1, tmp_path, lines.append)
    assert isinstance(figures, Figures)
    assert lines[-1].endswith("nothing overdue was filled")
    assert any(line.split() == ["fills", str(figures.fills)] for line in lines)
