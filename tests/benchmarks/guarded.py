"""What the look at who may see what costs: `python -m tests.benchmarks.guarded [--lifts 40000]`.

One application in this process over a SQLite file with lifts, their firms and alarms, asked by
turns without any look, as an administrator, as a regulator of one district and as a firm with a few
lifts. p50 and p99 of whole requests, without a network. The goal: at most 1 ms more at p99.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import httpx
import msgspec
from fastapi import FastAPI, Request
from sqlalchemy import insert

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

DISTRICTS, FIRM_LIFTS, ALARMS = 12, 30, 10_000
CALLERS = {
    "administrator": Caller("administrator"),
    "regulator of one district": Caller("regulator", "office", frozenset({"district-3"})),
    "firm with 30 lifts": Caller("enterprise_manager", "firm-3"),
}
LIFT = "elevator:000003"
"""In the district and of the firm that ask."""
PATHS = {
    "one asset": f"/api/v1/assets/{LIFT}",
    "100 newest alarms": "/api/v1/alarms?limit=100",
    "open alarms of one asset": f"/api/v1/alarms?asset={LIFT}&state=open",
    "100 newest scans": "/api/v1/scans?limit=100",
}


def main() -> None:
    """Fill, ask and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lifts", type=int, default=40_000)
    parser.add_argument("--requests", type=int, default=1_000)
    options = parser.parse_args()
    print(f"{where_and_when()}; {options.lifts} lifts, {ALARMS} alarms", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(_run(Path(folder), options.lifts, options.requests))
    print(markdown(("call", "asked by", "p50 ms", "p99 ms", "p99 more ms"), rows))


async def _run(folder: Path, lifts: int, requests: int) -> list[list[str]]:
    world = await open_world(folder, clock=SystemClock(), pages=False)
    world.database.write_now(lambda c: _fill(c, lifts))
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
    apps = {"nobody looked at": _unguarded(services)}
    guarded = application.create_app(replace(services, access=cast("Access", _Access())))
    apps |= dict.fromkeys(CALLERS, guarded)
    rows = []
    for call, path in PATHS.items():
        times = await _ask(apps, path, requests)
        plain = _p99(times["nobody looked at"])
        for who, taken in times.items():
            p50, p99 = statistics.median(taken), _p99(taken)
            rows.append([call, who, f"{p50:.2f}", f"{p99:.2f}", f"{p99 - plain:+.2f}"])
    world.database.close()
    return rows


class _Access(TableAccess):
    """Knows the callers of this bench."""

    def __init__(self) -> None:
        self._known = {caller.token: caller.principal() for caller in CALLERS.values()}


def _unguarded(services: Services) -> FastAPI:
    """Build the application without the look: everybody may do everything."""
    everybody = Granted(Caller("administrator").principal(), "assets.read", EVERYTHING)

    def guard_of(_access: Access) -> Guard:
        def guard(call: str, *, whole: bool = False) -> Callable[[Request], Granted]:
            del whole

            def granted(_request: Request) -> Granted:
                return everybody

            return mark(granted, call)

        return guard

    with patch.object(application, "guard_of", guard_of):
        return application.create_app(services)


async def _ask(apps: dict[str, FastAPI], path: str, requests: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {who: [] for who in apps}
    for _ in range(10):  # by turns, so that a slow moment of the machine meets all of them
        for who, app in apps.items():
            headers = {"Authorization": f"Bearer {CALLERS[who].token}"} if who in CALLERS else {}
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
                for _ in range(requests // 10):
                    began = time.perf_counter()
                    answer = await client.get(path, headers=headers)
                    taken[who].append(1000 * (time.perf_counter() - began))
                    assert answer.status_code == 200, answer.text
    return taken


def _p99(taken: list[float]) -> float:
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
        district = f"district-{number % DISTRICTS}"
        yield {
            "asset_id": f"elevator:{number:06d}",
            "kind": "elevator",
            "name": "",
            "gateways": msgspec.json.encode([f"gw-{number // 4}"]).decode(),
            "attributes": msgspec.json.encode({"district": district}).decode(),
            "district": district,
            "category": "special_equipment",
            "updated_at": 1,
        }


def _parties(lifts: int) -> Iterator[dict[str, Any]]:
    firms = max(1, lifts // FIRM_LIFTS)
    for number in range(lifts):
        firm = f"firm-{number % firms}"
        yield {"asset_id": f"elevator:{number:06d}", "part": "owner", "organisation": firm}


def _named(lifts: int) -> Iterator[dict[str, Any]]:
    for number in range(lifts):
        yield {"asset_id": f"elevator:{number:06d}", "gateway_id": f"gw-{number // 4}"}


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
    for number in range(ALARMS):
        yield {
            "gateway": f"gw-{number % max(1, lifts // 4)}",
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


if __name__ == "__main__":
    main()
