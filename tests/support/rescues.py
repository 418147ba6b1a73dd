"""A rescue desk on a real state database, with lifts, firms and stations around it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from cloud.alarms.desk import TURN, AlarmDesk
from cloud.incidents.book import Book
from cloud.incidents.desk import IncidentDesk
from cloud.incidents.runner import DeadlineRunner
from cloud.model.database import Database, take_turn
from cloud.model.granting import grant
from cloud.model.incident import (
    Act,
    Call,
    Entry,
    Incident,
    RescueUnit,
    Verb,
    WantedIncidents,
)
from cloud.model.permissions import Reach, administrator, permissions
from cloud.model.principal import Principal
from cloud.model.rescue_policy import RescueRules, load_rescue
from cloud.model.transition import Change, Transition
from cloud.registry.assets import AssetRegistry
from protocols.clock import Clock, ManualClock

ZONE = ZoneInfo("Asia/Shanghai")
ROOT = administrator("token", "token:admin", "admin")
LIFT, OTHER = "elevator:31101099920240017", "elevator:31101099920240018"
HERE = {"latitude": 43.84, "longitude": 126.55}


def operator(name: str = "李四", districts: frozenset[str] | None = None) -> Principal:
    """Return somebody at the desk."""
    reach = Reach(organisation="centre", districts=districts, account=1)
    return _principal(name, "centre", permissions(["rescue_operator"], reach))


def worker(organisation: str, name: str = "王五") -> Principal:
    """Return somebody of a firm."""
    reach = Reach(organisation=organisation, account=2)
    return _principal(name, organisation, permissions(["maintenance_worker"], reach))


def _principal(by: str, organisation: str, may: Any) -> Principal:
    return Principal(
        kind="account", id=f"account:{by}", by=by, organisation=organisation, account=1, may=may
    )


@dataclass
class Centre:
    """A desk, its runner, the alarms it follows, and everything they wrote."""

    database: Database
    clock: Any
    """A `Clock`; tests that wait have a `ManualClock`."""
    registry: AssetRegistry
    rules: RescueRules
    feed: list[str] = field(default_factory=list)
    found: list[tuple[str, str, str]] = field(default_factory=list)
    commits: int = 0
    append_feed: Callable[[Connection, str, str], int] | None = None
    """What keeps the feed; None: a list."""

    def __post_init__(self) -> None:
        """Put the parts together."""
        book = Book(self._append, lambda c: take_turn(c, TURN), ZONE)
        self.desk = IncidentDesk(
            self.database,
            self.clock,
            book,
            self.rules,
            find_code=self.registry.with_rescue_code,
            find=lambda asset, reason, detail, _at: self.found.append((asset, reason, detail)),
            on_commit=self._committed,
        )
        self.runner = DeadlineRunner(self.desk, self.clock)
        self.alarms = AlarmDesk(
            database=self.database,
            clock=self.clock,
            append_feed=self._append,
            on_commit=self._committed,
            follow=self.desk.follow,
        )

    def _append(self, connection: Connection, event: str, data: str) -> int:
        if self.append_feed is not None:
            return self.append_feed(connection, event, data)
        if event == "incident":
            self.feed.append(data)
        return len(self.feed)

    def _committed(self) -> None:
        self.commits += 1

    async def lift(
        self,
        asset: str = LIFT,
        *,
        code: str = "",
        parties: Mapping[str, str] | None = None,
        **attributes: Any,
    ) -> str:
        """Register a lift that firm-a maintains."""
        given = {"district": "chuanying", **HERE, **attributes}
        await self.registry.put(
            asset,
            kind="elevator",
            name="",
            gateways=[],
            attributes=given | ({"rescue_code": code} if code else {}),
            parties={"maintainer": "firm-a"} if parties is None else parties,
        )
        return asset

    async def unit(self, name: str, level: int = 2, *, north_m: float = 0, **fields: Any) -> None:
        """Register a unit so far north of the lift."""
        latitude = HERE["latitude"] + north_m / 111_195
        place = {"latitude": latitude, "longitude": HERE["longitude"]}
        unit = RescueUnit(unit=name, name=name, level=level, **{**place, **fields})
        await self.desk.put_unit(unit)

    async def alarm(
        self, change: Change = "fired", asset: str = LIFT, alert: str = "Entrapment", **more: Any
    ) -> None:
        """Let an alert change."""
        now_ms = self.clock.wall_ms()
        one = Transition(
            asset=asset,
            alert=alert,
            severity="emergency",
            change=change,
            at=now_ms,
            observed_at=more.pop("observed_at", now_ms - 20_000),
            **more,
        )
        await self.database.write(lambda c: self.alarms.apply(c, [one]))

    async def call(self, by: Principal = ROOT, **fields: Any) -> Incident:
        """Take a call down."""
        return await self.desk.open_call(Call(**fields), granted=grant(by, "incidents.call"))

    async def act(
        self, incident: Incident | int, verb: Verb, by: Principal = ROOT, **fields: Any
    ) -> Incident:
        """Do something."""
        number = incident if isinstance(incident, int) else incident.id
        call = "incidents.act" if by.scope("incidents.act") else "incidents.answer"
        return await self.desk.act(number, verb, Act(**fields), granted=grant(by, call))

    async def opened(self, asset: str = LIFT) -> Incident:
        """Open an incident by an alarm and return it."""
        await self.alarm(asset=asset)
        (found,) = await self.open()
        return found

    async def open(self) -> list[Incident]:
        """Return those that have not ended."""
        return await self.desk.find(WantedIncidents(open=True, limit=1_000))

    async def words(self, incident: Incident | int) -> list[str]:
        """Return what stands in its record, in words."""
        return [one.what for one in await self.record(incident)]

    async def record(self, incident: Incident | int) -> list[Entry]:
        """Return its record."""
        number = incident if isinstance(incident, int) else incident.id
        return await self.desk.record(number)

    async def wait(self, seconds: float) -> None:
        """Let time pass, and fire what falls due in it when it does."""
        end_ms = self.clock.wall_ms() + int(seconds * 1_000)
        while True:
            due = await self.desk.next_due()
            if due is None or due > end_ms:
                break
            self.clock.advance(max(0, due - self.clock.wall_ms()))
            await self.runner.look()
        self.clock.advance(end_ms - self.clock.wall_ms())

    def rows(self, table: Any) -> list[Any]:
        """Return all rows of a table."""
        return self.database.read_now(lambda c: list(c.execute(select(table)).all()))


async def open_centre(
    database: Database,
    clock: Clock | None = None,
    rules: RescueRules | None = None,
    append_feed: Callable[[Connection, str, str], int] | None = None,
) -> Centre:
    """Open a desk."""
    clock = clock or ManualClock()
    registry = AssetRegistry(database, clock)
    await registry.load()
    return Centre(database, clock, registry, rules or load_rescue(), append_feed=append_feed)
