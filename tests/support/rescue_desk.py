"""A rescue centre with everything real behind its pages: state, feed, alarms, rescues."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from cloud.alarms.desk import TURN, AlarmDesk
from cloud.api.app import create_app
from cloud.api.base import Services
from cloud.feed.sse import stream
from cloud.feed.store import FeedStore
from cloud.incidents.book import Book
from cloud.incidents.desk import IncidentDesk
from cloud.incidents.runner import DeadlineRunner
from cloud.model.audit import open_head
from cloud.model.database import take_turn
from cloud.model.granting import grant
from cloud.model.incident import Act, Call, Incident, RescueUnit, Verb
from cloud.model.permissions import administrator
from cloud.model.rescue_policy import load_rescue
from cloud.model.transition import Transition
from protocols.clock import Clock
from tests.support.firms import firm_details, put
from tests.support.http_services import AUDIT_KEY, ZONE, World, open_world

ROOT = administrator("token", "token:admin", "admin")
HERE = (43.8378, 126.5494)
"""Latitude and longitude of the city."""
STREETS = ("解放大路", "吉林大街", "松江中路", "重庆路", "光华路", "青年路", "北京路", "遵义东路")
PLACES = (
    "人民广场",
    "万达广场",
    "中心医院",
    "江畔花园",
    "世纪名苑",
    "火车站",
    "财富大厦",
    "第一中学",
)
DISTRICTS = ("船营区", "昌邑区", "龙潭区", "丰满区")


@dataclass
class Centre:
    """The centre."""

    world: World
    services: Services
    app: FastAPI
    feed: FeedStore
    alarms: AlarmDesk
    incidents: IncidentDesk
    runner: DeadlineRunner
    lifts: list[str] = field(default_factory=list)

    @property
    def clock(self) -> Clock:
        """The service's."""
        return self.world.clock

    async def lift(self, number: int, **attributes: Any) -> str:
        """Register a lift of the city; its rescue code is 310000 and its number."""
        asset = f"elevator:3110220200202400{number:04d}"
        north, east = (number * 7 % 23 - 11) / 300, (number * 5 % 19 - 9) / 250
        given = {
            "address": f"{STREETS[number % 8]} {number * 3 + 1} 号",
            "building": f"{number % 4 + 1} 栋",
            "district": DISTRICTS[number % 4],
            "rescue_code": f"{310_000 + number}",
            "floors": 12 + number % 20,
            "latitude": HERE[0] + north,
            "longitude": HERE[1] + east,
            "maintenance_phone": "0432-6255 0101",
            "owner_name": "张经理",
            "owner_phone": "0432-6255 0199",
        }
        await self.services.registry.put(
            asset,
            kind="elevator",
            name=f"{PLACES[number % 8]} {number} 号梯",
            gateways=[],
            attributes=given | attributes,
            parties={"maintainer": "firm-a", "owner": "firm-b"},
        )
        self.lifts.append(asset)
        return asset

    async def trap(self, asset: str, alert: str = "Entrapment", **more: Any) -> None:
        """Let an alarm be raised for a lift."""
        now_ms = self.clock.wall_ms()
        fired = Transition(
            asset=asset,
            alert=alert,
            severity=more.pop("severity", "emergency"),
            change="fired",
            at=now_ms,
            observed_at=now_ms - 1_000,
            **more,
        )
        await self.world.database.write(lambda c: self.alarms.apply(c, [fired]))
        self.feed.committed()

    async def call(self, asset: str, **fields: Any) -> Incident:
        """Take a call down."""
        granted = grant(ROOT, "incidents.call")
        return await self.incidents.open_call(Call(asset=asset, **fields), granted=granted)

    async def act(self, incident: int, verb: Verb, **fields: Any) -> Incident:
        """Do something at the desk."""
        granted = grant(ROOT, "incidents.act")
        return await self.incidents.act(incident, verb, Act(**fields), granted=granted)


@asynccontextmanager
async def open_centre(
    folder: Path, *, clock: Clock | None = None, lifts: int = 3, runs: bool = True
) -> AsyncIterator[Centre]:
    """Open it with some lifts, two firms and rescue units; `runs`: deadlines fire by themselves."""
    world = await open_world(folder, clock=clock)
    world.database.write_now(lambda c: open_head(c, AUDIT_KEY))
    feed = FeedStore(world.database, world.clock)
    incidents = IncidentDesk(
        world.database,
        world.clock,
        Book(feed.append, lambda c: take_turn(c, TURN), ZONE),
        load_rescue(),
        find_code=world.registry.with_rescue_code,
        find=world.registry.add_finding,
        on_commit=feed.committed,
    )
    alarms = AlarmDesk(
        database=world.database,
        clock=world.clock,
        append_feed=feed.append,
        on_commit=feed.committed,
        follow=incidents.follow,
    )
    await feed.load()
    services = replace(
        world.services,
        alarms=alarms,
        feed=feed,
        incidents=incidents,
        stream=lambda after, admits: stream(
            feed,
            after=after,
            admits=admits,
            heartbeat_s=1.0,
            lag_ms=lambda: 0,
            stopping=world.services.stopping,
        ),
    )
    runner = DeadlineRunner(incidents, world.clock)
    centre = Centre(world, services, create_app(services), feed, alarms, incidents, runner)
    await _fill(centre, lifts)
    task = asyncio.create_task(runner.run()) if runs else None
    try:
        yield centre
    finally:
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        world.database.close()


async def _fill(centre: Centre, lifts: int) -> None:
    for number, (firm, name) in enumerate((("firm-a", "吉安电梯维保"), ("firm-b", "万家物业")), 1):
        await put(centre.world, firm, firm_details(number, name=name))
    for number in range(1, lifts + 1):
        await centre.lift(number)
    for unit, name, level, north, east in (
        ("firm-a", "吉安电梯维保", 1, 0.004, 0.003),
        ("station-1", "船营区救援站", 2, 0.012, -0.02),
        ("station-2", "昌邑区救援站", 2, -0.02, 0.03),
        ("fire-119", "消防救援 119", 3, 0.03, 0.01),
    ):
        await centre.incidents.put_unit(
            RescueUnit(
                unit=unit,
                name=name,
                level=level,
                phone=f"0432-6{level}55 0{level}01",
                latitude=HERE[0] + north,
                longitude=HERE[1] + east,
                organisation="firm-a" if unit == "firm-a" else None,
            )
        )
