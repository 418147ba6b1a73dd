"""The HTTP side with small parts in memory behind it: what the pages and the API are tested on."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from fastapi import FastAPI

from cloud.access.book import AccessBook
from cloud.access.desk import AccountDesk
from cloud.access.device_desk import DeviceDesk
from cloud.access.limiter import FailureLimiter
from cloud.access.own import OwnAccount
from cloud.access.passwords import hash_password
from cloud.alarms import moves
from cloud.alarms.alarm_state import Verb
from cloud.alarms.figures import FigureBook
from cloud.api.app import create_app
from cloud.api.base import Services, Snapshots
from cloud.api.rates import Rates
from cloud.audit.base import Audit
from cloud.audit.book import AuditBook
from cloud.cylinders.base import CylinderDesks
from cloud.cylinders.book import Cylinders
from cloud.cylinders.find_fills import Fills
from cloud.cylinders.imports import Imports
from cloud.cylinders.inspections import Inspections
from cloud.cylinders.permits import Permits
from cloud.cylinders.reports.find import ReportDesk
from cloud.cylinders.sheets import Sheets
from cloud.cylinders.vehicles import Vehicles
from cloud.cylinders.watch.addresses import AddressBook
from cloud.cylinders.watch.alarms import CaseAlarms
from cloud.cylinders.watch.desk import CaseDesk
from cloud.desk.base import RescueDesk, causes_of
from cloud.desk.handovers import HandoverBook
from cloud.desk.lifts import LiftFinder
from cloud.desk.links import PhoneLinks
from cloud.handheld.book import HandheldBook
from cloud.handheld.photos import PhotoBook
from cloud.incidents.book import Book
from cloud.incidents.desk import IncidentDesk
from cloud.lifts.base import LiftDesks
from cloud.lifts.book import LiftBook
from cloud.lifts.cases import CaseList
from cloud.lifts.imports import Imports as LiftImports
from cloud.model.alarm import Alarm, OutOfService
from cloud.model.alarm_terms import load_terms
from cloud.model.asset import LatestValue
from cloud.model.database import Database, Work
from cloud.model.ledger import SpoolLedger
from cloud.model.principal import EVERYTHING, Scope
from cloud.model.rescue_data import load_scripts
from cloud.model.rescue_policy import RescueRules, load_rescue
from cloud.model.retention import RetentionRun
from cloud.oidc.base import SignOn
from cloud.open_data.source import OpenDataSource
from cloud.organisations.book import OrganisationBook
from cloud.organisations.export import Export
from cloud.organisations.signup import ATTEMPTS_MAX, ATTEMPTS_WINDOW_MS, SignUpDesk
from cloud.registry.assets import AssetRegistry
from cloud.registry.gateways import GatewayBook
from cloud.remote.book import RemoteBook
from cloud.remote.releases import Releases
from cloud.retention.base import RulesOfData
from cloud.retention.runs import read_runs
from cloud.roles.lifts import fits
from cloud.scans.find import find_scans
from cloud.telemetry.base import Aggregate, Series
from cloud.trace.resolver.base import Codes
from cloud.trace.resolver.book import LinkBook
from cloud.trust import signing
from cloud.trust.base import Trust
from cloud.web.pages import mount
from protocols.catalog.files import data_root
from protocols.clock import Clock, ManualClock, SystemClock
from protocols.cylinders.book import RuleBook
from protocols.cylinders.load import load_rules
from protocols.cylinders.watch import Watch, load_watch
from protocols.errors import RefuseInput
from protocols.lifts.catalogue import Catalogue, load_catalogue
from protocols.lifts.load import load_calendar
from protocols.lifts.records import Kinds, load_kinds
from protocols.lifts.rules import CalendarRules
from protocols.lifts.watch import load_lift_terms
from protocols.readings import Value
from tests.support.platforms import open_platforms
from tests.support.receivers import open_cap, open_receivers
from tests.support.retention import shipped_rules
from tests.support.shipped import shipped_schemes
from tests.support.state_database import open_state
from tests.support.trace_world import OpenSeal, check_address, open_trace

TOKEN = "token-of-the-tests"
AUDIT_KEY = bytes(32)
ZONE = ZoneInfo("Asia/Shanghai")
LIFT = "elevator:31101099920240017"


class MemoryFeed:
    """A feed in a list; a listener hears at once."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self.oldest = 1
        self.lag_ms = 0
        self.heartbeat_s = 1.0
        self.silent = False
        self.resumed_after: list[int | None] = []
        self._waiters: set[asyncio.Event] = set()
        self._cuts = 0

    @property
    def head(self) -> int:
        """Offset of the newest item."""
        return len(self.items)

    def append(self, alarm: Alarm) -> None:
        """Add one change of an alarm."""
        self.items.append(json.dumps({"id": alarm.id, "state": alarm.state}))
        for waiter in self._waiters:
            waiter.set()

    async def wait_for_listeners(self, count: int) -> None:
        """Wait until exactly `count` streams are open; TimeoutError after 5 s."""
        async with asyncio.timeout(5):
            while len(self._waiters) != count:
                await asyncio.sleep(0.02)

    def cut(self) -> None:
        """End every stream, as a server does that stops."""
        self._cuts += 1
        for waiter in self._waiters:
            waiter.set()

    def stream(
        self, after: int | None, admits: Callable[[str], bool] | None = None
    ) -> AsyncIterator[str]:
        """SSE text."""
        del admits  # what it does is tested with the real stream
        if after is not None and (after + 1 < self.oldest or after > self.head):
            raise RefuseInput("gone", f"kept from {self.oldest}")
        self.resumed_after.append(after)
        return self._run(self.head if after is None else after)

    async def _run(self, after: int) -> AsyncIterator[str]:
        waiter = asyncio.Event()
        self._waiters.add(waiter)
        cuts = self._cuts
        try:
            while cuts == self._cuts:
                waiter.clear()
                if not self.silent:
                    for offset in range(after + 1, self.head + 1):
                        yield f"id: {offset}\nevent: alarm\ndata: {self.items[offset - 1]}\n\n"
                    after = self.head
                    beat = json.dumps({"offset": after, "oldest_unprocessed_ms": self.lag_ms})
                    yield f"id: {after}\nevent: heartbeat\ndata: {beat}\n\n"
                try:
                    async with asyncio.timeout(self.heartbeat_s):
                        await waiter.wait()
                except TimeoutError:
                    continue
        finally:
            self._waiters.discard(waiter)


class MemoryDesk:
    """Alarms in a dictionary."""

    def __init__(self, feed: MemoryFeed, clock: Clock) -> None:
        self._feed, self._clock = feed, clock
        self.alarms: dict[int, Alarm] = {}
        self.out: dict[str, OutOfService] = {}

    def put(self, alarm: Alarm) -> Alarm:
        """Set an alarm and tell the feed."""
        self.alarms[alarm.id] = alarm
        self._feed.append(alarm)
        return alarm

    def change(self, alarm_id: int, **fields: object) -> Alarm:
        """Change fields of an alarm and tell the feed."""
        fields.setdefault("changed_at", self._clock.wall_ms())
        return self.put(msgspec.structs.replace(self.alarms[alarm_id], **fields))

    async def acknowledge(
        self,
        alarm_id: int,
        *,
        by: str,
        note: str = "",
        scope: Scope = EVERYTHING,
        also: Sequence[Work] = (),
    ) -> Alarm:
        """Acknowledge as ISA-18.2 says."""
        del also
        assert scope.everything
        alarm = self.alarms.get(alarm_id)
        if alarm is None:
            raise RefuseInput("not_found", f"no alarm {alarm_id}")
        after = {"unacknowledged": "acknowledged", "return_to_normal_unacknowledged": "normal"}
        if alarm.state not in after:
            raise RefuseInput("not_acknowledgeable", f"alarm {alarm_id} is {alarm.state}")
        return self.change(
            alarm_id,
            state=after[alarm.state],
            acknowledged_at=self._clock.wall_ms(),
            acknowledged_by=by,
            note=note or None,
        )

    async def find(
        self,
        *,
        scope: Scope = EVERYTHING,
        states: Sequence[str] | None = None,
        asset: str | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> list[Alarm]:
        """Newest first."""
        assert scope.everything
        found = [
            alarm
            for alarm in sorted(self.alarms.values(), key=lambda alarm: -alarm.id)
            if (states is None or alarm.state in states)
            and asset in (None, alarm.asset)
            and (before_id is None or alarm.id < before_id)
        ]
        return found[:limit]

    async def get(self, alarm_id: int, *, scope: Scope = EVERYTHING) -> Alarm | None:
        """One."""
        assert scope.everything
        return self.alarms.get(alarm_id)

    async def shelve(
        self,
        alarm_id: int,
        *,
        until_ms: int,
        reason: str,
        by: str,
        scope: Scope,
        also: Sequence[Work] = (),
    ) -> Alarm:
        """Shelve; the limits are tested with the real desk."""
        del also
        now_ms = self._clock.wall_ms()
        shelf = {"shelved_at": now_ms, "shelve_ends_at": until_ms, "shelved_by": by}
        if self.alarms[alarm_id].severity == "emergency":
            raise RefuseInput("never_held", "an emergency is never shelved")
        return await self._act(alarm_id, "shelve", scope, shelve_reason=reason, **shelf)

    async def unshelve(self, alarm_id: int, *, scope: Scope, also: Sequence[Work] = ()) -> Alarm:
        """Take back."""
        del also
        return await self._act(alarm_id, "unshelve", scope)

    async def reset(self, alarm_id: int, *, scope: Scope, also: Sequence[Work] = ()) -> Alarm:
        """End the latch."""
        del also
        return await self._act(alarm_id, "reset", scope)

    async def _act(self, alarm_id: int, verb: Verb, scope: Scope, **fields: object) -> Alarm:
        assert scope.everything
        alarm = msgspec.structs.replace(self.alarms[alarm_id], **fields)
        moved = moves.act(alarm, verb, self._clock.wall_ms(), load_terms())
        if moved is None:
            raise RefuseInput("wrong_state", f"alarm {alarm_id} is {alarm.state}")
        return self.put(moved)

    async def take_out_of_service(
        self,
        asset: str,
        *,
        reason: str,
        by: str,
        return_expected_at: int | None = None,
        also: Sequence[Work] = (),
    ) -> OutOfService:
        """Remember it."""
        del also
        self.out[asset] = OutOfService(
            asset=asset,
            began_at=self._clock.wall_ms(),
            began_by=by,
            reason=reason,
            return_expected_at=return_expected_at,
        )
        return self.out[asset]

    async def return_to_service(self, asset: str, *, by: str, also: Sequence[Work] = ()) -> None:
        """Forget it."""
        del by, also
        if self.out.pop(asset, None) is None:
            raise RefuseInput("not_found", f"{asset} is not out of service")

    async def out_of_service(
        self, *, scope: Scope, asset: str | None = None
    ) -> Sequence[OutOfService]:
        """What is out."""
        assert scope.everything
        return [one for one in self.out.values() if asset in (None, one.asset)]


class MemoryTelemetry:
    """Readings in a dictionary."""

    def __init__(self) -> None:
        self.points: dict[str, list[tuple[int, Value]]] = {}
        self.asked: list[tuple[object, ...]] = []

    def readings(
        self, asset: str, points: Sequence[str], from_ms: int, to_ms: int, limit: int
    ) -> Series:
        """Raw values."""
        self.asked.append((asset, tuple(points), from_ms, to_ms, limit))
        found = {
            name: [(at, value) for at, value in values if from_ms <= at < to_ms][:limit]
            for name, values in self.points.items()
            if not points or name in points
        }
        return Series(points=found)

    def aggregate(
        self,
        asset: str,
        points: Sequence[str],
        from_ms: int,
        to_ms: int,
        step_ms: int,
        how: Aggregate,
    ) -> Series:
        """Only writes down what was asked."""
        self.asked.append((asset, tuple(points), from_ms, to_ms, step_ms, how))
        return Series(points={"speed": [(from_ms, 1.5)]})


@dataclass
class World:
    """An application and all that stands behind it."""

    services: Services
    database: Database
    registry: AssetRegistry
    gateways: GatewayBook
    feed: MemoryFeed
    desk: MemoryDesk
    telemetry: MemoryTelemetry
    clock: Clock
    organisations: OrganisationBook
    latest: dict[str, dict[str, LatestValue]] = field(default_factory=dict)
    ledgers: dict[str, list[SpoolLedger]] = field(default_factory=dict)
    ready: tuple[bool, str] = (True, "")

    @cached_property
    def app(self) -> FastAPI:
        """The application, built when it is asked for: many tests make one of their own."""
        return create_app(self.services)


async def open_world(
    folder: Path,
    *,
    clock: Clock | None = None,
    language: str = "zh",
    pages: bool = True,
    trust: Trust | None = None,
    snapshots: Snapshots | None = None,
    rates: Rates | None = None,
    sign_on: Callable[[AccessBook, OrganisationBook, Audit], SignOn] | None = None,
    database_url: str | None = None,
    check_address: Callable[[str], Awaitable[None]] = check_address,
) -> World:
    """Build an application over a fresh state database, without a URL a file in `folder`."""
    clock = clock or SystemClock()
    database = open_state(database_url or f"sqlite:///{folder / 'state.sqlite'}")
    registry, gateways = AssetRegistry(database, clock), GatewayBook(database)
    organisations, access = _people(database, clock)
    for book in (registry, gateways, organisations, access):
        await book.load()
    feed, telemetry, world = MemoryFeed(), MemoryTelemetry(), list[World]()
    desk, audit = MemoryDesk(feed, clock), AuditBook(database, clock, AUDIT_KEY)
    services = Services(
        data=_rules_of_data(database, clock),
        registry=registry,
        gateways=gateways,
        remote=_remote(folder, database, clock),
        ledger=_ledgers(world),
        alarms=desk,
        incidents=open_incidents(database, clock, registry),
        alarm_figures=FigureBook(database, clock, load_terms()),
        desk=open_desk(database, clock, registry),
        feed=feed,
        stream=feed.stream,
        receivers=open_receivers(database, clock, check_address),
        cap=open_cap(database, clock),
        telemetry=telemetry,
        latest=lambda asset: world[0].latest.get(asset, {}),
        scans=lambda **asked: database.read(lambda c: find_scans(c, **asked)),
        assets_of=lambda gateway: [LIFT] if gateway == "gw-jilin-0001" else [],
        ready=lambda: world[0].ready,
        metrics=lambda: b"suyuan_up 1\n",
        access=access,
        **_desks(database, clock, access, organisations),
        **open_platforms(database, clock, access, organisations, registry),
        photos=PhotoBook(database, clock, folder / "photos"),
        organisations=organisations,
        sign_ups=_sign_ups(database, clock, organisations),
        exports=Export(database, clock),
        trace=open_trace(database, clock, folder, check_address),
        codes=Codes(shipped_schemes(), LinkBook(database, clock)),
        cylinders=open_cylinders(database, clock, registry, organisations),
        lifts=open_lifts(database, clock, registry, organisations, folder),
        audit=audit,
        sign_on=sign_on and sign_on(access, organisations, audit),
        trust=trust,
        snapshots=snapshots,
        signing_keys=partial(signing.anchors, folder),
        clock=clock,
        rates=rates or Rates(),
        stopping=asyncio.Event(),
        language=language,
        mounts=(mount,) if pages else (),
    )
    parts = {"database": database, "feed": feed, "desk": desk, "telemetry": telemetry}
    books = {"registry": registry, "gateways": gateways, "organisations": organisations}
    given: dict[str, Any] = {**parts, **books, "clock": clock}
    world.append(World(services=services, **given))
    return world[0]


def open_desk(database: Database, clock: Clock, registry: AssetRegistry) -> RescueDesk:
    """Open the desk of the rescue centre."""
    return RescueDesk(
        links=PhoneLinks(database, clock),
        handovers=HandoverBook(database, clock),
        lifts=LiftFinder(database, registry.with_rescue_code, registry.peek),
        scripts=load_scripts(),
        causes=causes_of(_rescue().causes),
    )


def open_cylinders(
    database: Database, clock: Clock, registry: AssetRegistry, organisations: OrganisationBook
) -> CylinderDesks:
    """Open the registry of cylinders."""
    rules = _cylinder_rules()
    cylinders = Cylinders(database, clock, registry, organisations, zone=ZONE, rules=rules)
    watch = _watch()
    return CylinderDesks(
        cylinders,
        Inspections(cylinders),
        Vehicles(cylinders),
        Permits(database, clock),
        Imports(cylinders, clock),
        Fills(database),
        ReportDesk(database),
        CaseDesk(
            database,
            clock,
            zone=ZONE,
            watch=watch,
            alarms=CaseAlarms(watch, lambda _connection, _transitions: None),
            on_commit=lambda: None,
        ),
        AddressBook(
            database,
            clock,
            check=check_address,
            seal=OpenSeal(),
            mail=True,
            zone=ZONE,
            base_url="",
        ),
        Sheets(cylinders, rules),
    )


def open_lifts(
    database: Database,
    clock: Clock,
    registry: AssetRegistry,
    organisations: OrganisationBook,
    folder: Path,
) -> LiftDesks:
    """Open the files of lifts."""
    kinds, rules, catalogue = _lift_data()
    book = LiftBook(
        database,
        clock,
        registry,
        organisations,
        zone=ZONE,
        kinds=kinds,
        rules=rules,
        catalogue=catalogue,
        sign=partial(signing.sign, folder),
        keys=partial(signing.known_keys, folder),
        verify=signing.verify,
        fits=partial(fits, shipped_schemes()),
    )
    return LiftDesks(book, LiftImports(book, clock), CaseList(database, load_lift_terms()))


@cache
def _lift_data() -> tuple[Kinds, CalendarRules, Catalogue]:
    return load_kinds(), load_calendar(), load_catalogue()


def open_incidents(database: Database, clock: Clock, registry: AssetRegistry) -> IncidentDesk:
    """Open the desk of rescues; its items go to no feed."""
    return IncidentDesk(
        database,
        clock,
        Book(lambda _c, _event, _data: 0, lambda _c: None, ZONE),
        _rescue(),
        find_code=registry.with_rescue_code,
        find=registry.add_finding,
        on_commit=lambda: None,
    )


@cache
def _rescue() -> RescueRules:
    return load_rescue()


@cache
def _watch() -> Watch:
    return load_watch()


def _ledgers(world: list[World]) -> Callable[[str], Awaitable[list[SpoolLedger]]]:
    async def ledger(gateway_id: str) -> list[SpoolLedger]:
        return world[0].ledgers.get(gateway_id, [])

    return ledger


def _people(database: Database, clock: Clock) -> tuple[OrganisationBook, AccessBook]:
    organisations = OrganisationBook(database, clock)
    access = AccessBook(database, clock, admin_token=TOKEN, organisations=organisations.peek)
    organisations.on_members.append(access.refresh)
    return organisations, access


def _sign_ups(database: Database, clock: Clock, organisations: OrganisationBook) -> SignUpDesk:
    return SignUpDesk(
        database,
        clock,
        organisations,
        limiter=FailureLimiter(ATTEMPTS_WINDOW_MS, ATTEMPTS_MAX),
        hash_password=hash_password,
        new_id=lambda: f"firm-{secrets.token_hex(6)}",
    )


def _rules_of_data(database: Database, clock: Clock) -> RulesOfData:
    async def runs(limit: int) -> list[RetentionRun]:
        return await database.read(lambda c: read_runs(c, limit))

    rules = shipped_rules()
    made = OpenDataSource(database, rules.open(), clock, ZONE)
    return RulesOfData(rules=rules, runs=runs, open=made)


def _remote(folder: Path, database: Database, clock: Clock) -> RemoteBook:
    releases = Releases(folder / "releases")
    return RemoteBook(database, clock, sign=partial(signing.sign, folder), releases=releases)


def entrapment(clock: Clock | ManualClock, alarm_id: int = 1, **fields: object) -> Alarm:
    """A fresh entrapment of LIFT."""
    now = clock.wall_ms()
    alarm = Alarm(
        id=alarm_id,
        alert="Entrapment",
        asset=LIFT,
        severity="emergency",
        state="unacknowledged",
        raised_at=now,
        observed_at=now - 400,
        changed_at=now,
        evidence="alarm_button",
        values={"message_code": ["90"], "passenger_status": True, "service_mode": "normal"},
        annotations={
            "summary": "Passengers trapped",
            "summary_zh": "电梯困人",
            "cause": "Lift stopped with someone inside.",
            "cause_zh": "电梯停止运行且轿厢内有人。",
            "response": "Call the car, then send the rescue team.",
            "response_zh": "先与轿厢通话安抚，再派救援人员到场。",
        },
    )
    return msgspec.structs.replace(alarm, **fields)


@cache
def _cylinder_rules() -> RuleBook:
    return load_rules(data_root() / "cylinders")


def _desks(
    database: Database, clock: Clock, access: AccessBook, organisations: OrganisationBook
) -> dict[str, Any]:
    """Make the desks of accounts and of handhelds."""
    rules = _cylinder_rules()
    return {
        "accounts": AccountDesk(database, clock, access, organisations),
        "handhelds": HandheldBook(database, clock, offline_grace_s=3 * 86_400, rules=rules),
        "devices": DeviceDesk(database, clock, access, organisations),
        "own": OwnAccount(clock, access),
    }
