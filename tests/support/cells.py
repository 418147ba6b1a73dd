"""A small city of every sort, callers of every role, and what each call shows them of it."""

import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, cast

import httpx
from fastapi import FastAPI
from sqlalchemy import insert, select

from cloud.access.base import Access
from cloud.alarms.desk import AlarmDesk
from cloud.api.app import create_app
from cloud.api.epcis.base import Trace
from cloud.feed.sse import stream
from cloud.feed.store import FeedStore
from cloud.model import tables
from cloud.model.permissions import Reach, permissions
from cloud.model.principal import Principal
from cloud.model.session import Session
from cloud.model.transition import Transition
from protocols.catalog.files import data_root
from protocols.messages import State
from tests.support.firms import firm_details, put
from tests.support.http_services import World

DISTRICTS = ("chuanying", "longtan", "")
KINDS = {"elevator": "special_equipment", "stall": ""}
REACHES = (
    (None, None),
    (frozenset({"chuanying"}), None),
    (None, frozenset({"special_equipment"})),
    (frozenset({"chuanying"}), frozenset({"special_equipment"})),
    (frozenset({"longtan", "elsewhere"}), frozenset({"food"})),
)
"""Districts and categories."""
OWNERS = ("firm-a", "firm-b", "")


@dataclass(frozen=True)
class Thing:
    """An asset with an alarm, a gateway and a scan of its own."""

    number: int
    kind: str
    district: str
    owner: str
    registered: bool = True

    @property
    def asset(self) -> str:
        """Its asset id."""
        return f"{self.kind}:{self.number:04d}"

    @property
    def gateway(self) -> str:
        """The gateway that only it names."""
        return f"gw-{self.number:04d}"

    @property
    def body(self) -> dict[str, Any]:
        """What registers it."""
        place = {"district": self.district} if self.district else {}
        parties = {"owner": self.owner} if self.owner else {}
        return {"gateways": [self.gateway], "attributes": place, "parties": parties}


@dataclass(frozen=True)
class Caller:
    """Somebody with one role."""

    role: str
    organisation: str = "firm-a"
    districts: frozenset[str] | None = None
    categories: frozenset[str] | None = None

    @property
    def token(self) -> str:
        """What it calls with."""
        places = "+".join(sorted(self.districts)) if self.districts is not None else "all"
        goods = "+".join(sorted(self.categories)) if self.categories is not None else "all"
        return f"{self.role}.{self.organisation}.{places}.{goods}"

    def principal(self) -> Principal:
        """Return what the service takes it for."""
        reach = Reach(
            organisation=self.organisation,
            districts=self.districts,
            categories=self.categories,
            account=7,
        )
        may = permissions([self.role], reach)
        return Principal(
            kind="account",
            id="account:7",
            by=self.role,
            organisation=self.organisation,
            account=7,
            may=may,
        )


def things() -> list[Thing]:
    """Return one thing of every sort, and one that was only heard of."""
    sorts = product(KINDS, DISTRICTS, OWNERS)
    found = [Thing(n, kind, place, owner) for n, (kind, place, owner) in enumerate(sorts)]
    return [*found, Thing(len(found), "elevator", "", "", registered=False)]


def callers() -> Iterator[Caller]:
    """Yield every role with every sort of reach."""
    for role in table("roles")["role"]:
        for districts, categories in REACHES:
            yield Caller(role["id"], "firm-a", districts, categories)


def table(name: str) -> dict[str, Any]:
    """Read a file of firmware_config/access without the code under test."""
    return tomllib.loads((data_root() / "access" / f"{name}.toml").read_text("utf-8"))


def may_see(call: str, caller: Caller, thing: Thing) -> bool:
    """Tell by the table alone, in the slowest and plainest way, whether the cell is open."""
    row = next(row for row in table("calls")["call"] if row["id"] == call)
    if caller.role in row.get("all", ()):
        return True
    office = [*row.get("remit", ()), *row.get("remit_unplaced", ())]
    if caller.role in office:
        if caller.districts is None and caller.categories is None:
            return True
        if thing.district == "" and caller.role in row.get("remit_unplaced", ()):
            return True
        if not thing.registered:
            return False
        here = caller.districts is None or thing.district in caller.districts
        return here and (caller.categories is None or KINDS[thing.kind] in caller.categories)
    return caller.role in row.get("own", ()) and thing.owner == caller.organisation


def reaches_all(call: str, caller: Caller) -> bool:
    """Tell by the table alone whether the call reaches the whole city."""
    row = next(row for row in table("calls")["call"] if row["id"] == call)
    office = [*row.get("remit", ()), *row.get("remit_unplaced", ())]
    unbound = caller.districts is None and caller.categories is None
    return caller.role in row.get("all", ()) or (caller.role in office and unbound)


class TableAccess:
    """Knows every caller by its token."""

    def __init__(self) -> None:
        self._known = {caller.token: caller.principal() for caller in callers()}

    def bearer(self, token: str) -> Principal | None:
        """Return whose token it is."""
        return self._known.get(token)

    def session(self, _cookie: str) -> Session | None:
        """Nobody comes by a page."""
        return None


@dataclass
class City:
    """The application with everything in it."""

    app: FastAPI
    client: httpx.AsyncClient
    desk: AlarmDesk
    alarms: dict[int, Thing]
    trace: Trace

    async def get(self, caller: Caller, path: str) -> httpx.Response:
        """Ask as somebody."""
        return await self.client.get(path, headers=_as(caller))

    async def send(self, caller: Caller, method: str, path: str, body: Any) -> httpx.Response:
        """Change something as somebody."""
        return await self.client.request(method, path, json=body, headers=_as(caller))


def _as(caller: Caller) -> dict[str, str]:
    return {"Authorization": f"Bearer {caller.token}"}


@asynccontextmanager
async def open_city(world: World) -> AsyncIterator[City]:
    """Fill a world with one thing of every sort."""
    feed = FeedStore(world.database, world.clock)
    desk = AlarmDesk(
        database=world.database,
        clock=world.clock,
        append_feed=feed.append,
        on_commit=feed.committed,
    )
    for number, firm in enumerate(filter(None, OWNERS)):
        await put(world, firm, firm_details(number, kind="filling_station"))
    for thing in things():
        await _place(world, desk, thing)
    await feed.load()
    services = replace(
        world.services,
        alarms=desk,
        feed=feed,
        access=cast("Access", TableAccess()),
        stream=lambda after, admits: caught_up(
            stream(
                feed,
                after=after,
                admits=admits,
                lag_ms=lambda: 0,
                stopping=world.services.stopping,
            )
        ),
    )
    app = create_app(services)
    rows = world.database.read_now(lambda c: c.execute(select(tables.alarm)).all())
    by_asset = {thing.asset: thing for thing in things()}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        alarms = {row.id: by_asset[row.asset] for row in rows}
        yield City(app, client, desk, alarms, services.trace)


async def caught_up(events: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yield a stream until it has told all that there is: a feed never ends by itself."""
    async for event in events:
        yield event
        if "event: heartbeat" in event:
            return


async def _place(world: World, desk: AlarmDesk, thing: Thing) -> None:
    now = world.clock.wall_ms()
    world.gateways.set_state(thing.gateway, State(online=True, boot_id="b"), now)
    world.registry.admits(thing.asset, thing.gateway, now)
    if thing.registered:
        await world.registry.put(
            thing.asset,
            kind=thing.kind,
            name="",
            **thing.body,
        )
    fired = Transition(
        asset=thing.asset,
        alert="Entrapment",
        severity="emergency",
        change="fired",
        at=now,
        observed_at=now,
    )
    await world.database.write(lambda c: desk.apply(c, [fired]))
    await world.database.write(lambda c: c.execute(insert(tables.scan).values(**_scan(thing, now))))


def _scan(thing: Thing, now_ms: int) -> dict[str, Any]:
    return {
        "gateway": thing.gateway,
        "spool": "0" * 32,
        "stream": "data",
        "seq": thing.number,
        "record_index": 0,
        "reader": "r-1",
        "observed_at": now_ms,
        "received_at": now_ms,
        "time_unknown": False,
        "codes": "[]",
        "findings": "[]",
    }


Probe = Callable[[City, Caller], Awaitable[set[int]]]
"""Returns the numbers of the things that a caller was shown, or could change."""
