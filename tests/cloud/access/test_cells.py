"""The table role x call x reach, every cell of it, against the served application."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIWebSocketRoute

from cloud.api.guard import calls_of, guarded_routes
from cloud.model.granting import OPEN
from cloud.model.permissions import load_calls
from protocols.clock import ManualClock
from tests.support.account_cells import ACCOUNT_PROBES
from tests.support.alarm_cells import ALARM_PROBES
from tests.support.cells import (
    Caller,
    City,
    Probe,
    Thing,
    callers,
    may_see,
    open_city,
    reaches_all,
    things,
)
from tests.support.cylinder_cells import CYLINDER_PROBES
from tests.support.handheld_cells import HANDHELD_PROBES
from tests.support.http_services import open_world
from tests.support.incident_cells import INCIDENT_PROBES
from tests.support.lift_cells import LIFT_PROBES
from tests.support.organisation_cells import ORGANISATION_PROBES
from tests.support.platform_cells import PLATFORM_PROBES
from tests.support.trace_cells import TRACE_PROBES

CALLERS = list(callers())
GRANTED, REFUSED = (200, 201, 202), (403, 404)


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    world = await open_world(tmp_path, clock=ManualClock(), pages=False)
    async with open_city(world) as city:
        yield city
    world.database.close()


async def _each(city: City, caller: Caller, path: str) -> set[int]:
    """Ask for every thing by its own path."""
    seen = set()
    for thing in things():
        answer = await city.get(caller, path.format(asset=thing.asset, gateway=thing.gateway))
        assert answer.status_code in (*GRANTED, *REFUSED)
        seen |= {thing.number} if answer.status_code in GRANTED else set()
    return seen


def _listed(answer: httpx.Response, key: str) -> list[str]:
    if answer.status_code == 403:
        return []
    assert answer.status_code == 200
    items = answer.json()
    return [item[key] for item in (items if isinstance(items, list) else items["items"])]


async def read_assets(city: City, caller: Caller) -> set[int]:
    seen = await _each(city, caller, "/api/v1/assets/{asset}")
    assert seen == await _each(city, caller, "/api/v1/assets/{asset}/latest")
    return seen


async def read_readings(city: City, caller: Caller) -> set[int]:
    return await _each(city, caller, "/api/v1/assets/{asset}/readings?from=0&to=1")


async def write_assets(city: City, caller: Caller) -> set[int]:
    changed = set()
    for thing in things():
        answer = await city.send(caller, "PUT", f"/api/v1/assets/{thing.asset}", thing.body)
        assert answer.status_code in (*GRANTED, *REFUSED), answer.text
        changed |= {thing.number} if answer.status_code in GRANTED else set()
    return changed


async def write_links(city: City, caller: Caller) -> set[int]:
    put = set()
    for thing in things():
        anchor = f"/id/{thing.asset.replace(':', '/')}"
        answer = await city.send(caller, "PUT", "/api/v1/links", {"anchor": anchor, "links": []})
        assert answer.status_code in (*GRANTED, *REFUSED), answer.text
        put |= {thing.number} if answer.status_code in GRANTED else set()
    return put


async def read_alarms(city: City, caller: Caller) -> set[int]:
    answer = await city.get(caller, "/api/v1/alarms?limit=1000")
    return _numbers(city, _listed(answer, "asset"))


async def acknowledge(city: City, caller: Caller) -> set[int]:
    done = set()
    for alarm, thing in city.alarms.items():
        path = f"/api/v1/alarms/{alarm}/acknowledge"
        answer = await city.send(caller, "POST", path, {})
        assert answer.status_code in (200, 409, *REFUSED)
        done |= {thing.number} if answer.status_code in (200, 409) else set()
    return done


async def read_feed(city: City, caller: Caller) -> set[int]:
    answer = await city.get(caller, "/api/v1/feed?after=0")
    if answer.status_code == 403:
        return set()
    items = [json.loads(line[6:]) for line in answer.text.splitlines() if line[:6] == "data: "]
    return _numbers(city, [item["asset"] for item in items if "asset" in item])


async def read_scans(city: City, caller: Caller) -> set[int]:
    answer = await city.get(caller, "/api/v1/scans?limit=1000")
    return {int(gateway[3:]) for gateway in _listed(answer, "gateway")}


async def read_gateways(city: City, caller: Caller) -> set[int]:
    listed = {
        int(one[3:]) for one in _listed(await city.get(caller, "/api/v1/gateways"), "gateway_id")
    }
    assert listed == await _each(city, caller, "/api/v1/gateways/{gateway}")
    return listed


async def read_audit(city: City, caller: Caller) -> set[int]:
    subjects = {f"asset:{thing.asset}": thing.number for thing in things()}
    administrator = Caller("administrator")
    if not set(subjects) <= set(await _audited(city, administrator)):
        for alarm in city.alarms:  # each makes an entry about its asset
            path = f"/api/v1/alarms/{alarm}/acknowledge"
            await city.send(administrator, "POST", path, {})
    return {subjects[one] for one in await _audited(city, caller) if one in subjects}


async def _audited(city: City, caller: Caller) -> list[str]:
    return _listed(await city.get(caller, "/api/v1/audit?limit=1000"), "subject")


def whole(*paths: str) -> Probe:
    """Probe calls that answer for the whole city or not at all."""

    async def probe(city: City, caller: Caller) -> set[int]:
        granted = set()
        for path in paths:
            answer = await city.get(caller, path)
            assert answer.status_code in (200, 403, 404), answer.text
            granted.add(answer.status_code != 403)
        assert len(granted) == 1
        return {thing.number for thing in things()} if granted == {True} else set()

    return probe


def _numbers(city: City, assets: list[str]) -> set[int]:
    by_asset = {thing.asset: thing.number for thing in city.alarms.values()}
    return {by_asset[asset] for asset in assets}


PROBES: dict[str, Probe] = {
    "assets.read": read_assets,
    "assets.write": write_assets,
    "links.write": write_links,
    "prefixes.write": whole("/api/v1/prefixes"),
    "readings.read": read_readings,
    "alarms.read": read_alarms,
    "alarms.acknowledge": acknowledge,
    **ALARM_PROBES,
    "feed.read": read_feed,
    "scans.read": read_scans,
    "gateways.read": read_gateways,
    "gateways.command": whole("/api/v1/gateways/gw-0001/commands"),
    "gateways.configure": whole(
        "/api/v1/gateways/gw-0001/config", "/api/v1/releases", "/api/v1/rollouts"
    ),
    "gateways.admit": whole("/api/v1/refusals", "/api/v1/gateways/gw-0001/identity"),
    "metrics.read": whole("/metrics"),
    "audit.read": read_audit,
    "rules_of_data.read": whole("/api/v1/data-rules"),
}
WHOLE = {"gateways.command", "gateways.configure", "gateways.admit", "metrics.read"}
WHOLE |= {"rules_of_data.read", "prefixes.write"}


def expected(call: str, caller: Caller) -> set[int]:
    """Return what the table alone says."""
    if call in WHOLE:
        return {thing.number for thing in things()} if reaches_all(call, caller) else set()
    return {thing.number for thing in things() if _open(call, caller, thing)}


def _open(call: str, caller: Caller, thing: Thing) -> bool:
    of_gateway = call in ("scans.read", "gateways.read")
    if of_gateway and not thing.registered:  # nobody registered names its gateway
        return reaches_all(call, caller)
    if call == "assets.write":  # what was only heard of may be registered where one may write
        thing = replace(thing, registered=True)
    return may_see(call, caller, thing)


@pytest.mark.parametrize("call", sorted(PROBES))
async def test_every_cell_is_open_or_shut_as_the_table_says(city: City, call: str) -> None:
    for caller in CALLERS:
        shown = await PROBES[call](city, caller)
        assert shown == expected(call, caller), (call, caller.token)


async def test_links_on_a_gs1_key_are_for_whoever_has_its_prefix(city: City) -> None:
    prefix, body = "/api/v1/prefixes/6901234", {"organisation": "firm-a"}
    assert (await city.send(Caller("administrator"), "PUT", prefix, body)).status_code == 200
    links = {"anchor": "/01/06901234567892/10/L1", "links": []}
    for caller in CALLERS:
        expected = 200 if caller.role in ("enterprise_manager", "enterprise_clerk") else 403
        expected = 200 if caller.role == "administrator" else expected
        answer = await city.send(caller, "PUT", "/api/v1/links", links)
        assert answer.status_code == expected, caller.token
    stranger = Caller("enterprise_manager", "firm-b")
    assert (await city.send(stranger, "PUT", "/api/v1/links", links)).status_code in (401, 403)
    links["anchor"] = "/01/06920000000005"
    own = Caller("enterprise_manager", "firm-a")
    assert (await city.send(own, "PUT", "/api/v1/links", links)).status_code == 403


async def test_every_call_that_is_served_has_a_probe_here(city: City) -> None:
    served: set[str] = set()
    for route in guarded_routes(city.app.routes):
        served |= calls_of(route)
    probed = {*PROBES, *ORGANISATION_PROBES, *ACCOUNT_PROBES, *TRACE_PROBES}
    probed |= {*CYLINDER_PROBES, "permits.write", "notices.write"}
    probed |= {*HANDHELD_PROBES, *INCIDENT_PROBES, *LIFT_PROBES, *PLATFORM_PROBES}
    probed |= {"receivers.read", "receivers.write"}  # test_receiver_cells.py
    assert served - {OPEN} == probed
    assert probed <= set(load_calls())


async def test_nobody_is_refused_everywhere_but_at_what_is_open(city: City) -> None:
    for route in guarded_routes(city.app.routes):
        if OPEN in calls_of(route) or isinstance(route, APIWebSocketRoute):
            continue  # WebSockets: tests/cloud/api/epcis/test_live.py
        for method in route.methods or ():
            path = route.path.replace("{", "").replace("}", "")
            for headers in ({}, {"Authorization": "Bearer nobody"}):
                answer = await city.client.request(method, path, headers=headers)
                assert answer.status_code == 401, (method, path)
