"""The job inside a running service: overdue at the start, told in metrics, page and table."""

import asyncio
import sys
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, insert, select

from cloud.ingest.subscriber import BrokerAddress
from cloud.migrations import migrate
from cloud.model.database import Database
from cloud.model.tables import feed
from cloud.retention import job as job_module
from cloud.service import Service
from cloud.settings import Settings
from protocols.clock import SystemClock
from tests.support.http_services import TOKEN
from tests.support.mosquitto import free_port
from tests.support.retention import DAY_MS


async def test_a_service_lets_go_of_what_fell_due_while_it_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "LOOK_S", 0.05)
    state = Database(f"sqlite:///{tmp_path / 'state.db'}", name="state")
    migrate(state.engine, "state")
    now_ms = SystemClock().wall_ms()
    items = [
        {"event": "alarm", "data": "{}", "recorded_at": now_ms - age * DAY_MS}
        for age in (200, 91, 89, 0)
    ]
    state.write_now(lambda c: c.execute(insert(feed), items))
    port, stop, before = free_port(), asyncio.Event(), sys.getswitchinterval()
    service = Service(
        data=tmp_path,
        http=("127.0.0.1", port),
        broker=BrokerAddress(host="127.0.0.1", port=free_port()),
        settings=Settings(),
        admin_token=TOKEN,
    )
    running = asyncio.create_task(service.run(stop))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            client.headers["Authorization"] = f"Bearer {TOKEN}"
            told = await _told(client)
            assert [one["rows"] for one in told["runs"][0]["report"] if one["rule"] == "feed"] == [
                2
            ]
            metrics = (await client.get("/metrics")).text
            assert 'suyuan_retention_rows_total{action="delete",rule="feed"} 2.0' in metrics
            assert "suyuan_retention_ended_timestamp_seconds 1" in metrics
            count = select(func.count()).select_from(feed)
            assert state.read_now(lambda c: c.execute(count).scalar()) == 2
            gone = await client.get("/api/v1/feed?after=1", timeout=5)
            assert gone.status_code == 410
            noted = (await client.get("/api/v1/audit?subject=data:feed")).json()
            assert [one["detail"]["rows"] for one in noted] == [2]
    finally:
        stop.set()
        await running
        sys.setswitchinterval(before)
        state.close()


async def _told(client: httpx.AsyncClient) -> dict[str, list[dict[str, list[dict[str, object]]]]]:
    """Wait for the report of a run that ended."""
    async with asyncio.timeout(20):
        while True:
            try:
                told = (await client.get("/api/v1/data-rules")).json()
            except httpx.TransportError:
                told = {"runs": []}
            if told["runs"] and told["runs"][0]["ended_at"]:
                return told  # type: ignore[no-any-return]
            await asyncio.sleep(0.05)
