"""The whole application with personal data everywhere in it, to see what the audit tells of."""

import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx
import msgspec
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import insert, select

from cloud.access.base import Access
from cloud.access.book import AccessBook
from cloud.access.passwords import hash_password
from cloud.alarms.desk import AlarmDesk
from cloud.api.app import create_app
from cloud.api.epcis.base import Trace
from cloud.api.guard import SAFE_METHODS, calls_of, guarded_routes
from cloud.cylinders.fills import step_rows
from cloud.cylinders.fold import Told, fold
from cloud.cylinders.watch.cases import Raised, raise_cases
from cloud.feed.sse import stream
from cloud.feed.store import FeedStore
from cloud.handheld.photos import name_photos
from cloud.model import tables
from cloud.model.alarm import Severity
from cloud.model.audit import open_head
from cloud.model.cylinder_notice import NoticeToBody
from cloud.model.cylinder_records import PermitBody, VehicleFile
from cloud.model.desk import HandoverBody
from cloud.model.fill_tables import cylinder_fill, cylinder_fill_step
from cloud.model.granting import OPEN, grant
from cloud.model.incident import Act, Call, RescueUnit
from cloud.model.lift import LiftEntry
from cloud.model.organisation import Contact
from cloud.model.people_tables import account, audit, device, identity
from cloud.model.permissions import administrator
from cloud.model.platform import NewPlatform
from cloud.model.principal import EVERYTHING, Granted, Principal
from cloud.model.receiver import ReceiverBody
from cloud.model.session import CSRF_HEADER, SESSION_COOKIE, Session
from cloud.model.transition import Change, Transition
from cloud.remote.releases import Releases
from cloud.trace.base import NamedQuery
from cloud.trace.exchange.base import Push, Wanted
from cloud.trust.signing import sign
from cloud.web.pages import mount
from protocols.clock import ManualClock
from protocols.cylinders.watch import Entry
from protocols.handheld import Photo
from protocols.lifts.records import Draft, Signer
from tests.support.authority import open_bureau
from tests.support.cells import caught_up
from tests.support.cylinders import ZONE, file_of
from tests.support.epcis_bodies import ITEM, document, event
from tests.support.fills import step
from tests.support.firms import (
    DISTRICT,
    PASSWORD,
    ROOT,
    People,
    district_details,
    firm_details,
    put,
)
from tests.support.http_services import AUDIT_KEY, LIFT, TOKEN, World, open_world
from tests.support.log_groups import batch
from tests.support.receivers import open_cap
from tests.support.sign_on import desk_of, provider
from tests.support.snapshot_station import Station
from tests.support.wheels import make_release

MARK = "13844440000"
"""Stands in whatever tells of a person; the audit must never hold it."""
GATEWAY = "gw-jilin-0001"
DEVICE, OWN_DEVICE = "0" * 16, "1" * 16
"""Handhelds of the clerk and of the manager of firm-a."""
ISSUER = "http://localhost:1"
"""Of a sign-on that nobody calls."""
SITE = f'schema = 1\ngateway_id = "{GATEWAY}"\n[uplink]\nbroker = "mqtt://x"\n# {MARK}\n'
PLACE = "https://example.com/place"
BACK = "elevator:back"
"""It is out of service."""
PREFIX = "6901234"
CYLINDER, SCRAPPED, TANK = "A1", "A2", "A3"
"""Codes of cylinders of filler gas-a; the last one is a vehicle's."""
VEHICLE = "LFV2A21K"
PHOTO = b"\xff\xd8\xff"
PARAMETERS = {
    "sha256": hashlib.sha256(PHOTO).hexdigest(),
    "code": SCRAPPED,
    "vehicle_id": VEHICLE,
    "import_id": "1",
    "case_id": "2",
    "address_id": "1",
    "receiver_id": "1",
    "message": "1.xml",
    "asset_id": LIFT,
    "alarm_id": "1",
    "incident_id": "1",
    "handover_id": "1",
    "link_id": "2",
    "gateway_id": GATEWAY,
    "command_id": "c" * 32,
    "rollout_id": "1",
    "language": "en",
    "organisation_id": "firm-a",
    "account_id": "1",
    "kind": "alarms",
    "serial": "1",
    "name": "suyuan-9.0.0-py3-none-any.whl",
    "session_id": "0",
    "key_id": "1",
    "eventID": "urn:uuid:831c0292-4de1-430a-8255-2aca821abaab",
    "eventType": "ObjectEvent",
    "epc": quote(f"{ITEM}1", safe=""),
    "bizStep": "shipping",
    "disposition": "active",
    "bizLocation": quote(PLACE, safe=""),
    "readPoint": quote(PLACE, safe=""),
    "queryName": "q",
    "platform_id": "there",
}
"""What stands in the paths of safe calls; further names belong here."""
OF_FIRMS = {"organisations.export", "organisations.leave", "keys.write", "account.use"}
QUERIES = {
    "/api/v1/assets/{asset_id}/readings": "?from=0&to=1",
    "/api/v1/lineage": f"?item={quote(ITEM, safe='')}1",
}


class Door:
    """Lets in whoever the service knows, and people of firms by a token."""

    def __init__(self, access: Access, people: People) -> None:
        self._access, self._people = access, people

    def __getattr__(self, name: str) -> Any:
        """Do what the service does."""
        return getattr(self._access, name)

    def bearer(self, token: str) -> Principal | None:
        """Return whose token it is."""
        return self._people.bearer(token) or self._access.bearer(token)

    def session(self, cookie: str) -> Session | None:
        """Return an open session."""
        return self._people.session(cookie)


@dataclass
class Stage:
    """The application, and a person signed in as the administrator whose name is MARK."""

    world: World
    app: FastAPI
    root: httpx.AsyncClient
    """Signed in as the administrator."""
    firm: httpx.AsyncClient
    """Signed in as the manager of firm-a."""
    people: People
    other_session: str
    """Of the manager, too, at another browser."""
    trace: Mapping[str, str]
    """Ids of a capture job and of a subscription, as paths name them."""

    def client(self, path: str, calls: set[str]) -> httpx.AsyncClient:
        """Return the firm's for what only a firm or an account may do."""
        return self.firm if calls & OF_FIRMS or path.startswith("/first-steps") else self.root

    def entries(self) -> list[dict[str, Any]]:
        """Return the audit."""
        query = select(audit).order_by(audit.c.seq)
        return self.world.database.read_now(
            lambda c: [dict(row) for row in c.execute(query).mappings()]
        )


def routes(app: FastAPI, *, safe: bool) -> Iterator[tuple[str, str, set[str]]]:
    """Yield (method, path, calls) of all that is served."""
    for route in guarded_routes(app.routes):
        if not isinstance(route, APIRoute):
            continue  # WebSockets: tests/cloud/api/epcis/test_live.py
        for method in sorted(route.methods or ()):
            if (method in SAFE_METHODS) == safe:
                yield method, route.path, calls_of(route)


def told(answer: httpx.Response) -> str:
    """Return what an answer tells, also one in a ZIP file."""
    if answer.headers["content-type"] != "application/zip":
        return answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        return "\n".join(packed.read(name).decode() for name in packed.namelist())


def is_open(calls: set[str]) -> bool:
    """Tell whether everybody may."""
    return OPEN in calls


@asynccontextmanager
async def open_stage(folder: Path) -> AsyncIterator[Stage]:
    """Build it, with one of each thing."""
    bureau = open_bureau(folder)
    sign_on, _ = desk_of(provider(folder, ISSUER), clock=bureau.clock)
    station = Station(folder)
    world = await open_world(
        folder,
        clock=bureau.clock,
        trust=bureau.desk,
        snapshots=station.book,
        pages=False,
        sign_on=sign_on,
    )
    await _keep_photo(world)
    feed = FeedStore(world.database, world.clock)
    desk = AlarmDesk(
        database=world.database,
        clock=world.clock,
        append_feed=feed.append,
        on_commit=feed.committed,
    )
    world.database.write_now(lambda c: open_head(c, AUDIT_KEY))
    await _fill(world, desk, folder)
    await feed.load()
    services = replace(
        world.services,
        alarms=desk,
        feed=feed,
        mounts=(mount,),
        stream=lambda after, admits: caught_up(
            stream(
                feed,
                after=0 if after is None else after,
                admits=admits,
                lag_ms=lambda: 0,
                stopping=world.services.stopping,
            )
        ),
    )
    people = People(world)
    services = replace(services, access=cast("Access", Door(services.access, people)))
    app = create_app(services)
    async with _client(app) as root, _client(app) as firm:
        world = replace(world, services=services)
        others, trace = await _other_session(people), await _fill_trace(world.services.trace)
        trace = {**trace, "unit_token": await _fill_desk(world)}
        stage = Stage(world, app, root, firm, people, others, trace)
        await sign_in(stage)
        yield stage
    world.database.close()
    bureau.database.close()


async def _keep_photo(world: World) -> None:
    """Keep the photo of an inspection that somebody of the platform made."""
    photo = Photo(file="a.jpg", sha256=PARAMETERS["sha256"], size_bytes=len(PHOTO))
    world.database.write_now(
        lambda c: name_photos(c, [photo], organisation="platform", asset="cylinder:1", now_ms=1)
    )
    principal = administrator("account", "account:1", MARK)
    granted = Granted(principal, "handheld.use", EVERYTHING)
    assert await world.services.photos.take(granted, photo.sha256, PHOTO)


def _client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def _fill(world: World, desk: AlarmDesk, folder: Path) -> None:
    now_ms = world.clock.wall_ms()
    await world.registry.put(
        LIFT,
        kind="elevator",
        name="3 号梯",
        gateways=[GATEWAY],
        attributes={"maintenance_phone": MARK, "district": "chuanying"},
    )
    await _fill_alarms(world, desk, now_ms)
    wheels = make_release(folder / "wheels", "9.0.0")
    signed = partial(sign, folder)
    Releases(folder / "releases").add(wheels, requires_python=">=3.11", issued_at=1, sign=signed)
    for table, row in _rows(now_ms):
        await world.database.write(lambda c, t=table, r=row: c.execute(insert(t).values(r)))  # type: ignore[misc]
    world.gateways.set_counters(GATEWAY, {})
    access = world.services.access
    assert isinstance(access, AccessBook)
    await access.refresh()  # accounts were written behind its back
    await put(world, "office", district_details(DISTRICT))
    contact = Contact(name=MARK, phone=MARK)
    await put(world, "firm-a", firm_details(1, contact=contact))
    await world.services.codes.links.put_prefix(PREFIX, "firm-a", also=[])
    await _fill_cylinders(world)
    await _fill_rescues(world)
    await _fill_lifts(world)
    await _fill_platforms(world)


async def _fill_platforms(world: World) -> None:
    """Register an enterprise platform of the firm."""
    new = NewPlatform(
        id="there",
        name="云平台",
        dialect="gbt24476",
        dialect_version="2017",
        organisation="firm-a",
    )
    granted = grant(ROOT, "platforms.write")
    await world.services.platforms.register(new, granted, lambda _subject: lambda _c: None)


async def _fill_lifts(world: World) -> None:
    """File lifts with the codes of the cylinders, with a repair as the first entry."""
    lifts, granted = world.services.lifts.lifts, grant(ROOT, "lifts.write")
    for code in (CYLINDER, SCRAPPED):
        entry = LiftEntry(name=code, maintenance_phone=MARK)
        await lifts.put(granted, f"elevator:{code}", entry)
        draft = Draft(
            kind="repair",
            on=date(2025, 1, 1),
            fields={"scale": "ordinary", "what": "x"},
            signers=(Signer(role="worker", name=MARK),),
        )
        record = grant(ROOT, "lifts.record")
        await lifts.record(
            record, f"elevator:{code}", draft, lambda _kept: lambda _connection: None
        )
    await world.services.lifts.imports.take(granted, "csv", b"code\nL7\n")


async def _fill_rescues(world: World) -> None:
    """Open three, of which the first tells of a person wherever one can."""
    incidents = world.services.incidents
    call, act = grant(ROOT, "incidents.call"), grant(ROOT, "incidents.act")
    for asset in (LIFT, f"{LIFT}-2", f"{LIFT}-3"):
        told = Call(asset=asset, caller_name=MARK, caller_phone=MARK, note=MARK)
        one = await incidents.open_call(told, granted=call)
        await incidents.act(one.id, "hand_over", Act(to=MARK), granted=act)
    unit = RescueUnit(unit="station", name="站", level=1, phone=MARK)
    await incidents.put_unit(unit)
    asked = Act(unit="station")
    await incidents.act(2, "dispatch", asked, granted=act)


async def _fill_desk(world: World) -> str:
    """Make a link of the unit of the second rescue, and hand a shift over; returns its token."""
    act = grant(administrator("token", "token:admin", MARK), "incidents.act")
    desk = world.services.desk
    _, token = await desk.links.make(2, "unit", "station", by=MARK)
    await desk.links.make(1, "progress", None, by=MARK)
    body = HandoverBody(to=MARK, note=MARK)
    await desk.handovers.make(body, granted=act, open_numbers=(), opened=1, ended=0, from_at=1)
    return token


async def _fill_alarms(world: World, desk: AlarmDesk, now_ms: int) -> None:
    """Raise two emergencies, one alarm that may be shelved, and one that is latched (4)."""
    told: tuple[tuple[str, Severity, Change], ...] = (
        ("Entrapment", "emergency", "fired"),
        ("DoorStuck", "emergency", "fired"),
        ("DoorSlow", "warning", "fired"),
        ("CarMoved", "critical", "fired"),
        ("CarMoved", "critical", "resolved"),
    )
    for alert, severity, change in told:
        transition = Transition(
            asset=LIFT,
            alert=alert,
            severity=severity,
            change=change,
            at=now_ms,
            observed_at=now_ms,
            latching=severity == "critical",
        )
        await world.database.write(lambda c, f=transition: desk.apply(c, [f]))  # type: ignore[misc]
    await desk.acknowledge(1, by=MARK, note=MARK)
    await open_cap(world.database, world.clock).issue()
    await world.registry.put(BACK, kind="elevator", name="", gateways=[], attributes={})
    await desk.take_out_of_service(BACK, reason=MARK, by=MARK)


async def _fill_cylinders(world: World) -> None:
    desks, write = world.services.cylinders, grant(ROOT, "cylinders.write")
    for number, kind in enumerate(("filling_station", "filling_station", "inspection_body"), 7):
        details = firm_details(number, kind=kind, categories=("special_equipment",))
        await put(world, f"unit-{number}", details)
    vehicle = VehicleFile(plate=MARK, use_registration="U-1")
    await desks.vehicles.put(write, VEHICLE, vehicle)
    for number, code in enumerate((CYLINDER, SCRAPPED, TANK)):
        file = file_of(number, filler="unit-7", vehicle=VEHICLE if code == TANK else "")
        await desks.cylinders.register(write, f"cylinder:{code}", file)
    scrap = grant(ROOT, "cylinders.scrap")
    asset_id = f"cylinder:{SCRAPPED}"
    await desks.cylinders.scrap(scrap, asset_id, "cut", "2020-01-01", MARK, "burnt")
    approval = PermitBody(
        items=("lpg_household",), valid_from="2020-01-01", valid_until="2099-01-01"
    )
    permits = grant(ROOT, "permits.write")
    await desks.permits.put(permits, "unit-9", "inspection", "TS-9", approval)
    await desks.imports.take(write, "csv", b"code,kind,gas\nA1,a,b\n")
    entry = Entry("overfilled", "1", date(2025, 1, 1))
    cases = [Raised(f"cylinder:{one}", entry, "unit-7") for one in (CYLINDER, TANK)]
    world.database.write_now(lambda c: raise_cases(c, cases, 1))
    marked = administrator("account", "account:1", MARK)
    await desks.cases.close(grant(marked, "cylinders.resolve"), 2, MARK)
    told = NoticeToBody(channel="mail", address=f"{MARK}@city.test")
    await desks.addresses.add(grant(ROOT, "notices.write"), told)
    for name in ("a", "b"):
        body = ReceiverBody(name=name, kind="webhook", address="https://p.example.com/")
        await world.services.receivers.add(grant(marked, "receivers.write"), body)


async def _fill_trace(trace: Trace) -> Mapping[str, str]:
    place = {"id": PLACE}
    one = event(
        eventID=PARAMETERS["eventID"], disposition="active", readPoint=place, bizLocation=place
    )
    job = await trace.captures.take(
        msgspec.json.encode(document(one)),
        media_type="application/json",
        behaviour="rollback",
        by=MARK,
        organisation="firm-a",
    )
    query = NamedQuery(
        name=PARAMETERS["queryName"], query={}, by=MARK, organisation="platform", created_at_ms=1
    )
    await trace.store.put_query(query)
    made = await trace.subscriptions.subscribe(
        "platform",
        query.name,
        principal="token:admin",
        account=None,
        dest="https://client.example.com/",
        secret=MARK,
        schedule={},
        report_if_empty=False,
        initial_us=None,
        epc_format="Always_GS1_Digital_Link",
    )
    partner = await trace.partners.make(
        "platform",
        Wanted(name="partner", base="https://p.example.com", push=Push()),
        principal="token:admin",
        account=None,
    )
    return {
        "captureID": job.capture_id,
        "subscriptionID": made.subscription_id,
        "partner_id": partner.partner_id,
    }


def _filling(now_ms: int) -> dict[str, Any]:
    record = step("released", 1, operator=MARK, asset=f"cylinder:{SCRAPPED}")
    told = Told(record=record, observed_at=now_ms, received_at=now_ms, time_unknown=False)
    named = {"change": 1, "gateway": GATEWAY, "gate": record.gate, "opening": 1}
    return {**fold([told], ZONE), **named}


def _decision(now_ms: int) -> dict[str, Any]:
    record = step("decided", 2, at=now_ms, operator=MARK, asset=f"cylinder:{SCRAPPED}")
    (row,) = step_rows(batch(record), ZONE)
    return row


def _rows(now_ms: int) -> list[tuple[Any, dict[str, Any]]]:
    scan = {
        "gateway": GATEWAY,
        "spool": "0" * 32,
        "stream": "data",
        "seq": 1,
        "record_index": 0,
        "reader": "r-1",
        "observed_at": now_ms,
        "received_at": now_ms,
        "time_unknown": False,
        "codes": "[]",
        "findings": "[]",
        "operator": MARK,
    }
    command = {
        "id": "c" * 32,
        "gateway_id": GATEWAY,
        "op": "ping",
        "args": "{}",
        "by": MARK,
        "created_at": now_ms,
        "expires_at": now_ms,
        "state": "waiting",
        "result": "null",
    }
    hashed = hash_password(PASSWORD)
    people = [
        {
            "id": number,
            "username": f"u{number}.{MARK}",
            "name": MARK,
            "organisation": "firm-a",
            "roles": f'["{role}"]',
            "recovery": "[]",
            "password": hashed,
            "state": "active",
            "failures": 0,
            "created_at": now_ms,
            "updated_at": now_ms,
        }
        for number, role in ((1, "enterprise_clerk"), (7, "enterprise_manager"))
    ]
    held = [
        {
            "id": id_,
            "sha256": "0",
            "name": MARK,
            "account": number,
            "organisation": "firm-a",
            "issued_at": now_ms,
            "renewed_at": now_ms,
            "expires_at": now_ms + 10**9,
        }
        for id_, number in ((DEVICE, 1), (OWN_DEVICE, 7))
    ]
    linked = {"issuer": ISSUER, "subject": MARK, "account": 7, "created_at": now_ms}
    accounts = [
        *((account, one) for one in people),
        *((device, one) for one in held),
        (identity, linked),
    ]
    return [
        (tables.scan, scan),
        (cylinder_fill, _filling(now_ms)),
        (cylinder_fill_step, _decision(now_ms)),
        (tables.command, command),
        *accounts,
    ]


async def _other_session(people: People) -> str:
    access = people.world.services.access
    assert isinstance(access, AccessBook)
    return (await access.open_session(7, second_factor=False)).id


async def sign_in(stage: Stage) -> None:
    """Open the sessions."""
    access = stage.world.services.access
    for client, session in (
        (stage.root, await access.log_in_token(TOKEN, person=MARK, address="")),
        (stage.firm, await stage.people.log_in_token(_manager(stage), person="", address="")),
    ):
        assert session is not None
        client.cookies.clear()
        client.cookies.set(SESSION_COOKIE, session.cookie)
        client.headers[CSRF_HEADER] = session.csrf


def _manager(stage: Stage) -> str:
    headers = stage.people.give("enterprise_manager", "firm-a")
    return headers["Authorization"].removeprefix("Bearer ")


async def hour_later(stage: Stage) -> None:
    """Let the hour of every look pass."""
    assert isinstance(stage.world.clock, ManualClock)
    stage.world.clock.advance(3_600_000)
    await sign_in(stage)
