"""Work lists, calendar and figures of cylinders over HTTP, and their pages."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud.cylinders.watch.alarms import CaseAlarms
from cloud.cylinders.watch.cases import Raised
from cloud.cylinders.watch.runner import CylinderWatch
from cloud.model.granting import grant
from protocols.clock import ManualClock
from protocols.cylinders.watch import Entry
from tests.support.cylinders import CODE, FIRMS, ZONE, code_of, file_of
from tests.support.firms import DISTRICT, ROOT, firm_details
from tests.support.http_services import TOKEN, World, open_world
from tests.support.watch import BOOK, WATCH

BASE = "/api/v1/cylinder-cases"
TODAY = datetime(2028, 3, 1, 12, tzinfo=ZONE)


@dataclass
class Lists:
    """A service with a bottle that is due, two that are overdue, and an overfilled one."""

    world: World
    client: httpx.AsyncClient

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def lists(tmp_path: Path) -> AsyncIterator[Lists]:
    clock = ManualClock(round(TODAY.timestamp() * 1_000))
    world = await open_world(tmp_path, clock=clock, language="en")
    for number, (name, kind) in enumerate(FIRMS.items()):
        details = firm_details(number, kind=kind, categories=("special_equipment",))
        await world.organisations.put(name, details, by=ROOT)
    granted = grant(ROOT, "cylinders.write")
    desk = world.services.cylinders.cylinders
    for number, made in enumerate(("2024-03", "2023-12", "2023-11")):
        file = file_of(number, manufactured_on=made, filler="gas-b" if number == 2 else "gas-a")
        await desk.register(granted, code_of(number), file, DISTRICT)
    alarms = CaseAlarms(WATCH, lambda _connection, _transitions: None)
    watch = CylinderWatch(
        world.database,
        clock,
        zone=ZONE,
        watch=WATCH,
        book=BOOK,
        alarms=alarms,
        on_commit=lambda: None,
    )
    await watch.look()
    facts = {"after_kg": 32.5, "limit_kg": 31.4, "gate": "hall-1"}
    entry = Entry("overfilled", "7", TODAY.date())
    raised = Raised(code_of(0), entry, "gas-b", facts)
    world.database.write_now(lambda c: alarms.raise_new(c, [raised], clock.wall_ms()))
    transport = httpx.ASGITransport(app=world.app)
    async with httpx.AsyncClient(
        transport=transport,
        base_url="http://test",
        headers={"Authorization": f"Bearer {TOKEN}"},
    ) as client:
        yield Lists(world, client)
    world.database.close()


async def test_lists_are_in_the_order_of_their_days_and_in_pages(lists: Lists) -> None:
    found = await lists.get(BASE)
    told = [(one["kind"], one["subject"], one["day"]) for one in found]
    assert told == [
        ("overdue", code_of(2), "2027-11-30"),
        ("overdue", code_of(1), "2027-12-31"),
        ("overfilled", code_of(0), "2028-03-01"),
        ("due", code_of(0), "2028-03-31"),
    ]
    paged, path = [], f"{BASE}?limit=1"
    while path:
        answer = await lists.client.get(path)
        paged += answer.json()
        link = re.match("<(.+)>", answer.headers.get("link", ""))
        path = link[1] if link else ""
    assert paged == found


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"kind": "overdue"}, 2),
        ({"kind": "due", "within_days": 30}, 1),
        ({"kind": "due", "within_days": 7}, 0),
        ({"filler": "gas-b"}, 1),
        ({"station": "gas-b"}, 1),
        ({"district": DISTRICT}, 4),
        ({"district": "elsewhere"}, 0),
        ({"shell": "lpg_household"}, 4),
        ({"subject": code_of(0)}, 2),
        ({"from": "2028-01-01", "to": "2028-03-30"}, 1),
        ({"state": "ended"}, 0),
    ],
)
async def test_filters(lists: Lists, asked: dict[str, Any], count: int) -> None:
    assert len(await lists.get(BASE, **asked)) == count


@pytest.mark.parametrize(
    "asked", ["kind=late", "state=shut", "from=soon", "after=x", "limit=0", "colour=red"]
)
async def test_what_cannot_be_asked_is_refused(lists: Lists, asked: str) -> None:
    answer = await lists.client.get(f"{BASE}?{asked}")
    assert answer.status_code == 400, answer.text


async def test_a_case_is_closed_with_a_word_and_once(lists: Lists) -> None:
    (one,) = await lists.get(BASE, kind="overfilled")
    path = f"{BASE}/{one['id']}/close"
    assert (await lists.client.post(path, json={"note": ""})).status_code == 400
    closed = await lists.client.post(path, json={"note": "drawn off, weighed again"})
    assert (closed.status_code, closed.json()["note"]) == (200, "drawn off, weighed again")
    assert (await lists.client.post(path, json={"note": "again"})).status_code == 409
    assert not await lists.get(BASE, kind="overfilled")
    (ended,) = await lists.get(BASE, state="ended")
    assert ended["id"] == one["id"]
    assert (await lists.client.get(f"{BASE}/999999")).status_code == 404


async def test_what_is_overdue_is_closed_by_no_word(lists: Lists) -> None:
    one = (await lists.get(BASE, kind="overdue"))[0]
    answer = await lists.client.post(f"{BASE}/{one['id']}/close", json={"note": "never mind"})
    assert answer.status_code == 409


async def test_calendar_and_its_download(lists: Lists) -> None:
    days = await lists.get("/api/v1/cylinder-calendar")
    assert {"day": "2028-03-31", "kind": "due", "count": 1} in days
    answer = await lists.client.get("/api/v1/cylinder-calendar.ics", params={"language": "zh"})
    assert answer.headers["content-type"].startswith("text/calendar")
    text = answer.content.decode()
    assert text.startswith("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n")
    assert text.endswith("END:VCALENDAR\r\n")
    assert "DTSTART;VALUE=DATE:20280331\r\nDTEND;VALUE=DATE:20280401\r\n" in text
    assert "SUMMARY:即将到检：1 只\r\n" in text
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    far = await lists.client.get("/api/v1/cylinder-calendar?from=2028-01-01&to=2030-01-01")
    assert far.status_code == 400


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (
            "filler",
            {
                "gas-a": (2, {"due_30": 1, "overdue": 1, "overfilled": 1}),
                "gas-b": (1, {"overdue": 1}),
            },
        ),
        ("kind", {"lpg_household": (3, {"due_30": 1, "overdue": 2, "overfilled": 1})}),
        ("district", {DISTRICT: (3, {"due_30": 1, "overdue": 2, "overfilled": 1})}),
    ],
)
async def test_figures(lists: Lists, by: str, expected: dict[str, Any]) -> None:
    found = await lists.get("/api/v1/cylinder-figures", by=by)
    assert {one["name"]: (one["cylinders"], one["open"]) for one in found} == expected


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_pages(lists: Lists, language: str) -> None:
    lists.client.cookies.set("suyuan_language", language)
    signed_in = await lists.client.post("/login", data={"token": TOKEN})
    assert signed_in.status_code in (200, 303)
    page = (await lists.client.get("/cylinder-cases")).text
    assert code_of(2).partition(":")[2] in page
    assert "32.5" in page
    page = (await lists.client.get("/cylinder-calendar")).text
    assert "kind=due&amp;from=2028-03-31&amp;to=2028-03-31" in page
    page = (await lists.client.get("/cylinder-figures?by=district")).text
    assert DISTRICT in page
    assert (await lists.client.get("/cylinder-calendar.ics")).content.startswith(b"BEGIN:VCALENDAR")
    assert (await lists.client.get("/cylinder-cases?kind=nonsense")).status_code == 400
    assert CODE not in page
