"""Receivers as people keep them."""

import json

import msgspec
import pytest
from sqlalchemy import select

from cloud.feed.receivers import book, keys, rows
from cloud.feed.receivers.stopped import stop
from cloud.model.receiver import FeedFilter, ReceiverBody, ReceiverOptions
from cloud.model.receiver_tables import receiver, receiver_lane
from protocols.errors import RefuseInput
from tests.cloud.feed.receivers.conftest import WEBHOOK, Stage

MQTT = ReceiverBody(name="p", kind="mqtt")


async def test_secret_is_told_once_and_sealed_where_it_lies(stage: Stage) -> None:
    made = await stage.add()
    assert made.secret.startswith("whsec_")
    stored = stage.database.read_now(lambda c: c.execute(select(receiver)).mappings().one())
    assert json.loads(stored["secrets"])[0]["sealed"] == f"sealed {made.secret}"
    assert made.secret not in str(await stage.shown())
    signed = await stage.add(options=ReceiverOptions(signing="ed25519"))
    assert signed.secret.startswith("whsk_")
    assert signed.receiver.public_keys[0].startswith("whpk_")


async def test_rotation_lets_both_sign_for_a_day(stage: Stage) -> None:
    first = (await stage.add()).secret
    second = (await stage.book.rotate(stage.granted, 1)).secret
    courier = await stage.courier()
    assert list(stage.sender.to.secrets) == [second, first]
    stage.clock.advance(keys.OVERLAP_MS)
    await stage.courier()
    assert list(stage.sender.to.secrets) == [second]
    assert (await stage.shown()).secrets == 1
    for _ in range(5):
        await stage.book.rotate(stage.granted, 1)
    assert (await stage.shown()).secrets == keys.SECRETS_MAX
    await courier.close()


@pytest.mark.parametrize(
    ("body", "about"),
    [
        (msgspec.structs.replace(WEBHOOK, address=""), "address"),
        (msgspec.structs.replace(WEBHOOK, address="https://127.0.0.1/"), "that leads to"),
        (msgspec.structs.replace(WEBHOOK, address="https://10.1.2.3/hook"), "that leads to"),
        (msgspec.structs.replace(WEBHOOK, address="https://169.254.169.254/"), "that leads to"),
        (msgspec.structs.replace(WEBHOOK, password="x"), "password"),
        (msgspec.structs.replace(WEBHOOK, kind="mail", address="nobody"), "address"),
        (msgspec.structs.replace(MQTT, address="http://a.example.com"), "address"),
        (msgspec.structs.replace(MQTT, address="mqtt://u:p@a.example.com"), "address"),
        (msgspec.structs.replace(MQTT, address="mqtt://a.example.com/topic"), "address"),
    ],
)
async def test_what_does_not_fit_is_refused(stage: Stage, body: ReceiverBody, about: str) -> None:
    with pytest.raises(RefuseInput, match=about):
        await stage.book.add(stage.granted, body)


async def test_number_of_receivers_is_bounded(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "RECEIVERS_MAX", 2)
    await stage.add()
    await stage.add()
    with pytest.raises(RefuseInput, match="at most 2"):
        await stage.add()


async def test_change_keeps_where_it_stands_and_sends_no_password_elsewhere(stage: Stage) -> None:
    cap = ReceiverBody(name="c", kind="cap", address="https://p.example.com/1", password="secret")
    await stage.add(cap)
    await stage.write.warning()
    same = msgspec.structs.replace(cap, name="other", password=None)
    changed = await stage.book.change(stage.granted, 1, same)
    assert changed.name == "other"
    await stage.courier()
    assert stage.sender.to.password == "secret"
    moved = msgspec.structs.replace(same, address="https://p.example.com/2")
    await stage.book.change(stage.granted, 1, moved)
    await stage.serve(await stage.courier())
    assert stage.sender.to.password == ""
    assert stage.offsets() == [1]
    for body in (WEBHOOK, msgspec.structs.replace(same, after=0)):
        with pytest.raises(RefuseInput, match="bad_request"):
            await stage.book.change(stage.granted, 1, body)


async def test_what_a_courier_did_before_a_change_does_not_move_it_back(stage: Stage) -> None:
    await stage.add()
    for number in range(1, 4):
        await stage.write.warning(number)
    serving = await stage.courier()
    await serving.step()
    await stage.book.resume(stage.granted, 1, skip=True)
    await stage.flush(serving)
    lanes = stage.database.read_now(
        lambda c: c.execute(select(receiver_lane.c.offset)).scalars().all()
    )
    assert lanes == [3, 3]


async def test_pause_and_resume(stage: Stage) -> None:
    await stage.add()
    await stage.book.pause(stage.granted, 1)
    await stage.write.warning(1)
    assert stage.database.read_now(lambda c: rows.load(c, 1)) is None
    assert stage.database.read_now(rows.versions) == {}
    with pytest.raises(RefuseInput, match="wrong_state"):
        await stage.book.pause(stage.granted, 1)
    await stage.book.resume(stage.granted, 1, skip=False)
    await stage.serve(await stage.courier())
    assert stage.offsets() == [1]
    with pytest.raises(RefuseInput, match="wrong_state"):
        await stage.book.resume(stage.granted, 1, skip=False)


async def test_skip_begins_anew_and_says_what_was_left_out(stage: Stage) -> None:
    await stage.add()
    await stage.book.pause(stage.granted, 1)
    for number in range(1, 4):
        await stage.write.warning(number)
    shown = await stage.book.resume(stage.granted, 1, skip=True)
    assert shown.health.gap_items == 3
    await stage.write.warning(4)
    await stage.serve(await stage.courier())
    assert stage.offsets() == [4]


async def test_stopped_ones_have_one_alarm_until_all_are_seen_to(stage: Stage) -> None:
    await stage.add(name="one")
    await stage.add(name="two")
    for receiver_id in (1, 2):
        one, now_ms = await stage.shown(receiver_id), stage.clock.wall_ms()
        stage.database.write_now(
            lambda c, one=one, now_ms=now_ms: stop(  # type: ignore[misc]
                c, one=one, version=1, why="gone", apply=stage.apply, now_ms=now_ms
            )
        )
    assert [(one.asset, one.alert, one.change) for one in stage.raised] == [
        ("service:cloud", "ReceiverStopped", "fired"),
        ("service:cloud", "ReceiverStopped", "upgraded"),
    ]
    assert "one (gone)" in str(stage.raised[-1].values["receivers"])
    assert {"cause", "consequence", "response_zh"} <= stage.raised[0].annotations.keys()
    shown = await stage.shown()
    assert (shown.state, shown.why) == ("stopped", "gone")
    await stage.book.resume(stage.granted, 1, skip=False)
    assert len(stage.raised) == 2
    await stage.book.remove(stage.granted, 2)
    assert stage.raised[-1].change == "resolved"


async def test_a_stop_that_came_too_late_stops_nothing(stage: Stage) -> None:
    await stage.add()
    one = await stage.shown()
    await stage.book.change(stage.granted, 1, msgspec.structs.replace(WEBHOOK, name="new"))
    stage.database.write_now(
        lambda c: stop(c, one=one, version=1, why="gone", apply=stage.apply, now_ms=1)
    )
    assert (await stage.shown()).state == "active"
    assert stage.raised == []


async def test_test_is_sent_at_most_every_ten_seconds(stage: Stage) -> None:
    await stage.add()
    assert (await stage.book.test(stage.granted, 1)).ok
    assert stage.sender.closed
    with pytest.raises(RefuseInput, match="wrong_state"):
        await stage.book.test(stage.granted, 1)
    stage.clock.advance(book.TEST_EACH_MS)
    assert (await stage.book.test(stage.granted, 1)).ok
    with pytest.raises(RefuseInput, match="not_found"):
        await stage.book.test(stage.granted, 2)


async def test_nothing_is_left_of_one_that_was_removed(stage: Stage) -> None:
    await stage.wants(severities=("emergency",))
    await stage.book.remove(stage.granted, 1)
    assert await stage.book.find(stage.granted) == []
    lanes = stage.database.read_now(lambda c: c.execute(select(receiver_lane)).all())
    assert lanes == []
    assert (await stage.add(filter=FeedFilter(drills=True))).receiver.id == 2, "ids name topics"
