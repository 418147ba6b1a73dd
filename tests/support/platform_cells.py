"""Platforms of several organisations, and what each call shows a caller of them."""

from tests.support.cells import Caller, City
from tests.support.organisation_cells import FIRMS
from tests.support.platforms import BASE, status

SEND = "lift_platform.send"


def name_of(firm: str) -> str:
    """Return the id of a firm's platform."""
    return f"of-{firm}"


async def settle_platforms(city: City) -> None:
    """Register one for each firm."""
    for firm in FIRMS:
        body = {
            "id": name_of(firm),
            "name": firm,
            "dialect": "gbt24476",
            "dialect_version": "2017",
            "organisation": firm,
        }
        answer = await city.send(Caller("administrator"), "POST", BASE, body)
        assert answer.status_code == 201, answer.text


async def read_platforms(city: City, caller: Caller) -> set[str]:
    """List them, and look at each."""
    answer = await city.get(caller, BASE)
    listed = {one["organisation"] for one in answer.json()} if answer.status_code == 200 else set()
    one_by_one = set()
    for firm in FIRMS:
        answer = await city.get(caller, f"{BASE}/{name_of(firm)}")
        assert answer.status_code in (200, 403, 404)
        one_by_one |= {firm} if answer.status_code == 200 else set()
    assert one_by_one == listed
    for path in ("/api/v1/dialects", "/api/v1/dialects/unknown"):
        answer = await city.get(caller, path)
        assert (answer.status_code == 200) == (await _may(city, caller)), path
    return listed


async def _may(city: City, caller: Caller) -> bool:
    return (await city.get(caller, BASE)).status_code == 200


async def write_platforms(city: City, caller: Caller) -> set[str]:
    """Change each."""
    found = set()
    for firm in FIRMS:
        answer = await city.send(caller, "PATCH", f"{BASE}/{name_of(firm)}", {"name": firm})
        assert answer.status_code in (200, 403, 404), answer.text
        found |= {firm} if answer.status_code == 200 else set()
    return found


async def send_items(city: City, caller: Caller) -> set[str]:
    """Send as each: no role may, only a platform's own token."""
    found = set()
    for firm in FIRMS:
        body = {"items": [status(0)]}
        answer = await city.send(caller, "POST", f"{BASE}/{name_of(firm)}/status", body)
        found |= {firm} if answer.status_code == 200 else set()
    return found


PLATFORM_PROBES = {
    "platforms.read": read_platforms,
    "platforms.write": write_platforms,
    SEND: send_items,
}


__all__ = ["PLATFORM_PROBES", "name_of", "settle_platforms"]
