"""Test calls of the cars' alarm devices: seen, missing, and back."""

from collections.abc import Sequence

import pytest
from sqlalchemy import insert, select, update

from cloud.alarms.call_watch import APART_MS, NEVER, CallWatch, keep, mark, runs
from cloud.alarms.runner import AlarmDeadlines
from cloud.model.alarm_tables import test_call as calls
from cloud.model.alarm_terms import load_terms
from cloud.model.logged import LoggedBatch, Placing
from cloud.model.tables import asset
from protocols.records import Readings, encode_records
from tests.support.alarms import LIFT, Desk

DAY_MS = 86_400_000
TERMS = load_terms()


class Watch:
    """The watch beside a desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.watch = CallWatch(
            desk.database,
            desk.clock,
            TERMS,
            apply=desk.desk.apply,
            on_commit=desk.feed.committed,
        )

    def say(
        self,
        at: Sequence[int],
        codes: Sequence[str] = ("test_call",),
        *,
        name: str = LIFT,
        placing: Placing = "as_sent",
    ) -> None:
        """Let a lift's codes come in, as the follower of the log hands them over."""
        values = {"message_code": [list(codes) for _ in at]}
        record = Readings(asset=name, at=list(at), values=values)  # type: ignore[arg-type]
        batch = LoggedBatch(
            gateway="gw-1",
            spool="0" * 32,
            stream="alarm",
            seq=1,
            boot_id="boot",
            clock="synced" if placing == "as_sent" else "free",
            received_at=self.desk.clock.wall_ms(),
            placing=placing,
            records_raw=encode_records([record]),
        )
        assert mark(TERMS) in batch.records_raw or "test_call" not in codes
        self.desk.database.write_now(lambda c: keep(TERMS)(c, [batch]))

    async def alarms(self) -> list[tuple[str, str, str]]:
        """Look, and return (asset, alert, state) of all alarms."""
        await self.watch.look()
        return [(one.asset, one.alert, one.state) for one in await self.desk.desk.find()]

    def register(self, name: str, attributes: str) -> None:
        """Register a lift."""
        row = {
            "asset_id": name,
            "kind": "elevator",
            "name": "",
            "attributes": attributes,
            "gateways": "[]",
            "district": "",
            "category": "",
            "updated_at": 1,
        }
        self.desk.database.write_now(lambda c: c.execute(insert(asset).values(row)))

    def days(self, count: float) -> None:
        """Let days pass."""
        self.desk.clock.advance(round(count * DAY_MS))


@pytest.fixture
def watch(desk: Desk) -> Watch:
    return Watch(desk)


async def test_missing_after_three_days_and_over_with_the_next_call(watch: Watch) -> None:
    watch.say([watch.desk.clock.wall_ms()])
    watch.days(3 - 0.001)
    assert await watch.alarms() == []
    watch.days(0.002)
    assert await watch.alarms() == [(LIFT, "TestCallMissing", "unacknowledged")]
    assert await watch.alarms() == [(LIFT, "TestCallMissing", "unacknowledged")]
    alarm = await watch.desk.one()
    assert (alarm.severity, alarm.annotations["time_to_respond_s"]) == ("warning", "86400")
    watch.say([watch.desk.clock.wall_ms()])
    assert await watch.alarms() == [(LIFT, "TestCallMissing", "return_to_normal_unacknowledged")]
    assert len(await watch.desk.items()) == 2


async def test_other_codes_and_other_lifts_are_not_its_call(watch: Watch) -> None:
    now = watch.desk.clock.wall_ms()
    watch.say([now])
    watch.days(2)
    watch.say([now + 2 * DAY_MS], ["90", "02"])
    watch.say([now + 2 * DAY_MS], name="elevator:L2")
    watch.say([now + 2 * DAY_MS], name="gateway:gw-1")
    watch.days(1.1)
    assert await watch.alarms() == [(LIFT, "TestCallMissing", "unacknowledged")]


async def test_again_and_in_any_order_is_the_newest_call(watch: Watch) -> None:
    now = watch.desk.clock.wall_ms()
    for at in (now, now - DAY_MS, now, now - 2 * DAY_MS):
        watch.say([at])
    (row,) = watch.desk.database.read_now(lambda c: c.execute(select(calls)).all())
    assert (row.seen_at, row.due_at) == (now, now + 3 * DAY_MS)


async def test_code_that_stands_for_ever_is_one_call(watch: Watch) -> None:
    start = watch.desk.clock.wall_ms()
    for minute in range(0, 60 * 24, 4):
        watch.say([start + minute * 60_000])
        watch.desk.clock.advance(4 * 60_000)
    (row,) = watch.desk.database.read_now(lambda c: c.execute(select(calls)).all())
    assert row.seen_at == start


def test_moments_are_joined_to_calls() -> None:
    assert runs([]) == []
    assert runs([1, 1 + APART_MS, 3 + 2 * APART_MS]) == [(1, 1 + APART_MS), (3 + 2 * APART_MS,) * 2]


async def test_clock_that_runs_ahead_puts_nothing_off(watch: Watch) -> None:
    now = watch.desk.clock.wall_ms()
    watch.say([now + 30 * DAY_MS])
    watch.say([5], placing="unknown", name="elevator:L2")
    rows = watch.desk.database.read_now(lambda c: c.execute(select(calls)).all())
    assert {(row.asset, row.seen_at) for row in rows} == {(LIFT, now), ("elevator:L2", now)}


async def test_registered_lift_is_expected_to_call_from_now_on(watch: Watch) -> None:
    watch.register(LIFT, '{"floors":9,"test_calls":true}')
    watch.register("elevator:L2", '{"floors":9}')
    assert await watch.alarms() == []
    watch.days(3.1)
    assert await watch.alarms() == [(LIFT, "TestCallMissing", "unacknowledged")]
    said = update(asset).where(asset.c.asset_id == LIFT).values(attributes='{"test_calls":false}')
    watch.desk.database.write_now(lambda c: c.execute(said))
    watch.days(0.1)
    assert await watch.alarms() == [(LIFT, "TestCallMissing", "return_to_normal_unacknowledged")]
    (row,) = watch.desk.database.read_now(lambda c: c.execute(select(calls)).all())
    assert (row.due_at, row.missing) == (NEVER, False)
    said = update(asset).where(asset.c.asset_id == LIFT).values(attributes='{"test_calls":true}')
    watch.desk.database.write_now(lambda c: c.execute(said))
    watch.days(0.1)
    await watch.alarms()
    watch.days(3.1)
    assert await watch.alarms() == [(LIFT, "TestCallMissing", "unacknowledged")]


async def test_many_at_once_are_all_told(watch: Watch) -> None:
    now = watch.desk.clock.wall_ms()
    for number in range(450):
        watch.say([now], name=f"elevator:M{number}")
    watch.days(3.1)
    assert len(await watch.alarms()) == 100  # a page of the list
    assert len(await watch.desk.desk.find(limit=1000)) == 450


async def test_runner_does_all_that_fell_due_and_says_how_long_it_may_rest(watch: Watch) -> None:
    desk = watch.desk
    runner = AlarmDeadlines(desk.desk, desk.clock, watch.watch)
    assert await runner.look() == 0.4
    for number in range(5):
        desk.tell("fired", asset=f"elevator:R{number}")
    desk.clock.advance(59_900 - 4_000)
    assert 0 < await runner.look() <= 0.1
    desk.clock.advance(100)
    await runner.look()
    assert [change for change, _ in await desk.states()].count("repeated") == 1
    desk.clock.advance(60_000)
    await runner.look()
    assert [change for change, _ in await desk.states()].count("repeated") == 6
