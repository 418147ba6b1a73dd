"""Open tables count right, leave small cells out, and hold nothing but what the rules name."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert

from cloud.alarms.rows import to_row
from cloud.model import tables
from cloud.model.alarm import Alarm
from cloud.model.database import Database
from cloud.open_data import source as source_module
from cloud.open_data.source import OpenDataSource
from protocols.clock import ManualClock
from tests.support.retention import DAY_MS, shipped_rules
from tests.support.state_database import open_state

ZONE = ZoneInfo("Asia/Shanghai")
EAST_MS = 8 * 3_600_000
KINDS = shipped_rules().open()
CLOCK = ManualClock()
NOW_MS = CLOCK.wall_ms()
DISTRICTS = ("昌邑区", "船营区", "丰满区", "")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    one = open_state(database_url)
    yield one
    one.close()


def make_source(database: Database, clock: ManualClock = CLOCK) -> OpenDataSource:
    return OpenDataSource(database, KINDS, clock, ZONE)


def asset_row(asset_id: str, district: str, kind: str = "elevator") -> dict[str, Any]:
    return {
        "asset_id": asset_id,
        "kind": kind,
        "name": f"name of {asset_id}",
        "gateways": "[]",
        "attributes": "{}",
        "district": district,
        "category": "special_equipment",
        "updated_at": NOW_MS,
    }


def alarm_row(asset: str, alert: str, raised_at: int, answered_s: int | None) -> dict[str, Any]:
    done = None if answered_s is None else raised_at + answered_s * 1000
    alarm = Alarm(
        id=0,
        alert=alert,
        asset=asset,
        severity="critical",
        state="normal",
        raised_at=raised_at,
        observed_at=raised_at,
        changed_at=raised_at,
        acknowledged_at=done,
        acknowledged_by=None if done is None else "王五",
        note="called the car",
    )
    return to_row(alarm)


def put(database: Database, table: Any, rows: list[dict[str, Any]]) -> None:
    database.write_now(lambda c: c.execute(insert(table), rows))


async def rows_of(database: Database, kind: str) -> list[tuple[Any, ...]]:
    table = await make_source(database).table(kind)
    assert table is not None
    return list(table.rows)


def day_of(ms: int) -> str:
    return (datetime.fromtimestamp(ms / 1000, UTC) + timedelta(hours=8)).date().isoformat()


@pytest.mark.parametrize("seed", range(3))
async def test_alarms_are_counted_as_by_hand(database: Database, seed: int) -> None:
    rng = random.Random(seed)
    place = {f"elevator:{n:017}": rng.choice(DISTRICTS) for n in range(30)}
    put(database, tables.asset, [asset_row(name, where) for name, where in place.items()])
    alarms = []
    for _ in range(600):
        raised_at = NOW_MS - rng.randrange(0, 6 * DAY_MS)
        answered_s = rng.choice([None, -5, rng.randrange(1, 900)])
        asset = rng.choice([*place, "elevator:unknown"])
        alert = rng.choice(["Entrapment", "DoorOpen", "Rare"] if rng.random() < 0.1 else ["Level"])
        alarms.append(alarm_row(asset, alert, raised_at, answered_s))
    put(database, tables.alarm, alarms)
    cells: Counter[tuple[str, ...]] = Counter()
    answers: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row in alarms:
        if day_of(row["raised_at"]) == day_of(NOW_MS):
            continue
        cell = day_of(row["raised_at"]), place.get(row["asset"], ""), row["alert"]
        cells[cell] += 1
        if row["acknowledged_at"] and row["acknowledged_at"] >= row["raised_at"]:
            answers[cell].append(row["acknowledged_at"] - row["raised_at"])
    wanted = {(*cell, count, _mean(answers[cell])) for cell, count in cells.items() if count >= 3}
    found = await rows_of(database, "alarms")
    assert set(found) == wanted
    assert len(found) == len(wanted) < len(cells)
    assert [row[0] for row in found] == sorted((row[0] for row in found), reverse=True)


def _mean(answers: list[int]) -> int | None:
    return round(sum(answers) / len(answers) / 1000) if len(answers) >= 3 else None


async def test_a_day_is_the_citys_and_the_one_that_runs_is_left_out(database: Database) -> None:
    midnight = (NOW_MS + EAST_MS) // DAY_MS * DAY_MS - EAST_MS
    moments = [midnight, midnight - 1, midnight - DAY_MS, midnight - DAY_MS - 1]
    rows = [alarm_row("elevator:1", "Level", at, None) for at in moments for _ in range(3)]
    put(database, tables.alarm, rows)
    found = await rows_of(database, "alarms")
    assert [(row[0], row[3]) for row in found] == [
        (day_of(midnight - 1), 6),
        (day_of(midnight - DAY_MS - 1), 3),
    ]


async def test_assets_and_gateways_are_counted_where_they_are(database: Database) -> None:
    put(
        database,
        tables.asset,
        [asset_row(f"elevator:{n}", "昌邑区") for n in range(5)]
        + [asset_row(f"cylinder:{n}", "昌邑区", "cylinder") for n in range(2)]
        + [asset_row(f"elevator:2{n}", "船营区") for n in range(3)],
    )
    assert await rows_of(database, "assets") == [
        ("昌邑区", "elevator", 5),
        ("船营区", "elevator", 3),
    ]
    named = [("elevator:0", f"gw-{n}") for n in range(4)] + [("elevator:1", "gw-0")]
    named += [("elevator:20", f"gw-{n}") for n in range(1, 7)]
    put(
        database,
        tables.asset_gateway,
        [{"asset_id": asset, "gateway_id": gateway} for asset, gateway in named],
    )
    put(
        database,
        tables.gateway,
        [{"gateway_id": f"gw-{n}", "online": n != 6, "counters": "{}"} for n in range(7)],
    )
    assert await rows_of(database, "gateways") == [("昌邑区", True, 4), ("船营区", True, 5)]


async def test_a_table_is_made_once_in_a_while_and_of_bounded_length(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "ROWS_MAX", 2)
    clock = ManualClock()
    source = make_source(database, clock)
    assert await source.table("nothing") is None
    first = await source.table("assets")
    assert first is not None
    assert (first.rows, first.complete) == ((), True)
    rows = [asset_row(f"elevator:{d}-{n}", d) for d in ("a", "b", "c") for n in range(3)]
    put(database, tables.asset, rows)
    assert await source.table("assets") is first
    clock.advance(source_module.KEPT_MS)
    second = await source.table("assets")
    assert second is not None
    assert (len(second.rows), second.complete, second.made_at) == (2, False, clock.wall_ms())
