"""Rescues at things of every sort, and what each call lets a caller see and do of them."""

from collections.abc import Awaitable, Callable

from cloud.model.granting import grant
from cloud.model.incident import Call
from tests.support.cells import Caller, City, may_see, reaches_all, things
from tests.support.firms import ROOT
from tests.support.http_services import World

BASE = "/api/v1/incidents"
ANSWERS = (200, 201, 403, 404)


async def settle_incidents(world: World) -> None:
    """Open a rescue at each thing, numbered as the things are, from 1 on."""
    for thing in things():
        call = Call(asset=thing.asset, caller_name="张三")
        await world.services.incidents.open_call(call, granted=grant(ROOT, "incidents.call"))


async def read(city: City, caller: Caller) -> set[int]:
    """List them, and look at each and at all that belongs to it."""
    answer = await city.get(caller, f"{BASE}?limit=1000&open=true")
    listed = answer.json()["incidents"] if answer.status_code == 200 else []
    found = {one["id"] - 1 for one in listed}
    for path in ("", "/record", "/units?level=2"):
        some = [thing.number for thing in things()][:: 1 if path == "" else 3]
        seen = set()
        for number in some:
            one = await city.get(caller, f"{BASE}/{number + 1}{path}")
            assert one.status_code in ANSWERS, one.text
            seen |= {number} if one.status_code == 200 else set()
        assert seen == found.intersection(some), path
    units = await city.get(caller, "/api/v1/rescue-units")
    assert units.status_code in (200, 403)
    return found


def each(path: str, body: dict[str, object]) -> Callable[[City, Caller], Awaitable[set[int]]]:
    """Probe a verb at every rescue."""

    async def probe(city: City, caller: Caller) -> set[int]:
        done = set()
        for thing in things():
            answer = await city.send(caller, "POST", f"{BASE}/{thing.number + 1}/{path}", body)
            assert answer.status_code in ANSWERS, answer.text
            done |= {thing.number} if answer.status_code == 200 else set()
        return done

    return probe


async def call(city: City, caller: Caller) -> set[int]:
    """Take a call down for every thing; those of the office see those of no known lift, too."""
    taken = set()
    for thing in things():
        body = {"asset": thing.asset}
        answer = await city.send(caller, "POST", "/api/v1/calls", body)
        assert answer.status_code in ANSWERS, answer.text
        taken |= {thing.number} if answer.status_code == 201 else set()
    listed = await city.get(caller, "/api/v1/calls?limit=1000")
    kept = listed.json()["calls"] if listed.status_code == 200 else []
    assert {int(one["asset"].partition(":")[2]) for one in kept} == taken
    return taken


async def write_units(city: City, caller: Caller) -> set[int]:
    """Register a unit of the whole city."""
    body = {"name": "站", "level": 2}
    answer = await city.send(caller, "PUT", "/api/v1/rescue-units/station-1", body)
    assert answer.status_code in ANSWERS, answer.text
    return {thing.number for thing in things()} if answer.status_code == 200 else set()


def expected_of(call_id: str, caller: Caller) -> set[int]:
    """Tell by the table alone what a call reaches."""
    if call_id == "rescue_units.write":
        return {thing.number for thing in things()} if reaches_all(call_id, caller) else set()
    return {thing.number for thing in things() if may_see(call_id, caller, thing)}


INCIDENT_PROBES: dict[str, Callable[[City, Caller], Awaitable[set[int]]]] = {
    "incidents.read": read,
    "incidents.call": call,
    "incidents.act": each("tell", {"to": "owner"}),
    "incidents.answer": each("note", {"note": "钥匙在门卫处"}),
    "rescue_units.write": write_units,
}
