"""An event and a capture job of every organisation, and what each call shows a caller of them."""

from collections.abc import Awaitable, Callable
from itertools import count
from typing import cast

import msgspec

from cloud.model.principal import Scope
from cloud.trace.exchange.base import Push, Wanted
from tests.support.cells import Caller, City, table
from tests.support.epcis_bodies import ITEM, document, event
from tests.support.http_services import World
from tests.support.organisation_cells import ALL, OFFICES, may_reach

NAMES = sorted(ALL)
_numbers = count()


async def settle_events(world: World) -> None:
    """Make them."""
    for number, name in enumerate(NAMES):
        sent = document(event(number))
        await world.services.trace.captures.take(
            msgspec.json.encode(sent),
            media_type="application/json",
            behaviour="rollback",
            by=name,
            organisation=name,
        )


async def read(city: City, caller: Caller) -> set[str]:
    """Look at whose events are found."""
    answer = await city.get(caller, "/epcis/events?perPage=1000")
    if answer.status_code == 403:
        return set()
    events = answer.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    found = {NAMES[int(one["epcList"][0].removeprefix(ITEM))] for one in events}
    for number, name in enumerate(NAMES):
        if number % 4 == len(found) % 4:  # not each time each: there are many callers
            traced = await city.get(caller, f"/api/v1/lineage?item={ITEM}{number}")
            assert traced.status_code == (200 if name in found else 404), traced.text
    return found


async def capture(city: City, caller: Caller) -> set[str]:
    """Capture, and look at whose jobs are listed."""
    sent = await city.send(caller, "POST", "/epcis/events", event(0))
    answer = await city.get(caller, "/epcis/capture?perPage=1000")
    assert (sent.status_code == 403) == (answer.status_code == 403)
    if answer.status_code == 403:
        return set()
    jobs = {job["captureID"] for job in answer.json()}
    found = set()
    for name in NAMES:
        scope = Scope(organisations=frozenset({name}))
        [(_, job)] = await city.trace.captures.jobs(scope=scope, limit=1)
        found |= {name} if job.capture_id in jobs else set()
    return found


async def query(city: City, caller: Caller) -> set[str]:
    """Keep a query under a name: it is the own organisation's, for whoever may."""
    body = {"name": f"q{next(_numbers)}", "query": {}}
    answer = await city.send(caller, "POST", "/epcis/queries", body)
    assert answer.status_code in (201, 403), answer.text
    return {caller.organisation} if answer.status_code == 201 else set()


async def subscribe(city: City, caller: Caller) -> set[str]:
    """List the subscriptions to a query that is not there, as for whoever may it is not found."""
    answer = await city.get(caller, "/epcis/queries/nobodys/subscriptions")
    assert answer.status_code in (404, 403), answer.text
    return {caller.organisation} if answer.status_code == 404 else set()


async def exchange(city: City, caller: Caller) -> set[str]:
    """List the partners: each organisation has one that bears its name."""
    await _settle_partners(city)
    answer = await city.get(caller, "/api/v1/partners")
    assert answer.status_code in (200, 403), answer.text
    return {one["name"] for one in answer.json()} if answer.status_code == 200 else set()


async def _settle_partners(city: City) -> None:
    for name in {*NAMES, "platform", ""}:
        if not await city.trace.partners.find(name):
            wanted = Wanted(name=name, base="https://p.example.com", push=Push())
            await city.trace.partners.make(name, wanted, principal="token:admin", account=None)


def expected(call: str, caller: Caller) -> set[str]:
    """Tell by the table alone what a call reaches."""
    reached = may_reach(call, caller)
    if call not in ("trace.read", "trace.capture"):
        return {caller.organisation} if reached else set()
    if reached and caller.role not in owners(call) and caller.categories is None:
        reached |= {  # an office captures in its district, and has no category
            name
            for name, districts in OFFICES.items()
            if caller.districts is None or caller.districts & set(districts)
        }
    return reached


def owners(call: str) -> list[str]:
    """Return the roles that reach no further than their own organisation."""
    row = next(row for row in table("calls")["call"] if row["id"] == call)
    return cast("list[str]", row.get("own", []))


TRACE_PROBES: dict[str, Callable[[City, Caller], Awaitable[set[str]]]] = {
    "trace.read": read,
    "trace.capture": capture,
    "trace.query": query,
    "trace.subscribe": subscribe,
    "trace.exchange": exchange,
}
