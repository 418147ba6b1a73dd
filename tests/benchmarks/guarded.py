"""What the look at who may see what costs: `python -m tests.benchmarks.guarded [--lifts 40000]`.

One application in this process over a SQLite file (or the PostgreSQL of `--database`) with lifts,
their firms, alarms and scans. Each request is made by turns without any look, as an administrator,
as a regulator of one district and as firms with 30 lifts on as many gateways, one of which has seen
nothing for long: a slow moment of the machine meets all of them. p50 and p99 of whole requests,
without a network, `--repeat` times: of their time, and of this process's share of the processors,
which others on the machine do not lengthen. The goal: at most 1 ms more at p99.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import httpx
import msgspec
from fastapi import FastAPI
from sqlalchemy import insert
from starlette.requests import HTTPConnection

from cloud.access.base import Access
from cloud.alarms.desk import AlarmDesk
from cloud.api import app as application
from cloud.api.base import Services
from cloud.api.guard import Guard
from cloud.feed.store import FeedStore
from cloud.model import tables
from cloud.model.granting import mark
from cloud.model.principal import EVERYTHING, Granted
from cloud.registry.assets import AssetRegistry
from protocols.clock import SystemClock
from tests.benchmarks.rig import markdown, where_and_when
from tests.support.cells import Caller, TableAccess
from tests.support.http_services import open_world

DISTRICTS, FIRM_LIFTS, ALARMS, SCANS, LIFTS_PER_GATEWAY = 12, 30, 10_000, 400_000, 4
PLAIN, WARM_UP = "nobody looked at", 20
SILENT, SILENT_FIRM = "firm whose gateways fell silent", 700
CALLERS = {
    "administrator": Caller("administrator"),
    "regulator of one district": Caller("regulator", "office", frozenset({"district-0"})),
    "firm with 30 lifts": Caller("enterprise_manager", "firm-3"),
    SILENT: Caller("enterprise_manager", f"firm-{SILENT_FIRM}"),
}
HEADINGS = ("call", "asked by", *("p50 ms", "more", "p99 ms", "more"), "CPU p99 ms", "more")
Times = list[tuple[float, float]]
"""ms of each request, and ms of CPU."""
LIFT = "elevator:000003"
"""In the district and of the firm that ask."""
PATHS = {
    "one asset": f"/api/v1/assets/{LIFT}",
    "100 newest alarms": "/api/v1/alarms?limit=100",
    "open alarms of one asset": f"/api/v1/alarms?asset={LIFT}&state=open",
    "100 newest scans": "/api/v1/scans?limit=100",
}


def main() -> None:
    """Fill, ask and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lifts", type=int, default=40_000)
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--database", help="URL of an empty PostgreSQL database")
    options = parser.parse_args()
    filled = f"{options.lifts} lifts, {ALARMS} alarms, {SCANS} scans"
    print(f"{where_and_when()}; {filled}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_run(Path(folder), options))


async def _run(folder: Path, options: argparse.Namespace) -> None:
    world = await open_world(
        folder, clock=SystemClock(), pages=False, database_url=options.database
    )
    world.database.write_now(lambda c: _fill(c, options.lifts))
    registry = AssetRegistry(world.database, world.clock)
    await registry.load()
    feed = FeedStore(world.database, world.clock)
    desk = AlarmDesk(
        database=world.database,
        clock=world.clock,
        append_feed=feed.append,
        on_commit=feed.committed,
    )
    services = replace(world.services, registry=registry, alarms=desk)
    apps = {PLAIN: _unguarded(services)}
    guarded = application.create_app(replace(services, access=cast("Access", _Access())))
    apps |= dict.fromkeys(CALLERS, guarded)
    for _ in range(options.repeat):
        rows = []
        for call, path in PATHS.items():
            asking = {who: app for who, app in apps.items() if who != SILENT or LIFT not in path}
            rows += _rows(call, await _ask(asking, path, options.requests))
        print(markdown(HEADINGS, rows), flush=True)
    world.database.close()


def _rows(call: str, times: dict[str, Times]) -> list[list[str]]:
    plain = _figures(times[PLAIN])
    rows = []
    for who, taken in times.items():
        pairs = zip(_figures(taken), plain, strict=True)
        cells = [
            cell for ours, theirs in pairs for cell in (f"{ours:.2f}", f"{ours - theirs:+.2f}")
        ]
        rows.append([call, who, *cells])
    return rows


def _figures(taken: Times) -> tuple[float, float, float]:
    wall, cpu = zip(*taken, strict=True)
    return statistics.median(wall), _p99(wall), _p99(cpu)


class _Access(TableAccess):
    """Knows the callers of this bench."""

    def __init__(self) -> None:
        self._known = {caller.token: caller.principal() for caller in CALLERS.values()}


def _unguarded(services: Services) -> FastAPI:
    """Build the application without the look: everybody may do everything."""
    everybody = Granted(Caller("administrator").principal(), "assets.read", EVERYTHING)

    def guard_of(_access: Access, _base_url: str) -> Guard:
        def guard(call: str, *, whole: bool = False) -> Callable[[HTTPConnection], Granted]:
            del whole

            def granted(_request: HTTPConnection) -> Granted:
                return everybody

            return mark(granted, call)

        return guard

    with patch.object(application, "guard_of", guard_of):
        return application.create_app(services)


async def _ask(apps: dict[str, FastAPI], path: str, requests: int) -> dict[str, Times]:
    taken: dict[str, Times] = {who: [] for who in apps}
    async with AsyncExitStack() as stack:
        clients = {who: await stack.enter_async_context(_client(who, apps[who])) for who in apps}
        for number in range(requests + WARM_UP):
            for who, client in clients.items():
                began, began_cpu = time.perf_counter(), time.process_time()
                answer = await client.get(path)
                took, cpu = time.perf_counter() - began, time.process_time() - began_cpu
                if number >= WARM_UP:
                    taken[who].append((1000 * took, 1000 * cpu))
                assert answer.status_code == 200, answer.text
    return taken


def _client(who: str, app: FastAPI) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {CALLERS[who].token}"} if who in CALLERS else {}
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://bench", headers=headers)


def _p99(taken: Sequence[float]) -> float:
    return statistics.quantiles(taken, n=100)[98]


def _fill(connection: Any, lifts: int) -> None:
    for table, rows in (
        (tables.asset, _assets(lifts)),
        (tables.asset_party, _parties(lifts)),
        (tables.asset_gateway, _named(lifts)),
        (tables.alarm, _alarms(lifts)),
        (tables.scan, _scans(lifts)),
    ):
        connection.execute(insert(table), list(rows))


def _assets(lifts: int) -> Iterator[dict[str, Any]]:
    for number in range(lifts):
        district = f"district-{number // LIFTS_PER_GATEWAY % DISTRICTS}"
        yield {
            "asset_id": f"elevator:{number:06d}",
            "kind": "elevator",
            "name": "",
            "gateways": msgspec.json.encode([_gateway(number)]).decode(),
            "attributes": msgspec.json.encode({"district": district}).decode(),
            "district": district,
            "category": "special_equipment",
            "updated_at": 1,
        }


def _parties(lifts: int) -> Iterator[dict[str, Any]]:
    for number in range(lifts):
        firm = f"firm-{number % _firms(lifts)}"
        yield {"asset_id": f"elevator:{number:06d}", "part": "owner", "organisation": firm}


def _named(lifts: int) -> Iterator[dict[str, Any]]:
    for number in range(lifts):
        yield {"asset_id": f"elevator:{number:06d}", "gateway_id": _gateway(number)}


def _alarms(lifts: int) -> Iterator[dict[str, Any]]:
    for number in range(ALARMS):
        yield {
            "alert": f"A{number // lifts}",
            "asset": f"elevator:{number % lifts:06d}",
            "severity": "warning",
            "state": "normal" if number % 10 else "unacknowledged",
            "raised_at": number,
            "observed_at": number,
            "changed_at": number,
            "late": False,
            "stale": False,
            "values": "{}",
            "annotations": "{}",
            "open": None if number % 10 else "y",
        }


def _scans(lifts: int) -> Iterator[dict[str, Any]]:
    gateways = max(1, lifts // LIFTS_PER_GATEWAY)
    silent = {_gateway(number) for number in range(SILENT_FIRM, lifts, _firms(lifts))}
    for number in range(SCANS):
        gateway = f"gw-{number % gateways}"
        if gateway in silent and number > SCANS // 10:
            continue
        yield {
            "gateway": gateway,
            "spool": "0" * 32,
            "stream": "data",
            "seq": number,
            "record_index": 0,
            "reader": "r-1",
            "observed_at": number,
            "received_at": number,
            "time_unknown": False,
            "codes": "[]",
            "findings": "[]",
        }


def _gateway(lift: int) -> str:
    return f"gw-{lift // LIFTS_PER_GATEWAY}"


def _firms(lifts: int) -> int:
    return max(1, lifts // FIRM_LIFTS)


if __name__ == "__main__":
    main()
