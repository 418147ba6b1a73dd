"""Cylinders of every sort, and what each call shows a caller of them."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from itertools import product

from cloud.cylinders.watch.cases import Raised, raise_cases
from cloud.model.granting import grant
from protocols.cylinders.watch import Entry
from tests.support.cells import DISTRICTS, OWNERS, Caller, City, Thing, may_see
from tests.support.cylinders import file_of
from tests.support.firms import ROOT
from tests.support.http_services import World
from tests.support.organisation_cells import ALL, FIRMS, may_reach

BASE, WHY = "/api/v1/cylinders", {"reason": "so it is"}
REPORT = {"inspected_on": "2020-01-01", "result": "passed"}
SCRAP = {**WHY, "how": "crushed", "on": "2020-01-01", "by": "王五"}
PERMIT = {"items": ["lpg"], "valid_from": "2024-01-01", "valid_until": "2028-01-01"}


def cylinders() -> list[Thing]:
    """Return a cylinder of every district and filler."""
    sorts = product(DISTRICTS, OWNERS)
    return [Thing(n, "cylinder", district, filler) for n, (district, filler) in enumerate(sorts)]


async def settle_cylinders(world: World) -> None:
    """Register them."""
    granted = grant(ROOT, "cylinders.write")
    for one in cylinders():
        file = file_of(one.number, filler=one.owner)
        desk = world.services.cylinders.cylinders
        await desk.register(granted, one.asset, file, one.district or None)
    entry = Entry("overfilled", "1", date(2026, 1, 1))
    cases = [Raised(one.asset, entry) for one in cylinders()]
    world.database.write_now(lambda c: raise_cases(c, cases, 1))


async def read(city: City, caller: Caller) -> set[int]:
    """List them, and look at each and at all that belongs to it."""
    answer = await city.get(caller, BASE)
    found = {int(one["code"]) for one in answer.json()} if answer.status_code == 200 else set()
    for path in ("", "/history", "/inspections", "/fills"):
        assert found == await each("GET", path, None, 200)(city, caller), path
    answer = await city.get(caller, "/api/v1/cylinder-cases")
    listed = answer.json() if answer.status_code == 200 else []
    assert found == {int(one["subject"].partition(":")[2]) for one in listed}
    return found


def each(method: str, path: str, body: object, *reached: int) -> Callable[..., Awaitable[set[int]]]:
    """Probe a call by naming every cylinder; `reached`: how it answers where it reaches."""

    async def probe(city: City, caller: Caller) -> set[int]:
        found = set()
        for one in cylinders():
            code = one.asset.partition(":")[2]
            answer = await city.send(caller, method, f"{BASE}/{code}{path}", body)
            told = "no block" in answer.text  # of a cylinder that the caller may see
            assert told or answer.status_code in (*reached, 403, 404), answer.text
            found |= {one.number} if told or answer.status_code in reached else set()
        return found

    return probe


async def permits(city: City, caller: Caller) -> set[str]:
    """Give every organisation a permit to fill."""
    found = set()
    for name in ALL:
        answer = await city.send(caller, "PUT", f"/api/v1/permits/filling/{name}/TS-1", PERMIT)
        assert answer.status_code in (200, 403, 404), answer.text
        found |= {name} if answer.status_code == 200 else set()
    return found


async def closed(city: City, caller: Caller) -> set[int]:
    """Close the case of every cylinder; they are numbered from 1 on."""
    found = set()
    for one in cylinders():
        path = f"/api/v1/cylinder-cases/{one.number + 1}/close"
        answer = await city.send(caller, "POST", path, {"note": "done"})
        assert answer.status_code in (200, 403, 404, 409), answer.text
        found |= {one.number} if answer.status_code in (200, 409) else set()
    return found


async def told(city: City, caller: Caller) -> set[str]:
    """Ask to be told, see whose addresses one sees, and ask no more."""
    body = {"channel": "mail", "address": "who@city.test"}
    made = await city.send(caller, "POST", "/api/v1/cylinder-notices", body)
    assert made.status_code in (201, 403), made.text
    if made.status_code == 403:
        return set()
    seen = (await city.get(caller, "/api/v1/cylinder-notices")).json()
    path = f"/api/v1/cylinder-notices/{made.json()['id']}"
    assert (await city.send(caller, "DELETE", path, None)).status_code == 204
    return {one["organisation"] for one in seen}


def expected(call: str, caller: Caller) -> set[int]:
    """Tell by the table alone what a call reaches; cylinders are of the lifts' category."""
    return {
        one.number for one in cylinders() if may_see(call, caller, replace(one, kind="elevator"))
    }


def expected_permits(caller: Caller) -> set[str]:
    """Tell by the table alone whose permits one writes."""
    return may_reach("permits.write", caller) & set(FIRMS)


CYLINDER_PROBES: dict[str, Callable[[City, Caller], Awaitable[set[int]]]] = {
    "cylinders.read": read,
    "cylinders.write": each("POST", "/take-out", WHY, 200, 409),
    "cylinders.report": each("POST", "/lose", WHY, 200, 409),
    "cylinders.inspect": each("POST", "/inspections", REPORT, 400),
    "cylinders.block": each("POST", "/block", WHY, 200, 409),
    "cylinders.resolve": each("POST", "/blocks/999/lift", WHY),
    "cylinders.scrap": each("POST", "/scrap", SCRAP, 200, 409),
}
"""No organisation of these callers inspects, so 400 tells that a call came so far."""
