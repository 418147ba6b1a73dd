"""Receivers: everybody who may have some sees those of the own organisation, and no others."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud.model.granting import grant
from cloud.model.receiver import ReceiverBody
from protocols.clock import ManualClock
from tests.support.cells import Caller, City, callers, open_city
from tests.support.firms import ROOT
from tests.support.http_services import open_world
from tests.support.organisation_cells import may_reach, settle

PATH = "/api/v1/receivers"
BODY = {"name": "n", "kind": "webhook", "address": "https://p.example.com/"}


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    world = await open_world(tmp_path, clock=ManualClock(), pages=False)
    async with open_city(world) as city:
        await settle(world)
        body = ReceiverBody(
            name="of the platform", kind="webhook", address="https://p.example.com/"
        )
        await world.services.receivers.add(grant(ROOT, "receivers.write"), body)
        yield city
    world.database.close()


async def test_each_sees_and_changes_what_is_of_the_own_organisation(city: City) -> None:
    for caller in callers():
        made = await city.send(caller, "POST", PATH, BODY)
        own = may_reach("receivers.write", caller) & {caller.organisation}
        assert (made.status_code == 201) == bool(own), (caller.token, made.text)
        if made.status_code != 201:
            assert made.status_code == 403
            assert (await city.get(caller, PATH)).status_code == 403
            assert (await city.get(caller, f"{PATH}/1")).status_code == 403
            continue
        seen = {one["organisation"] for one in (await city.get(caller, PATH)).json()}
        everything = caller.role == "administrator"
        assert seen == ({"platform", "firm-a"} if everything else {"firm-a"}), caller.token
        assert (await city.get(caller, f"{PATH}/1")).status_code == (200 if everything else 404)
        for method, step in (("PUT", ""), ("POST", "/pause"), ("POST", "/test"), ("DELETE", "")):
            if not everything:
                answer = await city.send(caller, method, f"{PATH}/1{step}", BODY)
                assert answer.status_code == 404, (caller.token, method, step)
        path = f"{PATH}/{made.json()['id']}"
        assert (await city.send(caller, "DELETE", path, None)).status_code == 204


async def test_another_firm_has_another_list(city: City) -> None:
    mine = Caller("enterprise_manager", "firm-a")
    made = await city.send(mine, "POST", PATH, BODY)
    other = Caller("enterprise_manager", "firm-b")
    assert (await city.send(other, "GET", PATH, None)).status_code in (200, 401)
    for path in (f"{PATH}/{made.json()['id']}",):
        assert (await city.send(other, "GET", path, None)).status_code in (401, 404)
