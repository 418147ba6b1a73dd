"""Many triggers at once: exactly one open alarm for each asset and alert."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from cloud.model import tables
from cloud.model.alarm_tables import alarm_raise
from tests.support.alarms import Desk
from tests.support.trigger_process import ALERTS, trigger

ROOT = Path(__file__).parents[3]
ASSETS = 5
LONG = (pytest.mark.long, pytest.mark.timeout(900))


def check(desk: Desk) -> None:
    """Every alert stands open once, was told once, and asked once."""
    alarm = tables.alarm.c
    query = select(alarm.asset, alarm.alert, func.count()).group_by(alarm.asset, alarm.alert)
    counts = desk.database.read_now(lambda c: c.execute(query).all())
    assert len(counts) == ASSETS * len(ALERTS)
    assert {count for _, _, count in counts} == {1}
    for table in (tables.feed, alarm_raise):
        counting = select(func.count()).select_from(table)
        told = desk.database.read_now(lambda c, q=counting: c.execute(q).scalar_one())  # type: ignore[misc]
        assert told == ASSETS * len(ALERTS)


@pytest.mark.parametrize("triggers", [500, pytest.param(10_000, marks=LONG)], ids=["500", "10000"])
def test_many_threads_open_one_alarm_each(desk: Desk, database_url: str, triggers: int) -> None:
    assert trigger(database_url, triggers, 16, 1, ASSETS) == triggers
    check(desk)


@pytest.mark.parametrize("triggers", [250, pytest.param(5_000, marks=LONG)], ids=["500", "10000"])
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_processes_open_one_alarm_each(desk: Desk, database_url: str, triggers: int) -> None:
    command = [sys.executable, "-m", "tests.support.trigger_process", database_url]
    children = [
        subprocess.Popen(
            [*command, str(triggers), "4", str(seed), str(ASSETS)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in (1, 2)
    ]
    told = [child.communicate(timeout=800)[0] for child in children]
    assert [int(text) for text in told] == [triggers, triggers]
    check(desk)
