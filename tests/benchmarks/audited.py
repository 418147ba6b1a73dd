"""What the audit costs: `python -m tests.benchmarks.audited [--entries 1000000] [--changes 1000]`.

Acknowledgements by the alarm desk, and looks at an asset over the API in this process, by turns
with and without the audit; then how fast a long audit is written, read by a regulator, and
verified. SQLite with full sync, and PostgreSQL on this machine where there is one. The goal: at
most 1 ms more at p99 for a read.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from cloud.alarms.desk import AlarmDesk
from cloud.api.app import create_app
from cloud.audit.book import AuditBook
from cloud.audit.verify import verify
from cloud.feed.store import FeedStore
from cloud.model.audit import Entry, append, open_head
from cloud.model.audited import AuditPage, AuditQuery
from cloud.model.database import Database, Work
from cloud.model.permissions import administrator
from cloud.model.principal import EVERYTHING, Granted, Remit, Scope
from cloud.model.transition import Transition
from protocols.clock import SystemClock
from tests.benchmarks.rig import markdown, where_and_when
from tests.campaigns.audit_chain import postgres_url
from tests.support.http_services import LIFT, TOKEN, open_world
from tests.support.postgres import BIN
from tests.support.state_database import open_state

KEY = bytes(32)
ROOT = Granted(administrator("token", "token:admin", "admin"), "alarms.acknowledge", EVERYTHING)
FEW = Scope(remits=(Remit(frozenset({"nowhere"})),))
"""Of a regulator for whom nothing fits: the slowest page there is."""


class NoAudit:
    """Writes nothing."""

    def noted(self, *_entries: Entry) -> Work:
        """Return what does nothing."""
        return lambda _connection: None

    async def note(self, *_entries: Entry) -> None:
        """Do nothing."""

    async def look(self, _granted: Granted, _shown: Mapping[str, Collection[str]]) -> None:
        """Do nothing."""

    async def find(self, _query: AuditQuery) -> AuditPage:
        """Find nothing."""
        return AuditPage([], None)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--changes", type=int, default=1_000)
    asked = parser.parse_args()
    print(where_and_when(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(_run(Path(folder), asked.changes, asked.entries))
    print(markdown(("what", "database", "p50 ms", "p99 ms", "p99 more ms"), rows[0]))
    print(markdown(("a long audit", "database", "figure"), rows[1]))


async def _run(folder: Path, changes: int, entries: int) -> tuple[list[list[str]], list[list[str]]]:
    short, long = await _reads(folder, changes), []
    async with AsyncExitStack() as stack:
        urls = {"SQLite": f"sqlite:///{folder / 'state.db'}"}
        if BIN is not None:
            urls["PostgreSQL"] = stack.enter_context(postgres_url(folder))
        for name, url in urls.items():
            database = open_state(url)
            database.write_now(lambda c: open_head(c, KEY))
            short += await _acknowledgements(database, name, changes)
            long += await _long(database, name, entries)
            database.close()
    return short, long


async def _acknowledgements(database: Database, name: str, count: int) -> list[list[str]]:
    clock = SystemClock()
    feed = FeedStore(database, clock)
    await feed.load()
    desk = AlarmDesk(
        database=database, clock=clock, append_feed=feed.append, on_commit=feed.committed
    )
    fired = [_fired(number) for number in range(2 * count)]
    await database.write(lambda c: desk.apply(c, fired))
    book, numbers = AuditBook(database, clock, KEY), iter(range(1, 2 * count + 1))

    async def acknowledge(*, audited: bool) -> None:
        number = next(numbers)
        entry = Entry(recorded_at=1, by="account:1", call="alarms.acknowledge", subject=LIFT)
        await desk.acknowledge(number, by="x", also=[book.noted(entry)] if audited else [])

    return await _compare(
        {
            "acknowledgement, not audited": lambda: acknowledge(audited=False),
            "acknowledgement, audited": lambda: acknowledge(audited=True),
        },
        name,
        count,
    )


async def _reads(folder: Path, count: int) -> list[list[str]]:
    world = await open_world(folder, clock=SystemClock(), pages=False)
    world.database.write_now(lambda c: open_head(c, KEY))
    services, attributes = world.services, {"maintenance_phone": "1"}
    await world.registry.put(LIFT, kind="elevator", name="", gateways=[], attributes=attributes)
    clients = {}
    async with AsyncExitStack() as stack:
        for name, one in (("audited", services), ("not", replace(services, audit=NoAudit()))):
            clients[name] = await stack.enter_async_context(_client(create_app(one)))

        async def look(name: str, *, first: bool = False) -> None:
            if first:
                services.audit._looks.clear()  # type: ignore[attr-defined]  # as an hour later
            answer = await clients[name].get(f"/api/v1/assets/{LIFT}")
            assert answer.status_code == 200, answer.text

        rows = await _compare(
            {
                "look at an asset, not audited": lambda: look("not"),
                "look, audited": lambda: look("audited"),
                "first look of an hour": lambda: look("audited", first=True),
            },
            "SQLite",
            count,
        )
    world.database.close()
    return rows


@asynccontextmanager
async def _client(app: object) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # FastAPI is one
    async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        yield client


async def _compare(
    works: Mapping[str, Callable[[], Awaitable[None]]], database: str, count: int
) -> list[list[str]]:
    """Measure by turns, so that a slow moment of the machine meets all of them."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(count):
        for name, work in works.items():
            began = time.perf_counter()
            await work()
            taken[name].append(1000 * (time.perf_counter() - began))
    plain = _p99(next(iter(taken.values())))
    return [
        [
            *(name, database, f"{statistics.median(one):.2f}", f"{_p99(one):.2f}"),
            f"{_p99(one) - plain:+.2f}",
        ]
        for name, one in taken.items()
    ]


async def _long(database: Database, name: str, entries: int) -> list[list[str]]:
    began = time.perf_counter()
    for start in range(0, entries, 1_000):
        made = [_entry(number) for number in range(start, min(entries, start + 1_000))]
        database.write_now(lambda c, m=made: append(c, KEY, *m))  # type: ignore[misc]
    written = entries / (time.perf_counter() - began)
    book, taken = AuditBook(database, SystemClock(), KEY), []
    for scope in (EVERYTHING, FEW):
        began = time.perf_counter()
        page = await book.find(AuditQuery(scope=scope, limit=50))
        taken.append(1000 * (time.perf_counter() - began))
        assert page.next_seq
    began = time.perf_counter()
    verdict = database.read_now(lambda c: verify(c, KEY))
    assert not verdict.faults
    read = verdict.entries / (time.perf_counter() - began)
    return [
        [f"{entries:,} entries written, 1,000 in a transaction", name, f"{written:,.0f}/s"],
        ["newest page, administrator", name, f"{taken[0]:.1f} ms"],
        ["newest page, regulator for whom nothing fits", name, f"{taken[1]:.1f} ms"],
        ["verified", name, f"{read:,.0f}/s"],
    ]


def _p99(taken: Sequence[float]) -> float:
    return statistics.quantiles(taken, n=100)[98]


def _fired(number: int) -> Transition:
    return Transition(
        asset=f"elevator:{number}",
        alert="Entrapment",
        severity="emergency",
        change="fired",
        at=1,
        observed_at=1,
    )


def _entry(number: int) -> Entry:
    return Entry(
        recorded_at=1_764_000_000_000 + number,
        by=f"account:{number % 50}",
        organisation=f"firm-{number % 20}",
        call="assets.read",
        subject=f"asset:elevator:{number % 5_000}",
        detail={"shown": ["asset.attributes.maintenance_phone"]},
    )


if __name__ == "__main__":
    main()
