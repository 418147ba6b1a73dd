"""Organisations of every sort, and what each call shows a caller of them."""

from collections.abc import Awaitable, Callable

from cloud.model.organisation import Details
from cloud.organisations.kinds import authorities
from tests.support.cells import Caller, City, reaches_all, table
from tests.support.firms import credit_code, put
from tests.support.http_services import World

BASE = "/api/v1/organisations"
FIRMS = {
    "firm-a": (("chuanying",), ("special_equipment",)),
    "firm-b": (("longtan",), ("special_equipment", "food")),
    "firm-c": (("chuanying", "longtan"), ("food",)),
    "firm-d": (("chuanying",), ("drugs",)),
    "firm-e": (("elsewhere",), ("farm_produce",)),
}
OFFICES = {"office-a": ("chuanying",), "office-b": ("longtan",)}
ALL = {"platform", *FIRMS, *OFFICES}


async def settle(world: World) -> None:
    """Make them."""
    for number, (name, (districts, categories)) in enumerate(FIRMS.items()):
        details = Details(
            kind="filling_station",
            name=name,
            credit_code=credit_code(number),
            districts=districts,
            categories=categories,
        )
        await put(world, name, details)
    for name, districts in OFFICES.items():
        await put(world, name, Details(kind="district", name=name, districts=districts))


def may_reach(call: str, caller: Caller) -> set[str]:
    """Tell by the table alone, in the plainest way, which organisations the call reaches."""
    row = next(row for row in table("calls")["call"] if row["id"] == call)
    found: set[str] = set()
    if caller.role in row.get("own", ()):
        found.add(caller.organisation)
    if reaches_all(call, caller):
        found = set(ALL)
    elif caller.role in row.get("remit", ()):
        found |= {
            name
            for name, (districts, categories) in FIRMS.items()
            if (caller.districts is None or caller.districts & set(districts))
            and (caller.categories is None or caller.categories & set(categories))
        }
    if call == "organisations.decide":  # none of these callers speaks for the platform
        assert "district" in authorities()
        found -= {"platform", *OFFICES}
    return found


def each(method: str, path: str, body: object, *reached: int) -> Callable[..., Awaitable[set[str]]]:
    """Probe a call by naming every organisation; `reached`: how it answers where it reaches."""

    async def probe(city: City, caller: Caller) -> set[str]:
        found = set()
        for name in ALL:
            answer = await city.send(caller, method, f"{BASE}/{name}{path}", body)
            assert answer.status_code in (*reached, 403, 404), answer.text
            found |= {name} if answer.status_code in reached else set()
        return found

    return probe


async def read(city: City, caller: Caller) -> set[str]:
    """List them, and look at each."""
    answer = await city.get(caller, BASE)
    listed = {one["id"] for one in answer.json()} if answer.status_code == 200 else set()
    assert listed == await each("GET", "", None, 200)(city, caller)
    return listed


ORGANISATION_PROBES: dict[str, Callable[[City, Caller], Awaitable[set[str]]]] = {
    "organisations.read": read,
    "organisations.write": each("PATCH", "", {"contact": {}}, 200),
    "organisations.decide": each("POST", "/confirm", {}, 409),
    "organisations.export": each("GET", "/export", None, 200),
    "organisations.leave": each("POST", "/leave", {"credit_code": credit_code(99)}, 400),
}
"""Decisions that lead nowhere from the state that all are in, and codes that are nobody's."""
