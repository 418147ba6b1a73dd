"""Files of lifts of every sort, and what each call shows a caller of them."""

from collections.abc import Awaitable, Callable
from itertools import product

from cloud.model.granting import grant
from cloud.model.lift import LiftEntry
from protocols.lifts.base import PartyPart
from tests.support.cells import DISTRICTS, OWNERS, Caller, City, Thing, may_see
from tests.support.firms import ROOT
from tests.support.http_services import World

BASE, DAY = "/api/v1/lifts", "2020-01-01"
FAULT = {"kind": "fault", "on": DAY, "fields": {"what": "x"}}
PASSED = {
    "kind": "periodic_inspection",
    "on": DAY,
    "fields": {"result": "passed"},
    "signers": [{"role": "inspector", "name": "赵检"}],
}
STEP = {"kind": "registration", "on": DAY, "fields": {"certificate": "T1"}}
AGREED = {
    "kind": "confirmation",
    "on": DAY,
    "about": 99,
    "fields": {"agreed": True},
    "signers": [{"role": "safety_manager", "name": "李安"}],
}


def lifts() -> list[Thing]:
    """Return a lift of every district and owner."""
    sorts = product(DISTRICTS, OWNERS)
    return [Thing(500 + n, "elevator", one, owner) for n, (one, owner) in enumerate(sorts)]


async def settle_lifts(world: World) -> None:
    """Write their files."""
    granted = grant(ROOT, "lifts.write")
    for one in lifts():
        parties: dict[PartyPart, str] = {"owner": one.owner} if one.owner else {}
        entry = LiftEntry(district=one.district, rescue_code=f"{one.number:06}", parties=parties)
        await world.services.lifts.lifts.put(granted, one.asset, entry)


async def read(city: City, caller: Caller) -> set[int]:
    """List them, and look at each and at all that belongs to it."""
    answer = await city.get(caller, f"{BASE}?limit=1000")
    found = {int(one["code"]) for one in answer.json()} if answer.status_code == 200 else set()
    for path in ("", "/records", "/calendar", "/verify"):
        assert found == await each("GET", path, None, 200)(city, caller), path
    coded = set()
    for one in lifts():
        answer = await city.get(caller, f"{BASE}/by-code/{one.number:06}")
        coded |= {one.number} if answer.status_code == 200 else set()
    assert coded == found
    answer = await city.get(caller, "/api/v1/lift-calendar.ics")
    assert answer.status_code == (200 if found or may_ask(caller) else 403)
    return found


def may_ask(caller: Caller) -> bool:
    """Tell whether the caller may read lifts at all, though there is none for it."""
    return "lifts.read" in caller.principal().may


def each(method: str, path: str, body: object, *reached: int) -> Callable[..., Awaitable[set[int]]]:
    """Probe a call by naming every lift; `reached`: how it answers where it reaches."""

    async def probe(city: City, caller: Caller) -> set[int]:
        found = set()
        for one in lifts():
            code = one.asset.partition(":")[2]
            answer = await city.send(caller, method, f"{BASE}/{code}{path}", body)
            assert answer.status_code in (*reached, 403, 404), answer.text
            found |= {one.number} if answer.status_code in reached else set()
        return found

    return probe


def expected(call: str, caller: Caller) -> set[int]:
    """Tell by the table alone what a call reaches."""
    return {one.number for one in lifts() if may_see(call, caller, one)}


LIFT_PROBES: dict[str, Callable[[City, Caller], Awaitable[set[int]]]] = {
    "lifts.read": read,
    "lifts.write": each("POST", "/steps", STEP, 201),
    "lifts.record": each("POST", "/records", FAULT, 201),
    "lifts.inspect": each("POST", "/inspections", PASSED, 201),
    "lifts.confirm": each("POST", "/confirmations", AGREED, 409),
}
"""Entry 99 is none, so 409 tells that a confirmation came so far."""
