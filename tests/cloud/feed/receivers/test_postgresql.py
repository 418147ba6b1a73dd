"""What is done to the rows of receivers, once through on PostgreSQL."""

import pytest

from cloud.feed.receivers import rows
from cloud.feed.receivers.base import Outcome
from cloud.feed.receivers.stopped import stop
from cloud.model.receiver import ReceiverBody
from tests.cloud.feed.receivers.conftest import WEBHOOK, Stage
from tests.support.postgres import Postgres
from tests.support.retention import DAY_MS, carry_out


@pytest.fixture
def database_url(postgres: Postgres) -> str:
    return postgres.new_database()


async def test_life_of_receivers_on_postgresql(stage: Stage) -> None:
    await stage.add()
    await stage.add(ReceiverBody(name="am", kind="alertmanager", address="https://p.example.com"))
    for number in range(1, 4):
        await stage.write.warning(number)
    emergency = await stage.write.alarm(4)
    serving = await stage.courier()
    stage.sender.outcomes = [Outcome(ok=False, detail="answered with status 500")]
    await stage.serve(serving)
    assert stage.offsets() == [1, emergency, 2, 3], "it takes something: it is back"
    assert (await stage.shown()).health.delivered == 4
    await stage.serve(await stage.courier(2))
    again = await stage.courier(2)
    assert set(stage.sender.opens()) == {f"alarm:{one}" for one in range(1, 5)}
    await stage.write.alarm(4, change="resolved", state="normal")
    await stage.serve(again)
    assert len(stage.sender.opens()) == 3
    await stage.book.pause(stage.granted, 1)
    assert set(stage.database.read_now(rows.versions)) == {2}
    await stage.book.resume(stage.granted, 1, skip=True)
    await stage.book.rotate(stage.granted, 1)
    one = await stage.book.change(stage.granted, 1, WEBHOOK)
    version = stage.database.read_now(rows.versions)[1]
    await stage.database.write(
        lambda c: stop(c, one=one, version=version, why="gone", apply=stage.apply, now_ms=1)
    )
    assert (await stage.shown()).state == "stopped"
    assert (await stage.book.test(stage.granted, 1)).ok
    await stage.book.remove(stage.granted, 1)
    assert [one.change for one in stage.raised][-2:] == ["fired", "resolved"]
    for number in range(5, 8):
        await stage.write.warning(number)
    stage.clock.advance(91 * DAY_MS)
    last = await stage.write.warning(9)
    await carry_out(stage.database, stage.clock, after={"feed": stage.feed.load})
    await stage.serve(await stage.courier(2))
    assert stage.offsets() == [last]
    assert (await stage.shown(2)).health.gap_items == 3
