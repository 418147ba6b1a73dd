"""One receiver served: what it gets, in which order, and what becomes of failures."""

import msgspec
import pytest

from cloud.feed.receivers import courier as courier_file
from cloud.feed.receivers import lane
from cloud.feed.receivers.base import Outcome
from cloud.model.principal import NOTHING, Scope
from cloud.model.receiver import ReceiverBody, ReceiverOptions
from tests.cloud.feed.receivers.conftest import Stage
from tests.support.feed_items import LIFT
from tests.support.retention import DAY_MS, carry_out

DOWN = Outcome(ok=False, detail="answered with status 500")
NEVER = Outcome(ok=False, detail="answered with status 422", of_item=True)
HOUR_MS = 3_600_000


async def test_emergencies_go_first_then_the_rest_each_in_order(stage: Stage) -> None:
    await stage.add()
    for number in range(1, 6):
        await stage.write.warning(number)
    await stage.write.alarm(6)
    await stage.write.incident(1)
    await stage.serve(await stage.courier())
    assert stage.offsets() == [6, 7, 1, 2, 3, 4, 5]
    health = (await stage.shown()).health
    assert (health.delivered, health.waiting, health.attempts) == (7, 0, 0)
    assert health.last_success_at == stage.clock.wall_ms()


async def test_nothing_is_sent_twice_and_a_kill_repeats_only_what_was_not_written(
    stage: Stage,
) -> None:
    await stage.add()
    for number in range(1, 4):
        await stage.write.alarm(number)
    await stage.serve(await stage.courier())
    await stage.serve(await stage.courier())
    assert stage.offsets() == []
    await stage.write.alarm(4)
    killed = await stage.courier()
    await killed.step()  # sent, but the process ends before this is written
    assert stage.offsets() == [4]
    await stage.serve(await stage.courier())
    assert stage.offsets() == [4]


async def test_receiver_begins_with_what_comes_or_where_it_was_asked_to(stage: Stage) -> None:
    for number in range(1, 4):
        await stage.write.warning(number)
    await stage.add()
    await stage.add(after=1)
    await stage.write.warning(4)
    await stage.serve(await stage.courier(1))
    assert stage.offsets() == [4]
    await stage.serve(await stage.courier(2))
    assert stage.offsets() == [2, 3, 4]


async def test_failure_is_tried_again_by_the_schedule_and_written_down(stage: Stage) -> None:
    await stage.add()
    await stage.write.warning()
    serving = await stage.courier()
    stage.sender.outcomes = [DOWN] * 3
    waits = []
    for _ in range(3):
        wait_s = await stage.serve(serving)
        assert wait_s is not None
        waits.append(wait_s)
        stage.clock.advance(round(wait_s * 1_000))
    for found, told in zip(waits, stage.terms.pauses_s, strict=False):
        assert told * 0.8 <= found <= told * 1.2
    health = (await stage.shown()).health
    assert (health.attempts, health.waiting) == (3, 1)
    assert health.last_error == "answered with status 500"
    assert health.oldest_at is not None
    again = await stage.courier()  # a restart keeps the schedule
    assert await stage.serve(again) is None
    assert stage.offsets() == [1]
    assert (await stage.shown()).health.attempts == 0


async def test_an_emergency_does_not_wait_behind_a_backlog_that_waits(stage: Stage) -> None:
    await stage.add()
    for number in range(1, 20):
        await stage.write.warning(number)
    serving = await stage.courier()
    stage.sender.outcomes = [DOWN] * 3
    for _ in range(3):
        wait_s = await stage.serve(serving)
        stage.clock.advance(round((wait_s or 0) * 1_000))
    stage.sender.outcomes = [DOWN]
    assert (await stage.serve(serving) or 0) > 3_600  # the rest waits for hours
    emergency = await stage.write.alarm(20)
    await stage.serve(serving)
    assert stage.offsets()[0] == emergency
    assert len(stage.offsets()) == 20, "it is back, so the rest goes, too"


async def test_an_emergency_that_fails_is_tried_each_minute_at_least(stage: Stage) -> None:
    await stage.add()
    await stage.write.alarm()
    serving = await stage.courier()
    stage.sender.outcomes = [DOWN] * 200
    for _ in range(100):
        wait_s = await stage.serve(serving)
        assert wait_s is not None
        assert wait_s <= 72
        stage.clock.advance(round(wait_s * 1_000))


async def test_retry_after_is_kept_within_bounds(stage: Stage) -> None:
    await stage.add()
    await stage.write.warning()
    serving = await stage.courier()
    for told, kept in ((7, 7), (10 * 86_400, 3_600)):
        stage.sender.outcomes = [msgspec.structs.replace(DOWN, retry_after_s=told)]
        assert await stage.serve(serving) == kept
        stage.clock.advance(kept * 1_000)


async def test_gone_stops_at_once_and_days_of_failures_in_the_end(stage: Stage) -> None:
    await stage.add()
    await stage.write.warning()
    serving = await stage.courier()
    stage.sender.outcomes = [Outcome(ok=False, gone=True)]
    await stage.serve(serving)
    assert serving.stopped == "gone"
    patient = await stage.courier()
    stage.sender.outcomes = [DOWN] * 100
    began_ms = stage.clock.wall_ms()
    while patient.stopped is None:
        wait_s = await stage.serve(patient)
        stage.clock.advance(round((wait_s or 0) * 1_000))
    assert patient.stopped == "failed"
    assert stage.clock.wall_ms() - began_ms >= stage.terms.give_up_s * 1_000
    assert len(stage.sender.tried) >= len(stage.terms.pauses_s)


async def test_owner_who_may_read_no_more_stops_it(stage: Stage) -> None:
    await stage.add()
    serving, stage.scope = await stage.courier(), NOTHING
    await serving.step()
    assert serving.stopped == "owner"


async def test_item_that_is_refused_holds_up_only_its_own_thing(stage: Stage) -> None:
    await stage.add()
    for number, change in ((1, "fired"), (1, "resolved"), (2, "fired"), (3, "fired")):
        await stage.write.alarm(number, change=change)
    serving = await stage.courier()
    stage.sender.outcomes = [NEVER]
    await serving.step()
    stage.sender.outcomes = []
    await serving.step()
    await serving.step()
    assert stage.offsets() == [3, 4], "neither waits for the refused one, nor does it overtake"
    await stage.serve(serving)
    assert stage.offsets() == [3, 4, 1, 2]


async def test_item_that_is_refused_for_days_is_left_out_with_a_word(stage: Stage) -> None:
    await stage.add()
    await stage.write.warning(1)
    serving, number = await stage.courier(), 1
    stage.sender.refused = {1}
    while (wait_s := await stage.serve(serving)) is not None:
        stage.clock.advance(round(wait_s * 1_000))
        if number < 3:
            number += 1
            await stage.write.warning(number)
    assert serving.stopped is None
    assert (await stage.shown()).health.gap_items == 1
    assert stage.offsets() == [2, 3]
    assert len(stage.sender.tried) < 20


async def test_items_gone_from_the_feed_are_a_gap_that_is_told(stage: Stage) -> None:
    await stage.add()
    for number in range(1, 6):
        await stage.write.warning(number)
    stage.clock.advance(91 * DAY_MS)
    last = await stage.write.warning(6)
    await carry_out(stage.database, stage.clock, after={"feed": stage.feed.load})
    await stage.serve(await stage.courier())
    assert stage.offsets() == [last]
    health = (await stage.shown()).health
    assert (health.gap_items, health.gap_at) == (5, stage.clock.wall_ms())
    await stage.serve(await stage.courier())
    assert (await stage.shown()).health.gap_items == 5, "told once"


async def test_filter_and_scope_decide_what_is_sent(stage: Stage) -> None:
    await stage.wants(
        events=("alarm",), severities=("emergency", "warning"), alerts=("Entrapment",)
    )
    first = await stage.write.alarm(1)
    await stage.write.alarm(2, severity="critical")
    await stage.write.warning(3)
    await stage.write.incident(1)
    await stage.write.alarm(4, drill=True)
    await stage.serve(await stage.courier())
    assert stage.offsets() == [first]
    stage.scope = Scope(organisations=frozenset({"firm-a"}))
    await stage.write.alarm(5)
    await stage.serve(await stage.courier())
    assert stage.offsets() == [], "nobody of firm-a is a party of that lift"
    assert (await stage.shown()).health.waiting == 0


async def test_what_cannot_be_read_stops_nothing(stage: Stage) -> None:
    await stage.add()
    await stage.write.append("alarm", "{}")
    last = await stage.write.alarm(2)
    await stage.serve(await stage.courier())
    assert stage.offsets() == [last]


async def test_backlog_is_held_in_bounded_pieces_and_all_is_sent(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "WAITING_MAX", 4)
    monkeypatch.setattr(courier_file, "PAGE", 3)
    await stage.add()
    for number in range(1, 30):
        await stage.write.warning(number)
    serving = await stage.courier()
    stage.sender.outcomes = [DOWN]
    await stage.serve(serving)
    health = (await stage.shown()).health
    assert health.waiting_more
    assert 0 < health.waiting < 10
    stage.clock.advance(HOUR_MS)
    await stage.serve(serving)
    assert stage.offsets() == list(range(1, 30))


async def test_what_is_open_is_kept_and_told_again(stage: Stage) -> None:
    stage.prepare = lambda sender: setattr(sender, "keep_s", 60.0)
    address = "https://p.example.com"
    await stage.add(ReceiverBody(name="am", kind="alertmanager", address=address))
    await stage.write.alarm(1)
    await stage.write.alarm(2)
    await stage.write.alarm(2, change="resolved", state="return_to_normal_unacknowledged")
    serving = await stage.courier()
    await stage.serve(serving)
    assert stage.sender.kept == 1
    assert await stage.serve(serving) == 60
    stage.clock.advance(60_000)
    await stage.serve(serving)
    assert stage.sender.kept == 2
    again = await stage.courier()  # a restart knows what is open
    await stage.serve(again)
    assert stage.sender.kept == 1
    assert list(stage.sender.opens()) == ["alarm:1"]
    await stage.write.alarm(1, change="resolved", state="normal")
    assert await stage.serve(again) is None
    assert not stage.sender.opens()
    await stage.courier()
    assert not stage.sender.opens()


async def test_mail_beyond_the_hours_number_is_one_mail_and_emergencies_do_not_count(
    stage: Stage,
) -> None:
    stage.prepare = lambda sender: setattr(sender, "batch", True)
    body = ReceiverBody(
        name="m", kind="mail", address="a@b.test", options=ReceiverOptions(mails_an_hour=2)
    )
    await stage.add(body)
    serving = await stage.courier()
    for number in range(1, 3):
        await stage.write.warning(number)
        await stage.serve(serving)
    for number in range(3, 13):
        await stage.write.warning(number)
    emergency = await stage.write.alarm(13)
    wait_s = await stage.serve(serving)
    assert wait_s == 3_600
    assert [len(one) for one in stage.sender.sent] == [1, 1, 1]
    assert stage.offsets()[-1] == emergency
    stage.clock.advance(HOUR_MS)
    await stage.serve(serving)
    assert [len(one) for one in stage.sender.sent] == [1, 1, 1, 10]
    assert stage.sender.sent[0][0].about.asset == LIFT
