"""Calendars of lifts: against a slow oracle, over 16 years by hand, and their data."""

import random
import re
from datetime import date
from pathlib import Path

import pytest

from protocols.catalog.files import data_root
from protocols.errors import FixConfiguration
from protocols.lifts.base import LiftFile
from protocols.lifts.due import Plan, compact, plan
from protocols.lifts.load import load_calendar
from protocols.lifts.rules import CalendarRules, Event
from tests.support.lift_oracle import Line, random_day, random_lift, tell

SEED = 20_260_726
LIFTS, DAYS = 250, 6


@pytest.fixture(scope="module")
def rules() -> CalendarRules:
    return load_calendar()


def lines(made: Plan) -> set[Line]:
    return {
        Line(one.kind, one.year or 0, one.level, one.due_on, one.done_on, one.state)
        for one in made.duties
    }


def compare(rules: CalendarRules, seed: int, lifts: int, days: int) -> int:
    """Hold lifts against the oracle; returns how many duties were compared."""
    rng, count = random.Random(seed), 0
    for number in range(lifts):
        file, events, end = random_lift(rng)
        begin = min(one.on for one in events) if events else date(2020, 1, 1)
        for _ in range(days):
            today = random_day(rng, begin, end)
            made = plan(file, events, rules, today)
            told = tell(file, events, today)
            assert lines(made) == told, (seed, number, today, lines(made) ^ told)
            count += len(told)
            past = [one for one in events if one.on <= today]
            assert plan(file, compact(past), rules, today) == made, (seed, number, today)
    return count


def test_random_lifts_over_30_years_are_as_the_oracle_says(rules: CalendarRules) -> None:
    assert compare(rules, SEED, LIFTS, DAYS) > 10_000


@pytest.mark.long
def test_many_random_lifts_are_as_the_oracle_says(rules: CalendarRules) -> None:
    for seed in range(5):
        compare(rules, seed, 500, 10)


def test_sixteen_years_of_one_lift(rules: CalendarRules) -> None:
    """What is done each year as due: the calendar names the right kind for each of 16 years."""
    base, file = date(2024, 3, 10), LiftFile(used_since=date(2024, 3, 20), certificate="T1")
    expected = {
        **dict.fromkeys((1, 4, 7, 9, 11, 13, 15, 16), "periodic"),
        **dict.fromkeys((2, 3, 5, 6, 8, 10, 12, 14), "self_test"),
    }
    events = [Event(on=base, what="base")]
    for year in range(1, 17):
        due = date(2024 + year, 3, 31)
        before = plan(file, events, rules, date(2024 + year, 1, 1))
        (one,) = [each for each in before.duties if each.year == year]
        assert (one.kind, one.due_on, one.state) == (expected[year], due, "open")
        apply_by = date(2024 + year, 2, 29 if year % 4 == 0 else 28)
        assert one.apply_by == (apply_by if one.kind == "periodic" else None)
        assert one.source
        assert one.confidence == "C"
        late = plan(file, events, rules, date(2024 + year, 4, 1))
        overdue = [each.year for each in late.overdue if each.year]
        assert overdue == [year]
        done = "inspected" if one.kind == "periodic" else "self_tested"
        on = date(2024 + year, 1 + year % 3, 28)
        events.append(Event(on=on, what=done))  # type: ignore[arg-type]
    after = plan(file, events, rules, date(2040, 4, 1))
    years = [one for one in after.duties if one.year]
    assert [one.state for one in years] == ["done"] * 16 + ["ahead", "ahead"]
    assert [one.kind for one in years[16:]] == ["periodic", "periodic"]


@pytest.mark.parametrize(
    ("base", "due"),
    [
        (date(2024, 2, 29), date(2025, 2, 28)),
        (date(2027, 2, 28), date(2028, 2, 29)),
        (date(2024, 12, 31), date(2025, 12, 31)),
        (date(2024, 1, 1), date(2025, 1, 31)),
    ],
)
def test_due_day_is_the_end_of_its_month(rules: CalendarRules, base: date, due: date) -> None:
    events = [Event(on=base, what="base")]
    next_day = date.fromordinal(due.toordinal() + 1)
    for today, state in ((due, "open"), (next_day, "overdue")):
        made = plan(LiftFile(), events, rules, today)
        one = next(each for each in made.duties if each.year == 1)
        assert (one.due_on, one.state) == (due, state)


def test_what_cannot_be_told_is_said(rules: CalendarRules) -> None:
    made = plan(LiftFile(), [], rules, date(2026, 1, 1))
    assert made.duties == ()
    assert set(made.untold) == {"periodic", "maintenance", "registration", "contract"}


def test_long_stop_is_said_before_it_ends(rules: CalendarRules) -> None:
    events = [
        Event(on=date(2024, 1, 10), what="base"),
        Event(on=date(2024, 5, 1), what="stopped"),
    ]
    file = LiftFile(used_since=date(2024, 1, 20), certificate="T1")
    on = date(2025, 5, 1)
    assert not plan(file, events, rules, on).inspect_before_restart
    made = plan(file, events, rules, date(2025, 5, 2))
    assert made.inspect_before_restart
    assert made.stopped_since == date(2024, 5, 1)
    assert {one.state for one in made.duties} == {"suspended"}


def test_papers_tell_where_no_record_does(rules: CalendarRules) -> None:
    file = LiftFile(supervised_on=date(2020, 6, 5), inspected_on=date(2023, 6, 20))
    made = plan(file, [], rules, date(2024, 7, 1))
    told = {one.year: one.state for one in made.duties if one.year}
    assert told == {1: "late", 2: "late", 3: "done", 4: "overdue", 5: "ahead", 6: "ahead"}


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("days = 15", "days = 14", "half_month"),
        ("periodic_years = [1, 4", "periodic_years = [1, 5", "year 4"),
        ("early_months = 2", "early_months = 3", "2024-12-31|2025"),
        ("days = 15", "days = 15\nmonths = 1", "either days or months"),
        ('due = "month_end"', 'due = "week_end"', "one of month_end, anniversary"),
        ("from = 2023-04-02\n", "", "a first one without a day"),
        ('level = "quarterly"', 'level = "half_month"', "each level once"),
        ("horizon_months = 24", "horizon = 24", "unknown key"),
    ],
)
def test_rules_that_are_wrong_are_refused(
    tmp_path: Path, before: str, after: str, found: str
) -> None:
    text = (data_root() / "lifts" / "calendar.toml").read_text("utf-8")
    assert before in text
    (tmp_path / "lifts").mkdir()
    (tmp_path / "lifts" / "calendar.toml").write_text(text.replace(before, after, 1), "utf-8")
    with pytest.raises(FixConfiguration) as refused:
        load_calendar(tmp_path)
    assert re.search(found, str(refused.value))
