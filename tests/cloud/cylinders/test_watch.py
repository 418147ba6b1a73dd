"""Each case of the watch is raised once and is on its list; restarts and replays change nothing."""

import asyncio
import random
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import insert, update

from cloud.model.cylinder import FurtherCode
from cloud.model.cylinder_records import InspectionReport, PermitBody
from cloud.model.cylinder_tables import cylinder
from cloud.model.handheld_tables import handheld_record
from protocols.handheld import Count, Record, What
from protocols.handheld import Scan as HandScan
from protocols.records import Verdict
from tests.support.cylinders import CODE, ZONE, Yard, code_of, file_of
from tests.support.fills import visit
from tests.support.firms import DISTRICT
from tests.support.watch import WATCH, Post, scan

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
OWN = ("cylinder", CODE.partition(":")[2])


@pytest.fixture
def post(yard: Yard) -> Post:
    return Post(yard)


async def register(post: Post, asset_id: str = CODE, **fields: Any) -> None:
    """A bottle of gas-a, made in 2024-03: due by 2028-03-31, its life ends 2032-03-31."""
    filler = fields.get("filler", "gas-a")
    number = fields.pop("number", 0)
    granted = post.yard.filler(filler)
    await post.yard.cylinders.register(granted, asset_id, file_of(number, **fields), DISTRICT)


async def at(post: Post, day: str, hour: int = 12) -> int:
    """Let it be this day, and look."""
    moment = datetime.fromisoformat(day).replace(hour=hour, tzinfo=ZONE).astimezone(UTC)
    post.yard.clock.set_wall(round(moment.timestamp() * 1_000))
    await post.watch.look()
    return post.yard.clock.wall_ms()


async def inspect(post: Post, on: str) -> None:
    """Let body-a, which is approved for it, inspect the bottle."""
    body = PermitBody(items=("lpg_household",), valid_from="2024-01-01", valid_until="2038-12-31")
    root = post.yard.root("permits.write")
    await post.yard.permits.put(root, "body-a", "inspection", "TS-1", body)
    report = InspectionReport(inspected_on=on, result="passed")
    await post.yard.inspections.record(post.yard.inspector(), CODE, report, "body-a")


async def again(post: Post) -> list[dict[str, Any]]:
    """Look again, also after a restart; what stands is the same, and is returned."""
    before = post.rows()
    await post.watch.look()
    post.restart()
    await post.watch.look()
    assert post.rows() == before
    return before


# --- terms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2027-12-31", None),
        ("2028-01-01", ("due", 90)),
        ("2028-03-01", ("due", 30)),
        ("2028-03-24", ("due", 7)),
        ("2028-03-31", ("due", 7)),
        ("2028-04-01", ("overdue", None)),
    ],
)
async def test_due_and_overdue(post: Post, day: str, expected: Any) -> None:
    await register(post)
    await at(post, day)
    found = [(row["kind"], row["stage_days"]) for row in await again(post)]
    assert found == ([expected] if expected else [])
    assert not await post.alarms()


async def test_each_stage_is_raised_once_and_ends_the_one_before(post: Post) -> None:
    await register(post)
    for day in ("2028-01-02", "2028-02-01", "2028-03-01", "2028-03-30", "2028-05-01", "2028-06-01"):
        await at(post, day)
        await again(post)
    raised = [(row["kind"], row["stage_days"], row["open"]) for row in post.rows()]
    assert raised == [
        ("due", 90, None),
        ("due", 30, None),
        ("due", 7, None),
        ("overdue", None, "y"),
    ]


async def test_beyond_life(post: Post) -> None:
    await register(post, inspected_on="2030-01-01")
    await at(post, "2032-03-25")
    assert post.cases() == [("life_ending", CODE)]
    await at(post, "2032-04-01")
    (_, row) = await again(post)
    assert (row["kind"], row["key"], row["open"]) == ("beyond_life", "2032-03-31", "y")
    assert post.cases() == [("beyond_life", CODE)]


async def test_an_inspection_takes_it_off_and_one_that_is_withdrawn_puts_it_back(
    post: Post,
) -> None:
    await register(post)
    await at(post, "2028-04-01")
    await inspect(post, "2028-04-01")
    await post.watch.look()
    assert post.cases() == []
    scope = post.yard.root("cylinders.read").scope
    latest = (await post.yard.inspections.of(CODE, scope))[0]
    granted = post.yard.root("cylinders.inspect")
    await post.yard.inspections.withdraw(granted, CODE, latest.id, "mistaken")
    await post.watch.look()
    assert post.cases() == [("overdue", CODE)]
    assert len(post.rows()) == 1


async def test_what_is_out_of_use_or_scrapped_is_on_no_list(post: Post) -> None:
    await register(post)
    await at(post, "2028-04-01")
    await post.yard.cylinders.take_step(post.yard.filler(), CODE, "take-out", "stored")
    await post.watch.look()
    assert post.cases() == []


async def test_pages_of_many_cylinders_and_a_kill_between_them(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud.cylinders.watch.terms.WRITE_ROWS", 2)
    for number in range(7):
        await register(post, code_of(number), number=number)
    real, writes = post.yard.database.write, 0

    async def dies(*work: Any) -> Any:
        nonlocal writes
        writes += 1
        if writes == 3:
            raise RuntimeError
        return await real(*work)

    monkeypatch.setattr(post.yard.database, "write", dies)
    with pytest.raises(RuntimeError):
        await at(post, "2028-04-01")
    post.restart()
    await post.watch.look()
    assert sorted(post.cases()) == [("overdue", code_of(number)) for number in range(7)]
    assert len(await again(post)) == 7


async def test_a_file_that_cannot_be_read_is_told_and_ends_nothing(
    post: Post, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await register(post)
    broken = update(cylinder).values(manufactured_on="2024-13")
    post.yard.database.write_now(lambda c: c.execute(broken))
    monkeypatch.setattr("cloud.cylinders.watch.runner.POLL_S", 0.01)
    watching = asyncio.create_task(post.watch.run())
    async with asyncio.timeout(10):
        while "cannot go on" not in caplog.text:
            await asyncio.sleep(0.01)
    mended = update(cylinder).values(manufactured_on="2020-01")
    post.yard.database.write_now(lambda c: c.execute(mended))
    async with asyncio.timeout(10):
        while not post.cases():
            await asyncio.sleep(0.01)
    watching.cancel()
    assert post.cases() == [("overdue", CODE)]


# --- fillings --------------------------------------------------------------------------------


async def test_filled_although_overdue(post: Post) -> None:
    await register(post)
    now = await at(post, "2028-04-10")
    await post.tell(scan(now, OWN), *visit(10, at=now))
    rows = await again(post)
    assert ("filled_overdue", CODE) in post.cases()
    (row,) = [row for row in rows if row["kind"] == "filled_overdue"]
    assert (row["day"], row["station"]) == ("2028-04-10", "gas-a")
    (alarm,) = await post.alarms()
    assert (alarm.alert, alarm.asset, alarm.severity) == (
        "CylinderFilledOverdue",
        CODE,
        "critical",
    )


async def test_an_inspection_after_a_filling_does_not_make_it_good(post: Post) -> None:
    await register(post)
    now = await at(post, "2028-04-10")
    late = post.batch(scan(now, OWN), *visit(10, at=now))
    await at(post, "2028-04-12")
    await inspect(post, "2028-04-12")
    post.take([replace(late, received_at=post.yard.clock.wall_ms())])
    await post.watch.look()
    assert post.cases() == [("filled_overdue", CODE)]


async def test_filled_by_a_foreign_filler(post: Post) -> None:
    await register(post)
    now = await at(post, "2026-04-10")
    await post.tell(scan(now, OWN), *visit(10, at=now, filler="gas-b"))
    (row,) = await again(post)
    assert (row["kind"], row["subject"], row["station"]) == ("foreign_filler", CODE, "gas-b")
    (alarm,) = await post.alarms()
    assert alarm.severity == "warning"


async def test_overfilled(post: Post) -> None:
    await register(post)
    now = await at(post, "2026-04-10")
    records = visit(10, at=now, after_kg=33.0)
    records[3] = replace(records[3], faults=["overfilled"])
    await post.tell(scan(now, OWN), *records)
    (row,) = await again(post)
    assert (row["kind"], row["subject"]) == ("overfilled", CODE)
    (alarm,) = await post.alarms()
    assert (alarm.severity, alarm.state) == ("critical", "unacknowledged")


async def test_a_good_filling_brings_nothing(post: Post) -> None:
    await register(post)
    now = await at(post, "2026-04-10")
    await post.tell(scan(now, OWN), *visit(10, at=now))
    await post.later(24 * 6)
    assert await again(post) == []


async def test_so_many_of_a_kind_and_station_a_day_are_alarms_the_rest_is_listed(
    post: Post,
) -> None:
    post.restart(alarms=replace(WATCH.alarms, a_day=2))
    now = await at(post, "2026-04-10")
    for number in range(5):
        await register(post, code_of(number), number=number)
        made = visit(10 + number * 10, at=now, filler="gas-b", asset=code_of(number))
        post.take([post.batch(*made)])
    await post.watch.look()
    assert [kind for kind, _ in post.cases()] == ["foreign_filler"] * 5
    assert len(await post.alarms()) == post.feed_items() == 2


# --- sightings -------------------------------------------------------------------------------


async def test_the_same_code_at_two_places_whichever_comes_first(post: Post) -> None:
    await register(post)
    now = await at(post, "2026-04-10")
    post.snapshot("gw-1", now, "gas-a")
    post.snapshot("gw-2", now, "gas-b")
    post.snapshot("gw-3", now, "gas-a")
    await post.tell(scan(now, OWN), gateway="gw-1")
    await post.tell(scan(now + 60_000, OWN), gateway="gw-3")
    assert post.cases() == []  # two gateways of one station
    await post.tell(scan(now - 19 * 60_000, OWN), gateway="gw-2")
    await post.tell(scan(now - 10 * 60_000, OWN), gateway="gw-2")
    rows = await again(post)
    assert [(row["kind"], row["key"]) for row in rows] == [("two_places", "2026-04-10")]
    assert len(await post.alarms()) == 1


async def test_two_places_with_a_drive_between_and_trucks_are_in_order(post: Post) -> None:
    await register(post)
    now = await at(post, "2026-04-10")
    await post.tell(scan(now, OWN), gateway="gw-1")
    await post.tell(scan(now + 60_000, OWN, step="dispatching"), gateway="truck-1")
    await post.tell(scan(now + 20 * 60_000, OWN), gateway="gw-2")
    assert await again(post) == []


@pytest.mark.parametrize(
    "told",
    [
        {"findings": ["bad_sun"]},
        {"verdict": Verdict("do_not_fill", ["clone_suspected", "overdue"], "r1")},
    ],
)
async def test_clone_suspected_by_a_signature_or_at_the_gate(post: Post, told: Any) -> None:
    await register(post)
    now = await at(post, "2026-04-10")
    await post.tell(scan(now, OWN, **told))
    await post.tell(scan(now + 60_000, OWN, **told))
    rows = await again(post)
    assert [(row["kind"], row["key"]) for row in rows] == [("clone_suspected", "2026-04-10")]
    assert [alarm.alert for alarm in await post.alarms()] == ["CylinderCloneSuspected"]


async def test_clone_suspected_by_a_counter_that_went_back_in_any_order(post: Post) -> None:
    tag = ("tag_uid", "04A1B2C3D4E5F6")
    await register(post, codes=(FurtherCode(*tag),))
    now = await at(post, "2026-04-10")
    readings = [
        (0, 5),
        (1, 6),
        (2, 7),
        (24, 4),
        (48, 9),
    ]  # hours, counter: a copy on the second day
    records = [
        scan(now + hours * HOUR_MS, tag, ("sun_counter", str(counter)))
        for hours, counter in readings
    ]
    random.Random(3).shuffle(records)
    for record in records:
        await post.tell(record)
    rows = await again(post)
    assert [(row["kind"], row["key"]) for row in rows] == [("clone_suspected", "2026-04-11")]


async def test_missing_after_it_left_until_it_is_read_again(post: Post) -> None:
    await register(post)
    now = await at(post, "2026-04-10")
    await post.tell(scan(now, OWN, step="dispatching"))
    await post.later(71)
    assert post.cases() == []
    await post.later(2)
    (row,) = await again(post)
    assert (row["kind"], row["subject"], row["day"]) == ("missing", CODE, "2026-04-10")
    assert not await post.alarms()
    await post.tell(scan(post.yard.clock.wall_ms(), OWN, step="receiving"))
    await post.later(1)
    assert post.cases() == []
    assert len(post.rows()) == 1


def seen_by_hand(post: Post, number: int, what: What, *, source: str = "service") -> None:
    """A handheld brings a record of now; a clock in doubt is `doubtful`."""
    now_ms, store = post.yard.clock.wall_ms(), "a" * 32
    told = {"number": number, "observed_at": now_ms, "known_at": 0, "person": "1" * 16}
    record = msgspec.convert({**told, "time_source": source, "what": what}, Record)
    row: dict[str, Any] = {**told, "store": store, "sha256": str(number), "account": 7}
    row |= {"organisation": "gas-a", "kind": "scan", "asset": "", "tag_uid": ""}
    row |= {"time_source": source, "received_at": now_ms, "carried_by": "device:1"}
    row |= {"outcome": "taken", "reason": "", "expected": "", "found": ""}
    del row["known_at"]
    body = {**row, "body": msgspec.json.encode(record)}
    post.yard.database.write_now(lambda c: c.execute(insert(handheld_record).values(body)))


async def test_a_handheld_that_reads_or_counts_it_ends_the_wait(post: Post) -> None:
    for number in range(3):
        await register(post, code_of(number), number=number)
    now = await at(post, "2026-04-10")
    codes = [code_of(number).partition(":")[2] for number in range(3)]
    left = [scan(now, ("cylinder", code), step="dispatching") for code in codes]
    await post.tell(*left)
    await post.later(73)
    assert len(post.cases()) == 3
    seen_by_hand(post, 1, HandScan(text="x", asset=code_of(0)), source="doubtful")
    unknown = (code_of(1), code_of(7), "elevator:1")
    seen_by_hand(post, 2, Count(place="A1", found=unknown, missing=(code_of(2),)))
    await post.later(1)
    assert post.cases() == [("missing", code_of(0)), ("missing", code_of(2))]
    seen_by_hand(post, 3, HandScan(text="x", asset=code_of(0)))
    await post.later(1)
    assert [row["subject"] for row in await again(post) if row["open"]] == [code_of(2)]


async def test_a_departure_that_is_told_days_later_and_one_whose_arrival_is_known(
    post: Post,
) -> None:
    await register(post)
    await register(post, code_of(1), number=1)
    now = await at(post, "2026-04-10")
    left, arrived = scan(now, OWN, step="dispatching"), scan(now + HOUR_MS, OWN, step="delivery")
    other = scan(now, ("cylinder", code_of(1).partition(":")[2]), step="dispatching")
    await post.later(100)
    await post.tell(left, arrived, other)
    await post.later(1)
    assert post.cases() == [("missing", code_of(1))]


# --- stations --------------------------------------------------------------------------------


async def test_a_station_with_an_old_snapshot_until_it_has_a_young_one(post: Post) -> None:
    now = await at(post, "2026-04-10")
    post.snapshot("gw-1", now - 20 * HOUR_MS)
    await post.later(1)
    assert post.cases() == []
    await post.later(4)
    (row,) = await again(post)
    assert (row["kind"], row["subject"], row["station"]) == (
        "snapshot_stale",
        "gateway:gw-1",
        "gas-a",
    )
    post.snapshot("gw-1", post.yard.clock.wall_ms())
    await post.later(1)
    assert post.cases() == []


async def test_more_fillings_than_scans(post: Post) -> None:
    await register(post)
    now = await at(post, "2026-04-10")
    await post.tell(scan(now - HOUR_MS, OWN), *visit(10, at=now))
    await post.tell(*visit(30, at=now + HOUR_MS, asset=""))
    await post.later(24)
    assert post.cases() == []  # scans may come for two days yet
    await post.later(40)
    (row,) = await again(post)
    assert (row["kind"], row["subject"], row["key"]) == (
        "fills_without_scans",
        "gateway:gw-1",
        "2026-04-10",
    )
    assert row["facts"] == '{"fills":2,"without":1}'


async def test_a_filling_that_is_told_after_its_day_was_counted(post: Post) -> None:
    await register(post)
    now = await at(post, "2026-04-10")
    late = post.batch(*visit(10, at=now))
    scans = post.batch(scan(now, OWN))
    await at(post, "2026-04-20")
    post.take([late])
    await post.watch.look()
    assert post.cases() == [("fills_without_scans", "gateway:gw-1")]
    post.take([scans])
    await post.later(1)
    assert post.cases() == []


# --- all of it -------------------------------------------------------------------------------


async def test_any_order_of_batches_with_replays_and_restarts_comes_to_the_same(yard: Yard) -> None:
    post, rng = Post(yard), random.Random(11)
    await register(post)
    await register(post, code_of(1), number=1, manufactured_on="2020-01", inspected_on="2021-05")
    now = await at(post, "2026-04-10")
    other = ("cylinder", code_of(1).partition(":")[2])
    over = visit(10, at=now + 1_000)
    over[3] = replace(over[3], faults=["overfilled"])
    batches = [
        post.batch(scan(now, OWN)),
        *(post.batch(one) for one in over),
        post.batch(scan(now + 5 * 60_000, OWN), gateway="gw-2"),
        *(post.batch(one) for one in visit(40, at=now, asset=code_of(1), filler="gas-b")),
        post.batch(scan(now, other, findings=["bad_sun"])),
        post.batch(scan(now + HOUR_MS, OWN, step="dispatching")),
    ]
    expected = {
        ("overdue", code_of(1)),
        ("overfilled", CODE),
        ("two_places", CODE),
        ("filled_overdue", code_of(1)),
        ("foreign_filler", code_of(1)),
        ("clone_suspected", code_of(1)),
        ("missing", CODE),
    }
    for _ in range(3):
        rng.shuffle(batches)
        for one in batches:
            post.take([one])
            await post.watch.look()
            if rng.random() < 0.3:
                post.restart()
    await post.later(24 * 5)
    await again(post)
    found = post.cases(ended=True)
    assert set(found) == expected
    assert len(found) == len(expected)
    assert post.alarm_rows() == 5
