"""Shelving, things out of service, latching and repetition, on a real database."""

import random
from typing import get_args

import pytest

from cloud.alarms.alarm_state import VERBS
from cloud.model.alarm import Alarm, Severity
from cloud.model.alarm_tables import alarm_raise
from cloud.model.transition import Change
from protocols.errors import RefuseInput
from tests.support.alarm_model import PlainAlarm
from tests.support.alarms import LIFT, Desk

MINUTE_MS = 60_000
PEOPLE = ("acknowledge", "reset", "shelve", "unshelve", "service")


def warn(desk: Desk, change: Change, *, asset: str = LIFT, latching: bool = False) -> None:
    """Let an alert of an ordinary severity change."""
    desk.tell(
        change,
        alert="CarDoorNotClosing",
        severity="warning",
        evidence=None,
        asset=asset,
        latching=latching,
    )


async def shelve(desk: Desk, alarm: Alarm, minutes: float = 30, reason: str = "known") -> Alarm:
    until_ms = desk.clock.wall_ms() + round(minutes * MINUTE_MS)
    return await desk.desk.shelve(alarm.id, until_ms=until_ms, reason=reason, by="Li (admin)")


async def test_shelved_says_who_why_and_until_when(desk: Desk) -> None:
    warn(desk, "fired")
    alarm = await shelve(desk, await desk.one())
    assert (alarm.state, alarm.shelved_by, alarm.shelve_reason) == (
        "shelved",
        "Li (admin)",
        "known",
    )
    assert alarm.shelve_ends_at == alarm.due_at == desk.clock.wall_ms() + 30 * MINUTE_MS
    item = (await desk.items())[-1]
    assert (item["change"], item["state"]) == ("shelved", "shelved")
    assert item["shelve_ends_at"].endswith("Z")


@pytest.mark.parametrize(("goes", "expected"), [(False, "unacknowledged"), (True, "normal")])
async def test_shelf_ends_by_itself_and_the_alarm_is_as_the_process_is(
    desk: Desk, goes: bool, expected: str
) -> None:
    warn(desk, "fired")
    alarm = await desk.desk.acknowledge((await desk.one()).id, by="Li")
    await shelve(desk, alarm)
    if goes:
        warn(desk, "resolved")
        assert (await desk.one()).state == "shelved"
    told = len(await desk.items())
    desk.clock.advance(30 * MINUTE_MS - 1001 if goes else 30 * MINUTE_MS - 1)
    assert await desk.desk.fire() == 0
    desk.clock.advance(1)
    assert await desk.desk.fire() == 1
    assert await desk.desk.fire() == 0
    after = await desk.one()
    assert (after.state, after.acknowledged_at is None, after.due_at) == (expected, not goes, None)
    assert after.shelve_reason is None
    assert [item["change"] for item in (await desk.items())[told:]] == ["unshelved"]


async def test_what_happens_below_a_hold_is_noted_and_not_told(desk: Desk) -> None:
    warn(desk, "fired")
    alarm = await shelve(desk, await desk.one())
    told = len(await desk.items())
    for change in ("resolved", "fired", "resolved", "fired", "suppressed"):
        warn(desk, change)
    assert len(await desk.items()) == told
    assert (await desk.desk.unshelve(alarm.id)).state == "suppressed_by_design"
    warn(desk, "unsuppressed")
    assert (await desk.one()).state == "unacknowledged"


async def test_shelving_has_its_limits(desk: Desk) -> None:
    warn(desk, "fired")
    alarm = await desk.one()
    for minutes, reason, word in ((481, "why", "bad_request"), (0, "why", "bad_request")):
        with pytest.raises(RefuseInput, match=word):
            await shelve(desk, alarm, minutes, reason)
    with pytest.raises(RefuseInput, match="reason: expected why"):
        await shelve(desk, alarm, 5, " ")
    for _ in range(3):
        await shelve(desk, alarm)
        with pytest.raises(RefuseInput, match=r"wrong_state|shelved_too_often"):
            await desk.desk.shelve(
                alarm.id, until_ms=desk.clock.wall_ms() + MINUTE_MS, reason="x", by="Li"
            )
        alarm = await desk.desk.unshelve(alarm.id)
    with pytest.raises(RefuseInput, match="shelved_too_often"):
        await shelve(desk, alarm)
    await desk.desk.acknowledge(alarm.id, by="Li")
    warn(desk, "resolved")  # normal again: the count begins anew
    warn(desk, "fired")
    (newest, _) = await desk.desk.find()
    assert (await shelve(desk, newest)).shelvings == 1


async def test_nothing_holds_an_emergency_back(desk: Desk) -> None:
    desk.tell("fired")
    alarm = await desk.one()
    with pytest.raises(RefuseInput, match="never_held"):
        await shelve(desk, alarm)
    await desk.desk.take_out_of_service(LIFT, reason="maintenance", by="Li")
    desk.tell("suppressed")
    assert (await desk.one()).state == "unacknowledged"
    desk.tell("fired", asset="elevator:L2")
    await desk.desk.take_out_of_service("elevator:L3", reason="maintenance", by="Li")
    desk.tell("fired", asset="elevator:L3")
    assert {one.state for one in await desk.desk.find()} == {"unacknowledged"}


async def test_alarm_whose_rule_became_an_emergency_breaks_its_hold(desk: Desk) -> None:
    desk.tell("fired", severity="warning")
    await shelve(desk, await desk.one())
    desk.tell("upgraded", severity="emergency", evidence="off_level")
    alarm = await desk.one()
    assert (alarm.state, alarm.severity, alarm.shelved_at) == ("unacknowledged", "emergency", None)


async def test_asset_out_of_service_asks_for_nobody_and_comes_back_as_it_is(desk: Desk) -> None:
    warn(desk, "fired")
    out = await desk.desk.take_out_of_service(
        LIFT, reason="yearly work", by="Li", return_expected_at=desk.clock.wall_ms() + 5
    )
    assert (out.reason, out.began_by) == ("yearly work", "Li")
    assert (await desk.one()).state == "out_of_service"
    desk.tell("fired", alert="FloorPositionLost", severity="warning", evidence=None)
    assert (await desk.one(states=["out_of_service"], before_id=99, limit=1)).alert
    warn(desk, "resolved")
    again = await desk.desk.take_out_of_service(LIFT, reason="longer", by="Wang")
    assert (again.reason, again.began_by, again.return_expected_at) == ("longer", "Li", None)
    assert [one.asset for one in await desk.desk.out_of_service()] == [LIFT]
    await desk.desk.return_to_service(LIFT, by="Wang")
    states = {one.alert: one.state for one in await desk.desk.find()}
    assert states == {"CarDoorNotClosing": "normal", "FloorPositionLost": "unacknowledged"}
    assert await desk.desk.out_of_service() == []
    with pytest.raises(RefuseInput, match="not_found"):
        await desk.desk.return_to_service(LIFT, by="Wang")


async def test_out_of_service_needs_a_reason_and_a_time_to_come(desk: Desk) -> None:
    with pytest.raises(RefuseInput, match="reason"):
        await desk.desk.take_out_of_service(LIFT, reason=" ", by="Li")
    with pytest.raises(RefuseInput, match="until"):
        await desk.desk.take_out_of_service(LIFT, reason="x", by="Li", return_expected_at=1)


async def test_latched_alarm_stands_until_it_is_reset(desk: Desk) -> None:
    warn(desk, "fired", latching=True)
    alarm = await desk.one()
    with pytest.raises(RefuseInput, match="wrong_state"):
        await desk.desk.reset(alarm.id)
    warn(desk, "resolved", latching=True)
    assert (await desk.one()).state == "latched_unacknowledged"
    assert (await desk.desk.acknowledge(alarm.id, by="Li")).state == "latched_acknowledged"
    warn(desk, "fired", latching=True)
    assert (await desk.one()).id == alarm.id
    warn(desk, "resolved", latching=True)
    assert (await desk.desk.reset(alarm.id)).state == "return_to_normal_unacknowledged"
    assert (await desk.desk.acknowledge(alarm.id, by="Li")).state == "normal"


async def test_emergency_is_told_again_until_somebody_acknowledges(desk: Desk) -> None:
    desk.tell("fired")
    desk.clock.advance(59_999)
    assert await desk.desk.fire() == 0
    for _ in range(2):
        desk.clock.advance(1)
        assert await desk.desk.fire() == 1
        assert await desk.desk.fire() == 0
        desk.clock.advance(59_999)
    desk.tell("resolved")  # the button was let go; nobody has answered
    desk.clock.advance(60_000)
    assert await desk.desk.fire() == 1
    alarm = await desk.one()
    assert (alarm.state, alarm.repeats) == ("return_to_normal_unacknowledged", 3)
    items = await desk.items()
    assert [item["change"] for item in items].count("repeated") == 3
    assert items[-1]["id"] == alarm.id
    await desk.desk.acknowledge(alarm.id, by="Li")
    desk.clock.advance(600_000)
    assert (await desk.desk.fire(), await desk.desk.next_due()) == (0, None)


async def test_after_a_standstill_it_is_told_again_once(desk: Desk) -> None:
    desk.tell("fired")
    desk.clock.advance(3_600_000 + 12_345)
    assert await desk.desk.fire() == 1
    assert await desk.desk.fire() == 0
    alarm = await desk.one()
    assert (alarm.repeats, alarm.due_at) == (1, desk.clock.wall_ms() + 60_000)


async def test_ordinary_alarm_is_told_once(desk: Desk) -> None:
    warn(desk, "fired")
    assert await desk.desk.next_due() is None


async def test_another_part_acknowledges_in_its_own_transaction(desk: Desk) -> None:
    desk.tell("fired")
    alarm = await desk.one()
    write = desk.database.write_now
    done = write(lambda c: desk.desk.acknowledge_in(c, alarm.id, "Li", "verified"))
    assert done is not None
    assert (done.state, done.note) == ("acknowledged", "verified")
    assert write(lambda c: desk.desk.acknowledge_in(c, alarm.id, "Li", "again")) is None
    assert write(lambda c: desk.desk.acknowledge_in(c, 99, "Li", "")) is None
    desk.feed.committed()  # the caller's own business
    assert [change for change, _ in await desk.states()] == ["fired", "acknowledged"]


async def test_each_asking_is_counted_with_its_answer(desk: Desk) -> None:
    desk.tell("fired")
    desk.tell("resolved")
    desk.tell("fired")
    desk.tell("upgraded")
    await desk.desk.acknowledge(1, by="Li")
    rows = desk.database.read_now(lambda c: c.execute(alarm_raise.select()).all())
    assert [(row.alarm, row.acknowledged_at) for row in rows] == [
        (1, desk.clock.wall_ms()),
        (1, desk.clock.wall_ms()),
    ]


async def walk(desk: Desk, steps: int, seed: int) -> None:
    """Compare the desk with the plain model at random, one lift after the other."""
    rng = random.Random(seed)
    changes: tuple[Change, ...] = get_args(Change)
    severity: Severity
    for number in range(steps):
        if number % 40 == 0:
            asset = f"elevator:S{seed}N{number}"
            severity = rng.choice(["emergency", "warning"])
            latching, out = severity == "warning" and rng.random() < 0.5, False
            plain = PlainAlarm(severity == "emergency", latching)
        found = await desk.desk.find(asset=asset, limit=1)
        alarm = found[0] if found and found[0].state != "normal" else None
        verb = rng.choice(
            [*VERBS.values(), "acknowledge", "reset", "shelve", "unshelve", "service"]
        )
        if verb in VERBS.values():
            change = next(one for one in changes if VERBS[one] == verb)
            desk.tell(change, asset=asset, severity=severity, latching=latching)
            plain.do(verb, out)
        elif verb == "service":
            out = not out
            if out:
                await desk.desk.take_out_of_service(asset, reason="x", by="Li")
            else:
                await desk.desk.return_to_service(asset, by="Li")
            plain.do("take_out_of_service" if out else "return_to_service", out)
        elif alarm is not None and not (verb == "shelve" and alarm.shelvings >= 3):
            meant = await _try(desk, verb, alarm)
            assert meant == plain.do(verb, out), (seed, number, verb, alarm.state)
        after = await desk.desk.find(asset=asset, limit=1)
        assert (after[0].state if after else "normal") == plain.word(), (seed, number, verb)


async def _try(desk: Desk, verb: str, alarm: Alarm) -> bool:
    try:
        match verb:
            case "acknowledge":
                await desk.desk.acknowledge(alarm.id, by="Li")
            case "reset":
                await desk.desk.reset(alarm.id)
            case "shelve":
                await shelve(desk, alarm, 5)
            case _:
                await desk.desk.unshelve(alarm.id)
    except RefuseInput:
        return False
    return True


async def test_desk_against_a_plain_model(desk: Desk) -> None:
    await walk(desk, 200, 7)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_desk_against_a_plain_model_for_long(desk: Desk) -> None:
    await walk(desk, 1_500, 8)
