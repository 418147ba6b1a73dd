"""A filling hall on real stacks: good bottles are filled, bad ones are not, and nothing is lost."""

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from protocols.records import Fill
from simulators.filling_hall import load_story
from simulators.hall import Hall
from simulators.hall_story import Expect, Story, Visit
from simulators.processes import Family, module_command, module_environment
from tests.campaigns.hall_ledger import faults_of
from tests.support.filling_halls import Issuer
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_cloud import MqttCloud

pytestmark = pytest.mark.end_to_end


def small(story: Story) -> Story:
    """Return two places that need no library of readers, with four visits each at most."""
    first, _, third = story.places
    wanted = {"overdue", "tag-heavier", "good-b", "beyond-life", "scrap"}
    visits = [one for one in story.visits if one.bottle in wanted and one.place != "gun-2"]
    filled = [
        Visit(place=first.id, bottle="good", heel_kg=11.5, expect=Expect(outcome="filled")),
        Visit(place=third.id, bottle="good-d", heel_kg=11.5, expect=Expect(outcome="filled")),
    ]
    return replace(story, places=(first, replace(third, reader="uhf")), visits=(*filled, *visits))


async def test_a_power_cut_between_verdict_and_gas_loses_nothing_and_nothing_wrong_is_filled(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    story, state = small(load_story()), tmp_path / "state"
    state.mkdir()
    Issuer(story, tmp_path / "cloud").give(state)
    hall, family, site = Hall(story, tmp_path), Family(tmp_path), tmp_path / "site.toml"
    site.write_text(hall.site(f"mqtt://127.0.0.1:{mosquitto.port}"))
    command = module_command("edge", "run", "--site", str(site), "--state", str(state))
    cloud = MqttCloud(mosquitto.port, story.gateway)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(family.stop)
        await cloud.start()
        stack.push_async_callback(cloud.stop)
        await hall.open(stack)
        gateway = family.start("gateway", command, module_environment())
        working = asyncio.create_task(hall.work())
        while not any(hall.panel.gate(name).get("show") == "fill" for name in hall.places):
            assert not working.done(), working.result()
            await asyncio.sleep(0.005)
        family.end(gateway, kill=True)
        gateway = family.start("gateway", command, module_environment())
        results = await working
        family.end(gateway)
        family.start("gateway", command, module_environment())  # sends what the end left
        await cloud.until(lambda: not faults_of(fills(cloud)), timeout_s=20)
    assert [one.fault for one in results if one.fault] == []
    assert Counter(one.outcome for one in results)["filled"] == 2
    assert sum(one.interrupted for one in results) >= 1
    steps = Counter(one.step for one in fills(cloud))
    assert 1 <= steps["interrupted"] <= 2, "one place or both"
    assert steps["without_verdict"] == 1
    assert {one.asset for one in fills(cloud) if one.step == "released"} == {
        "cylinder:23102299920240001",
        "cylinder:23102299920240004",
    }


def fills(cloud: MqttCloud) -> list[Fill]:
    return [one for one in cloud.records() if isinstance(one, Fill)]
