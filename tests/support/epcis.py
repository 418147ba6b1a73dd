"""Asking the REST binding of EPCIS, as the administrator and as people of firms."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx
from fastapi import FastAPI

from cloud.access.base import Access
from cloud.api.app import create_app
from protocols.clock import ManualClock
from tests.support.audited import Door
from tests.support.epcis_bodies import document
from tests.support.firms import (
    DISTRICT,
    OTHER_DISTRICT,
    People,
    district_details,
    firm_details,
    put,
)
from tests.support.http_services import TOKEN, World, open_world

ADMIN = {"Authorization": f"Bearer {TOKEN}"}


def part(text: str) -> str:
    """Return text as one part of a path."""
    return quote(text, safe="")


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """Return the events of a query document."""
    assert answer.status_code in (200, 201), answer.text
    found = answer.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    return cast("list[dict[str, Any]]", found)


@dataclass
class Asked:
    """The application, and who asks it."""

    world: World
    app: FastAPI
    client: httpx.AsyncClient
    people: People
    clock: ManualClock

    def firm(self, name: str = "firm-a", role: str = "enterprise_manager") -> dict[str, str]:
        """Return the headers of somebody of a firm."""
        return self.people.give(role, name)

    async def get(self, path: str, who: Mapping[str, str] = ADMIN, **headers: str) -> Any:
        """Ask; header names with _ for -."""
        return await self.client.get(f"/epcis{path}", headers={**who, **_named(headers)})

    async def post(
        self, path: str, body: Any, who: Mapping[str, str] = ADMIN, **headers: str
    ) -> httpx.Response:
        """Send JSON."""
        given = {**who, **_named(headers)}
        return await self.client.post(f"/epcis{path}", json=body, headers=given)

    async def capture(self, *events: Mapping[str, Any], who: Mapping[str, str] = ADMIN) -> None:
        """Store events."""
        answer = await self.post("/capture", document(*events), who)
        assert answer.status_code == 202, answer.text
        job = await self.get(answer.headers["location"].removeprefix("/epcis"), who)
        assert job.json()["success"], job.text


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@asynccontextmanager
async def open_asked(folder: Path) -> AsyncIterator[Asked]:
    """Build it: firm-a in one district, firm-b in another, an office of the first."""
    clock = ManualClock()
    world = await open_world(folder, clock=clock, pages=False)
    await put(world, "firm-a", firm_details(1))
    await put(world, "firm-b", firm_details(2, districts=(OTHER_DISTRICT,)))
    await put(world, "office", district_details(DISTRICT))
    people = People(world)
    app = create_app(
        replace(world.services, access=cast("Access", Door(world.services.access, people)))
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield Asked(world, app, client, people, clock)
    world.database.close()
