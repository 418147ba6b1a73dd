import httpx

from cloud.model.ledger import SpoolLedger
from protocols.messages import State
from tests.support.http_services import LIFT, World

SPOOL = SpoolLedger(
    spool="9f" * 16,
    stream="data",
    through=15,
    received=[(17, 20)],
    batches=19,
    records=90,
    duplicates=2,
    declared_lost=1,
    declared_lost_records=4,
    dead_letters=1,
    unknown_tail=False,
    last_at=1_764_000_000_000,
)


async def test_gateway_shows_state_and_account(client: httpx.AsyncClient, world: World) -> None:
    world.gateways.set_state("gw-1", State(online=True, boot_id="b1", version="0.1.0"), 1_000)
    world.gateways.set_counters("gw-1", {"polls": 7})
    world.ledgers["gw-1"] = [SPOOL]
    gateway = (await client.get("/api/v1/gateways/gw-1")).json()
    assert gateway == {
        "gateway_id": "gw-1",
        "online": True,
        "registered": False,
        "last_heard_at": "1970-01-01T00:00:01.000Z",
        "boot_id": "b1",
        "version": "0.1.0",
        "site_sha256": None,
        "counters": {"polls": 7},
        "spools": [
            {
                "spool": "9f" * 16,
                "stream": "data",
                "through": 15,
                "received": [[17, 20]],
                "batches": 19,
                "records": 90,
                "duplicates": 2,
                "declared_lost": 1,
                "declared_lost_records": 4,
                "dead_letters": 1,
                "unknown_tail": False,
                "last_at": "2025-11-24T16:00:00.000Z",
            }
        ],
    }
    assert (await client.get("/api/v1/gateways")).json() == [gateway]
    await world.registry.put(LIFT, kind="elevator", name="", gateways=["gw-1"], attributes={})
    assert (await client.get("/api/v1/gateways/gw-1")).json()["registered"] is True


async def test_gateways_are_listed_in_pages(client: httpx.AsyncClient, world: World) -> None:
    for number in range(3):
        world.gateways.heard(f"gw-{number}", 1)
    page = await client.get("/api/v1/gateways?limit=2")
    assert page.links["next"]["url"] == "/api/v1/gateways?limit=2&after=gw-1"
    rest = await client.get(page.links["next"]["url"])
    assert [one["gateway_id"] for one in rest.json()] == ["gw-2"]
    assert "next" not in rest.links


async def test_unknown_gateway_is_404_and_no_gateway_id_400(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/gateways/gw-9")).status_code == 404
    assert (await client.get("/api/v1/gateways/GW_9")).status_code == 400
