"""GET /api/v1/scans."""

import httpx

from cloud.scans.store import insert_scans, rows_of
from protocols.records import Code, Scan
from tests.support.http_services import World
from tests.support.log_groups import NOON_MS, batch


async def test_scans_come_in_pages_the_latest_first(
    client: httpx.AsyncClient, world: World
) -> None:
    scans = [Scan(reader="r", at=NOON_MS, codes=[Code("tag_uid", f"04A{n}")]) for n in range(1, 6)]
    rows = rows_of(batch(*scans))
    await world.database.write(lambda c: insert_scans(c, rows))
    answer = await client.get("/api/v1/scans?limit=3")
    assert [one["codes"][0]["value"] for one in answer.json()] == ["04A5", "04A4", "04A3"]
    first = answer.json()[0]
    assert first["observed_at"] == "2025-11-24T12:00:00.000Z"
    assert first["verdict"] is None
    rest = await client.get(answer.links["next"]["url"])
    assert len(rest.json()) == 2
    assert "next" not in rest.links
    assert len((await client.get("/api/v1/scans?code=04A2")).json()) == 1
    assert (await client.get("/api/v1/scans?gateway=gw-9")).json() == []


async def test_what_is_asked_wrongly_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/scans?cod=1")).status_code == 400
    assert (await client.get("/api/v1/scans?limit=0")).status_code == 400
