"""An alarm stands whatever becomes of its rescue, and is followed again when it is repeated."""

import logging

import pytest
from sqlalchemy import Connection

from cloud.alarms.desk import AlarmDesk
from cloud.model.alarm import Alarm
from cloud.model.incident_tables import incident, incident_entry
from cloud.roles.rescue import guarded
from tests.support.rescues import LIFT, Centre, operator


async def test_a_fault_of_rescues_keeps_no_alarm_back(
    centre: Centre, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = guarded(centre.desk)
    centre.alarms = AlarmDesk(
        database=centre.database,
        clock=centre.clock,
        append_feed=lambda _c, _event, _data: 1,
        on_commit=lambda: None,
        follow=follow,
    )

    def fail(_connection: Connection, *_rest: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch, caplog.at_level(logging.CRITICAL):
        patch.setattr(centre.desk._book, "save", fail)
        await centre.alarm()
    (alarm,) = await centre.alarms.find(asset=LIFT)
    assert alarm.alert == "Entrapment"
    assert centre.rows(incident) == centre.rows(incident_entry) == []

    def again(change: str, one: Alarm = alarm) -> None:
        centre.database.write_now(lambda c: follow(c, one, change))

    again("repeated")
    (found,) = await centre.open()
    assert found.alarm == alarm.id
    again("repeated")
    await centre.act(found, "false_alarm", operator(), note="误触")
    again("repeated")
    assert len(centre.rows(incident)) == 1
