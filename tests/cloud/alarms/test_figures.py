"""The figures, against counts made by hand and by a plain model."""

import random
from collections import Counter

import msgspec
import pytest
from sqlalchemy import Connection, insert

from cloud.alarms.base import Figures
from cloud.alarms.figures import FigureBook
from cloud.model.alarm import Severity
from cloud.model.alarm_tables import alarm_raise
from cloud.model.alarm_terms import AlarmTerms, load_terms
from cloud.model.principal import EVERYTHING, NOTHING
from tests.support.alarms import LIFT, Desk

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
TERMS = load_terms()


async def figures(desk: Desk, hours: int = 24, terms: AlarmTerms = TERMS) -> Figures:
    return await FigureBook(desk.database, desk.clock, terms).figures(hours, EVERYTHING)


def raised(
    desk: Desk,
    ago_s: float,
    *,
    asset: str = LIFT,
    alert: str = "CarDoorNotClosing",
    severity: Severity = "warning",
    took_s: float | None = None,
) -> None:
    at = desk.clock.wall_ms() - round(ago_s * 1000)
    row = {"alarm": 1, "asset": asset, "alert": alert, "severity": severity, "raised_at": at}
    row["acknowledged_at"] = None if took_s is None else at + round(took_s * 1000)

    def add(connection: Connection) -> None:
        connection.execute(insert(alarm_raise).values(**row))

    desk.database.write_now(add)


async def test_nothing_happened(desk: Desk) -> None:
    found = await figures(desk)
    assert (found.total, found.per_day, found.flood, found.busiest_at) == (0, 0.0, False, None)
    assert found.acknowledge_p50_s is None
    assert found.value("acknowledge_p95_s") is None
    assert found.top_percent == 0.0


async def test_flood_is_more_than_ten_in_ten_minutes_of_one_operator(desk: Desk) -> None:
    for number in range(10):
        raised(desk, number)
    assert (await figures(desk)).flood is False
    raised(desk, 599)
    found = await figures(desk, 1)
    assert (found.flood, found.last_10_minutes, found.busiest_10_minutes) == (True, 11, 11)
    assert found.flood_percent == pytest.approx(100 / 6)
    assert found.busiest_at == desk.clock.wall_ms() - 10 * MINUTE_MS
    two = msgspec.structs.replace(TERMS.figures, operators=2)
    found = await figures(desk, 1, msgspec.structs.replace(TERMS, figures=two))
    assert (found.flood, found.last_10_minutes) == (False, 6)


async def test_chattering_is_three_times_within_a_minute(desk: Desk) -> None:
    for ago in (0, 30, 60, 300, 600):
        raised(desk, ago)
    for ago in (0, 30, 61):
        raised(desk, ago, asset="elevator:L2")
    found = await figures(desk)
    assert [(one.asset, one.count) for one in found.chattering] == [(LIFT, 5)]
    assert found.value("chattering") == 1


async def test_stale_stands_for_more_than_a_day(desk: Desk) -> None:
    desk.tell("fired")
    desk.tell("fired", asset="elevator:L2")
    await desk.desk.acknowledge(1, by="Li")
    desk.clock.advance(24 * HOUR_MS - 999)
    assert (await figures(desk)).stale_total == 1
    desk.clock.advance(2000)
    found = await figures(desk)
    assert [one.id for one in found.stale] == [1, 2]
    desk.tell("resolved", asset="elevator:L2")
    assert [one.id for one in (await figures(desk)).stale] == [1]


async def test_what_is_held_back_is_counted_apart(desk: Desk) -> None:
    for name in ("elevator:A", "elevator:B", "elevator:C"):
        desk.tell("fired", asset=name, severity="warning")
    until_ms = desk.clock.wall_ms() + HOUR_MS
    await desk.desk.shelve(1, until_ms=until_ms, reason="x", by="Li")
    desk.tell("suppressed", asset="elevator:B", severity="warning")
    await desk.desk.take_out_of_service("elevator:D", reason="x", by="Li")
    found = await figures(desk)
    assert (found.open, found.shelved, found.suppressed, found.out_of_service) == (3, 1, 1, 1)


async def test_against_a_plain_count(desk: Desk) -> None:
    rng = random.Random(5)
    now = desk.clock.wall_ms()
    made = []
    for _ in range(400):
        ago, asset = rng.uniform(0, 90_000), f"elevator:L{rng.randrange(25)}"
        severity: Severity = rng.choice(["emergency", "critical", "warning", "info"])
        took = rng.uniform(1, 900) if rng.random() < 0.7 else None
        made.append((now - round(ago * 1000), asset, severity, took))
        raised(desk, ago, asset=asset, severity=severity, took_s=took)
    found = await figures(desk)
    inside = [one for one in made if now - 24 * HOUR_MS < one[0] <= now]
    assert found.total == len(inside)
    assert found.per_day == pytest.approx(len(inside))
    assert found.per_10_minutes == pytest.approx(len(inside) / 144)
    assert found.by_severity == {
        word: sum(one[2] == word for one in inside)
        for word in ("emergency", "critical", "warning", "info")
    }
    top = Counter(one[1] for one in inside).most_common()
    assert [one.count for one in found.top] == [count for _, count in top[:10]]
    assert found.top_percent == pytest.approx(
        100 * sum(count for _, count in top[:10]) / len(inside)
    )
    took_ms = sorted(round(one[3] * 1000) for one in inside if one[3] is not None)
    assert found.acknowledged == len(took_ms)
    assert found.acknowledge_p50_s == took_ms[-(-len(took_ms) * 50 // 100) - 1] / 1000
    assert found.acknowledge_p95_s == took_ms[-(-len(took_ms) * 95 // 100) - 1] / 1000
    stretches = Counter((now - one[0]) // (10 * MINUTE_MS) for one in inside)
    assert found.busiest_10_minutes == max(stretches.values())
    flooded = sum(count > 10 for count in stretches.values())
    assert found.flood_percent == pytest.approx(100 * flooded / 144)


async def test_only_what_the_scope_admits(desk: Desk) -> None:
    raised(desk, 1)
    found = await FigureBook(desk.database, desk.clock, TERMS).figures(24, NOTHING)
    assert (found.total, found.top) == (0, [])
