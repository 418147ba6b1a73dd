"""Several at once: two acts, two alarms and a call, two runners; and a district's power cut."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from cloud.model.database import Database
from cloud.model.incident import WantedIncidents
from cloud.model.incident_tables import incident, incident_deadline, incident_entry
from cloud.model.transition import Transition
from tests.support.rescues import LIFT, Centre, open_centre, operator, worker

DESK, FIRM = operator(), worker("firm-a")


@pytest.fixture
async def other(centre: Centre) -> AsyncIterator[Centre]:
    """Another process at the same database, as far as one test can have two."""
    other = await open_centre(Database(centre.database.url, name="state"), centre.clock)
    yield other
    other.database.close()


async def test_two_alarms_and_calls_at_once_are_one_rescue(centre: Centre, other: Centre) -> None:
    await asyncio.gather(
        *(one.alarm(evidence=str(n)) for n in range(3) for one in (centre, other)),
        *(one.call(rescue_code="100001") for _ in range(3) for one in (centre, other)),
    )
    assert len(centre.rows(incident)) == 1
    words = Counter(row.what for row in centre.rows(incident_entry))
    assert words["opened"] == 1
    assert 6 <= words["joined"] <= 11


async def test_two_acts_at_once_are_one_after_the_other(centre: Centre, other: Centre) -> None:
    one = await centre.opened()
    await centre.act(one, "dispatch", DESK)
    accepts = [desk.act(one, "accept", FIRM) for desk in (centre, other) for _ in range(5)]
    cancels = [desk.act(one, "cancel", DESK, note="x") for desk in (centre, other)]
    done = await asyncio.gather(*accepts, *cancels, return_exceptions=True)
    assert [one for one in done if not isinstance(one, Exception)]
    record = await centre.record(one)
    words = [entry.what for entry in record]
    assert words.count("cancel") == 1
    assert words.count("accept") <= 1
    assert words[-1] == "cancel"
    assert (await centre.desk.get(one.id)).version == 1 + len(words)


async def test_two_runners_fire_each_deadline_once(centre: Centre, other: Centre) -> None:
    for number in range(30):
        await centre.call(asset=f"elevator:{number}")
    centre.clock.advance(61_000)
    await asyncio.gather(*(one.runner.look() for one in (centre, other) for _ in range(3)))
    words = Counter(row.what for row in centre.rows(incident_entry))
    assert (words["due_acknowledge"], words["opened"]) == (30, 30)
    fired = [row for row in centre.rows(incident_deadline) if row.fired_at is not None]
    assert len(fired) == 30


async def test_a_districts_power_cut_opens_rescues_for_the_trapped_alone(centre: Centre) -> None:
    """2,000 lifts tell that they have no power; in 40 of them somebody is trapped."""
    now_ms = centre.clock.wall_ms()
    transitions = []
    for number in range(2_000):
        asset = f"elevator:{number:04d}"
        told = {"asset": asset, "change": "fired", "at": now_ms, "observed_at": now_ms}
        trapped = number % 50 == 7
        for alert, severity in (("PowerLost", "warning"), ("Entrapment", "emergency")):
            if trapped or alert == "PowerLost":
                transitions.append(Transition(alert=alert, severity=severity, **told))  # type: ignore[arg-type]
    for start in range(0, len(transitions), 200):
        some = transitions[start : start + 200]
        await centre.database.write(lambda c, t=some: centre.alarms.apply(c, t))  # type: ignore[misc]
    started = time.perf_counter()
    found = await centre.desk.find(WantedIncidents(open=True, urgent=True, limit=100))
    took_s = time.perf_counter() - started
    assert len(found) == 40
    assert {one.alert for one in found} == {"Entrapment"}
    assert [json.loads(item)["change"] for item in centre.feed] == ["opened"] * 40
    assert took_s < 5  # how fast it is, is the benchmark's
    await centre.act(found[0], "verify", DESK)
    assert found[0].asset != LIFT
