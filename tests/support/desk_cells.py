"""Links and shift notes, and what the desk's calls let a caller see and do of them."""

from tests.support.cells import Caller, City, may_see, things

BASE = "/api/v1/incidents"
ANSWERS = (200, 201, 204, 403, 404)


async def links(city: City, caller: Caller) -> set[int]:
    """Make a link for the rescue at each thing, list it and revoke it."""
    made = set()
    for thing in things():
        path = f"{BASE}/{thing.number + 1}/links"
        answer = await city.send(caller, "POST", path, {"kind": "progress"})
        assert answer.status_code in ANSWERS, (answer.status_code, answer.text)
        if answer.status_code != 201:
            continue
        listed = await city.get(caller, path)
        number = answer.json()["id"]
        assert number in [one["id"] for one in listed.json()["links"]]
        assert (await city.send(caller, "DELETE", f"{path}/{number}", None)).status_code == 204
        made.add(thing.number)
    return made


async def handovers(city: City, caller: Caller) -> set[str]:
    """Hand a shift over; returns whose hand-overs one sees then."""
    answer = await city.send(caller, "POST", "/api/v1/handovers", {"to": "赵六"})
    assert answer.status_code in (201, 403), answer.text
    listed = await city.get(caller, "/api/v1/handovers")
    assert (listed.status_code == 200) == (answer.status_code == 201)
    if answer.status_code != 201:
        return set()
    one = await city.get(caller, f"/api/v1/handovers/{answer.json()['id']}")
    assert one.status_code == 200
    return {found["organisation"] for found in listed.json()["handovers"]}


def expected_links(caller: Caller) -> set[int]:
    """Tell by the table alone at which rescues one makes links."""
    return {thing.number for thing in things() if may_see("incidents.act", caller, thing)}
