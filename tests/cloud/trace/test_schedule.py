"""When scheduled queries run."""

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from cloud.trace.schedule import FIELDS, read_schedule
from protocols.errors import RefuseInput

JILIN = ZoneInfo("Asia/Shanghai")


def times(fields: dict[str, str], after: str, count: int = 3) -> list[str]:
    at, found = datetime.fromisoformat(after).replace(tzinfo=JILIN), []
    for _ in range(count):
        following = read_schedule(fields).next_after(at, JILIN)
        assert following is not None
        at = following
        found.append(at.strftime("%Y-%m-%d %H:%M:%S"))
    return found


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"hour": "1", "minute": "5"},
            ["2026-11-27 01:05:00", "2026-11-28 01:05:00", "2026-11-29 01:05:00"],
        ),
        (
            {"second": "0,30"},
            ["2026-11-26 08:00:30", "2026-11-26 08:01:00", "2026-11-26 08:01:30"],
        ),
        (
            {"hour": "[8-9]"},
            ["2026-11-26 09:00:00", "2026-11-27 08:00:00", "2026-11-27 09:00:00"],
        ),
        (
            {"dayOfWeek": "7", "hour": "12"},
            ["2026-11-29 12:00:00", "2026-12-06 12:00:00", "2026-12-13 12:00:00"],
        ),
        (
            {"month": "2", "dayOfMonth": "29"},
            ["2028-02-29 00:00:00", "2032-02-29 00:00:00", "2036-02-29 00:00:00"],
        ),
    ],
)
def test_schedule_runs_at_these_times(fields: dict[str, str], expected: list[str]) -> None:
    assert times(fields, "2026-11-26 08:00:00") == expected


def test_schedule_that_never_comes_has_no_next_time() -> None:
    found = read_schedule({"month": "2", "dayOfMonth": "30"})
    assert found.next_after(datetime(2026, 1, 1, tzinfo=UTC), JILIN) is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"second": "60"},
        {"minute": "0/30"},
        {"hour": "*"},
        {"hour": ""},
        {"dayOfWeek": "0"},
        {"dayOfMonth": "[5-2]"},
        {"year": "2027"},
        {"second": "1-5"},
        {"second": "٣"},
    ],
)
def test_schedule_that_cannot_be_read_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(RefuseInput, match="bad_subscription"):
        read_schedule(fields)


def test_next_time_is_that_of_looking_at_each_second() -> None:
    rng = random.Random(7)
    for _ in range(60):
        names = rng.sample(["second", "minute", "hour"], rng.randint(1, 3))
        fields = {
            name: ",".join(str(rng.randint(*FIELDS[name])) for _ in range(rng.randint(1, 4)))
            for name in names
        }
        at = datetime(2026, 11, 26, rng.randint(0, 23), rng.randint(0, 59), 7, tzinfo=UTC)
        schedule = read_schedule(fields)
        slow = at + timedelta(seconds=1)
        while not (
            slow.second in schedule.second
            and slow.minute in schedule.minute
            and slow.hour in schedule.hour
        ):
            slow += timedelta(seconds=1)
        assert schedule.next_after(at, UTC) == slow
