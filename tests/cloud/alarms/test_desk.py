"""The alarm desk on a real database."""

import pytest
from sqlalchemy import Connection, insert
from sqlalchemy.exc import IntegrityError

from cloud.alarms.rows import to_row
from cloud.model import tables
from cloud.model.alarm import Alarm
from cloud.model.transition import Transition
from protocols.clock import iso
from protocols.errors import RefuseInput
from tests.support.alarms import LIFT, Desk


async def test_fired_alert_becomes_an_alarm_and_a_feed_item(desk: Desk) -> None:
    desk.tell("fired", values={"message_code": ["90"], "car_position": 7, "speed": 0.5})
    (alarm,) = await desk.desk.find()
    assert (alarm.state, alarm.evidence, alarm.severity) == (
        "unacknowledged",
        "alarm_button",
        "emergency",
    )
    assert alarm.values == {"message_code": ["90"], "car_position": 7, "speed": 0.5}
    assert await desk.desk.get(alarm.id) == alarm
    (item,) = await desk.items()
    assert item["id"] == alarm.id
    assert item["raised_at"] == iso(alarm.raised_at)
    assert item["observed_at"] == iso(alarm.observed_at)
    assert (item["alert"], item["asset"], item["late"]) == ("Entrapment", LIFT, False)
    assert item["values"] == alarm.values
    assert item["summary_zh"] == "困人"
    (row,) = await desk.feed.read(0)
    assert (row.event, "\n" in row.data) == ("alarm", False)


async def test_acknowledged_then_resolved_closes(desk: Desk) -> None:
    desk.tell("fired")
    (alarm,) = await desk.desk.find()
    acknowledged = await desk.desk.acknowledge(alarm.id, by="Li", note="on the way")
    assert (acknowledged.state, acknowledged.acknowledged_by) == ("acknowledged", "Li")
    assert (acknowledged.note, desk.woken) == ("on the way", 1)
    desk.tell("resolved")
    (closed,) = await desk.desk.find()
    assert (closed.state, closed.id) == ("normal", alarm.id)
    assert closed.returned_at is not None
    assert closed.note == "on the way"
    assert await desk.states() == [
        ("fired", "unacknowledged"),
        ("acknowledged", "acknowledged"),
        ("resolved", "normal"),
    ]
    desk.tell("fired")
    assert len(await desk.desk.find()) == 2


async def test_resolved_first_waits_for_the_acknowledgement(desk: Desk) -> None:
    desk.tell("fired")
    desk.tell("resolved")
    (alarm,) = await desk.desk.find()
    assert alarm.state == "return_to_normal_unacknowledged"
    closed = await desk.desk.acknowledge(alarm.id, by="Li")
    assert closed.state == "normal"


async def test_fires_again_before_acknowledgement_is_the_same_alarm(desk: Desk) -> None:
    desk.tell("fired")
    (first,) = await desk.desk.find()
    desk.tell("resolved")
    desk.tell("fired", evidence="at_level")
    (again,) = await desk.desk.find()
    assert (again.id, again.state, again.evidence) == (first.id, "unacknowledged", "at_level")
    assert again.returned_at is None
    assert again.raised_at > first.raised_at


async def test_stronger_proof_upgrades_the_same_alarm(desk: Desk) -> None:
    desk.tell("fired")
    (first,) = await desk.desk.find()
    desk.tell("upgraded", evidence="at_level")
    await desk.desk.acknowledge(first.id, by="Li")
    desk.tell("upgraded", evidence="off_level", values={"door_zone": False})
    (alarm,) = await desk.desk.find()
    assert (alarm.id, alarm.state, alarm.evidence) == (first.id, "acknowledged", "off_level")
    assert alarm.values == {"door_zone": False}
    assert alarm.raised_at == first.raised_at
    items = await desk.items()
    assert [one["evidence"] for one in items] == [
        "alarm_button",
        "at_level",
        "at_level",
        "off_level",
    ]


async def test_suppressed_by_design_and_back(desk: Desk) -> None:
    desk.tell("fired", alert="GatewayOffline", severity="critical", evidence=None)
    desk.tell("suppressed", alert="GatewayOffline", severity="critical", evidence=None)
    (alarm,) = await desk.desk.find(states=["suppressed_by_design"])
    with pytest.raises(RefuseInput, match="not_acknowledgeable"):
        await desk.desk.acknowledge(alarm.id, by="Li")
    desk.tell("unsuppressed", alert="GatewayOffline", severity="critical", evidence=None)
    assert [one.id for one in await desk.desk.find(states=["unacknowledged"])] == [alarm.id]


async def test_changes_that_mean_nothing_leave_no_trace(desk: Desk) -> None:
    desk.tell("resolved")
    desk.tell("suppressed")
    assert await desk.desk.find() == []
    desk.tell("fired")
    desk.tell("fired")
    assert await desk.states() == [("fired", "unacknowledged")]


async def test_acknowledge_refuses_what_is_not_there_or_done(desk: Desk) -> None:
    with pytest.raises(RefuseInput, match="not_found"):
        await desk.desk.acknowledge(99, by="Li")
    desk.tell("fired")
    await desk.desk.acknowledge(1, by="L" * 200, note="n" * 5000)
    with pytest.raises(RefuseInput, match="not_acknowledgeable"):
        await desk.desk.acknowledge(1, by="Wang")
    alarm = await desk.desk.get(1)
    assert alarm is not None
    assert (len(alarm.acknowledged_by or ""), len(alarm.note or "")) == (64, 2000)
    assert len(await desk.items()) == 2


async def test_find_filters_and_pages(desk: Desk) -> None:
    for index in range(5):
        desk.tell("fired", asset=f"elevator:N{index}")
    desk.tell("resolved", asset="elevator:N1")
    assert [one.id for one in await desk.desk.find(limit=2)] == [5, 4]
    assert [one.id for one in await desk.desk.find(limit=2, before_id=4)] == [3, 2]
    assert [one.id for one in await desk.desk.find(asset="elevator:N1")] == [2]
    found = await desk.desk.find(states=["unacknowledged"], before_id=4)
    assert [one.id for one in found] == [3, 1]
    assert await desk.desk.find(states=[]) == []
    assert await desk.desk.get(77) is None


def test_database_itself_refuses_a_second_open_alarm(desk: Desk) -> None:
    desk.tell("fired")
    alarm = Alarm(
        id=0,
        alert="Entrapment",
        asset=LIFT,
        severity="emergency",
        state="unacknowledged",
        raised_at=1,
        observed_at=1,
        changed_at=1,
    )

    def add(connection: Connection) -> None:
        connection.execute(insert(tables.alarm).values(**to_row(alarm)))

    with pytest.raises(IntegrityError):
        desk.database.write_now(add)


async def test_alarm_and_feed_item_are_one_transaction(desk: Desk) -> None:
    transition = Transition(
        asset=LIFT,
        alert="Entrapment",
        severity="emergency",
        change="fired",
        at=1,
        observed_at=1,
    )

    def fail(connection: Connection) -> None:
        desk.desk.apply(connection, [transition])
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        desk.database.write_now(fail)
    assert await desk.desk.find() == []
    assert await desk.items() == []
