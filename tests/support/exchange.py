"""Repositories that are served for real and exchange with each other, and a faulty partner."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cloud.api.epcis.base import Trace
from cloud.model.database import Database
from cloud.model.principal import EVERYTHING
from cloud.model.principal import Scope as Reach
from cloud.outbound.caller import Caller
from cloud.outbound.policy import read_policy
from cloud.roles.exchange import DocumentWriter
from cloud.roles.trace_delivery import Writer
from cloud.trace.base import NamedQuery, StoredEvent
from cloud.trace.delivery import Deliveries
from cloud.trace.due import Reader
from cloud.trace.exchange.base import Partner, Pull, Push, Receipt, Wanted
from cloud.trace.exchange.book import PartnerBook
from cloud.trace.exchange.runner import Exchange
from cloud.trace.query.base import EventQuery
from cloud.trace.query.parse import read_query
from protocols.clock import ManualClock
from tests.support.browser import serve
from tests.support.epcis_bodies import document
from tests.support.http_services import TOKEN, open_world
from tests.support.state_database import open_state
from tests.support.trace_world import OpenSeal, open_trace, standard

OWNER, PLATFORM = "firm-a", "platform"
"""Whose partners are ours; whose queries the credential at the partner names."""


class Relay:
    """An application whose inside can be put in later: its address is known before it is made."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if self.app is not None and scope["type"] != "lifespan":
            await self.app(scope, receive, send)


@dataclass
class Side:
    """A repository."""

    address: str
    """Empty when it is not served."""
    database: Database
    trace: Trace
    exchange: Exchange
    deliveries: Deliveries
    partners: PartnerBook
    reach: dict[str, Reach]
    """What who registered a partner may see."""

    async def capture(self, *events: Mapping[str, Any], organisation: str = OWNER) -> None:
        """Store events, as sent by an organisation."""
        captures = self.trace.captures
        job = await captures.take(
            json.dumps(document(*events)).encode(),
            media_type="application/json",
            behaviour="rollback",
            by="account:1",
            organisation=organisation,
        )
        assert (await captures.job(job.capture_id, scope=EVERYTHING)).success

    async def stored(self) -> list[StoredEvent]:
        """Return all events."""
        store = self.trace.store
        return (await store.find(EventQuery(), scope=EVERYTHING, limit=100_000)).events

    async def serials(self) -> list[int]:
        """Return the numbers of the items of all events, in the order of record."""
        return [int(one.body["epcList"][0].rpartition("/")[2]) for one in await self.stored()]

    async def query(self, name: str, query: dict[str, Any], organisation: str) -> None:
        """Keep a query of an organisation."""
        kept = NamedQuery(name=name, query=query, by="", organisation=organisation, created_at_ms=0)
        await self.trace.store.put_query(kept)

    async def link(
        self,
        base: str,
        *,
        pull: Pull | None = None,
        push: Push | None = None,
        credential: str = f"Bearer {TOKEN}",
        tolerances: str = "",
    ) -> Partner:
        """Register a partner of firm-a."""
        wanted = Wanted(
            name="partner",
            base=base,
            header="Authorization",
            credential=credential,
            tolerances=tolerances,
            pull=pull,
            push=push,
        )
        return await self.partners.make(OWNER, wanted, principal="account:1", account=1)

    async def shown(self, one: Partner) -> Partner:
        """Look at a partner."""
        return await self.partners.get(OWNER, one.partner_id)

    async def receipts(self, one: Partner) -> list[Receipt]:
        """Return its receipts, the oldest first."""
        found = await self.partners.receipts(OWNER, one.partner_id, before=None, limit=1000)
        return found[::-1]


@asynccontextmanager
async def open_side(
    folder: Path,
    clock: ManualClock,
    *,
    database_url: str | None = None,
    served: bool = True,
    allowed: tuple[str, ...] = ("127.0.0.1",),
    timeout_s: float = 20,
) -> AsyncIterator[Side]:
    """Open a repository; when it looks at its partners the test decides.

    Args:
        folder: its own.
        clock: its.
        database_url: of the state; None: a file in `folder`.
        served: whether it can be called.
        allowed: where it may call.
        timeout_s: of its calls.

    """
    folder.mkdir(exist_ok=True)
    url = database_url or f"sqlite:///{folder / 'state.sqlite'}"
    caller = Caller(
        read_policy(range(1, 65_536), allowed),
        timeout_s=timeout_s,
        answer_bytes_max=16 * 1024 * 1024,
    )
    if not served:
        database = open_state(url)
        trace = open_trace(database, clock, folder, _anywhere)
        yield _side(database, trace, clock, caller, "")
        database.close()
        return
    relay = Relay()
    async with serve(relay, asyncio.Event()) as address:
        world = await open_world(
            folder, clock=clock, pages=False, database_url=url, check_address=_anywhere
        )
        relay.app = world.app
        yield _side(world.database, world.services.trace, clock, caller, address)
        world.database.close()


def _side(
    database: Database, trace: Trace, clock: ManualClock, caller: Caller, address: str
) -> Side:
    reach = {"account:1": EVERYTHING}
    common: dict[str, Any] = {
        "outbound": caller,
        "seal": OpenSeal(),
        "clock": clock,
        "rights": lambda principal, _account: reach.get(principal, EVERYTHING),
    }
    read = partial(read_query, standard=standard())
    return Side(
        address=address,
        database=database,
        trace=trace,
        exchange=Exchange(
            database,
            trace.store,
            trace.captures,
            rng=random.Random(1),
            write=DocumentWriter(standard()),
            base_url=address,
            guarded=lambda turn: turn,
            read_query=read,
            **common,
        ),
        deliveries=Deliveries(
            database,
            trace.store,
            reader=Reader(trace.store, clock=clock, zone=UTC, read_query=read),
            write=Writer(standard()),
            **common,
        ),
        partners=PartnerBook(
            database,
            trace.store,
            trace.captures,
            seal=OpenSeal(),
            clock=clock,
            check_address=caller.check,
            tolerances=("standard", "strict"),
            plain_http=True,
        ),
        reach=reach,
    )


async def _anywhere(_url: str) -> None:
    return None


@dataclass
class Faulty:
    """A partner that does what a real one cannot be made to do."""

    answers: list[tuple[int, dict[str, str], Any]] = field(default_factory=list)
    """Of the calls to come, one after the other: status, headers, body (JSON, or bytes)."""
    otherwise: tuple[int, dict[str, str], Any] = (500, {}, b"")
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    """Method, target, headers and body of each call."""
    bad: frozenset[int] = frozenset()
    """Numbers of items that make a document be refused as a whole."""
    jobs: dict[str, list[int]] = field(default_factory=dict)
    captures: bool = False
    """Whether it takes documents, each as a job of its own."""
    taken: list[int] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        self.asked.append((request.method, target, dict(request.headers), body))
        if self.answers:
            status, headers, said = self.answers.pop(0)
        elif self.captures:
            status, headers, said = self._capture(request.method, request.url.path, body)
        else:
            status, headers, said = self.otherwise
        raw = said if isinstance(said, bytes) else json.dumps(said).encode()
        await Response(raw, status, headers)(scope, receive, send)

    def _capture(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], Any]:
        if method == "POST":
            events = json.loads(body)["epcisBody"]["eventList"]
            name = str(len(self.jobs))
            self.jobs[name] = [int(one["epcList"][0].rpartition("/")[2]) for one in events]
            return 202, {"Location": f"{path}/{name}"}, b""
        serials = self.jobs[path.rpartition("/")[2]]
        good = not self.bad & set(serials)
        self.taken += serials if good else []
        errors = [] if good else [{"title": "bad", "detail": "an item that is not known"}]
        job = {"running": False, "success": good, "captureErrorBehaviour": "rollback"}
        return 200, {}, {**job, "errors": errors}


@asynccontextmanager
async def open_faulty() -> AsyncIterator[tuple[Faulty, str]]:
    """Serve one; yields it and its address."""
    partner = Faulty()
    async with serve(partner, asyncio.Event()) as address:
        yield partner, f"{address}/epcis"


def results(*events: Mapping[str, Any]) -> dict[str, Any]:
    """Return an EPCISQueryDocument."""
    whole = document(*events, type="EPCISQueryDocument")
    body = {"queryName": "q", "resultsBody": whole["epcisBody"]}
    return {**whole, "epcisBody": {"queryResults": body}}
