import httpx
import pytest

from cloud.model.asset import LatestValue
from tests.support.http_services import LIFT, World

PATH = f"/api/v1/assets/{LIFT}"
BODY = {
    "kind": "elevator",
    "name": "人民广场 3 号梯",
    "gateways": ["gw-jilin-0001"],
    "attributes": {"address": "解放大路 1 号", "floors": [1, 2, 3]},
}


async def test_put_registers_then_changes(client: httpx.AsyncClient, world: World) -> None:
    assert (await client.get(PATH)).status_code == 404
    answer = await client.put(PATH, json=BODY)
    assert answer.status_code == 201
    asset = answer.json()
    assert asset == {
        "asset_id": LIFT,
        **BODY,
        "category": "special_equipment",
        "parties": {},
        "registered": True,
        "updated_at": "2025-11-24T16:00:00.000Z",
        "findings": [],
    }
    assert (await client.get(PATH)).json() == asset
    changed = await client.put(PATH, json={**BODY, "gateways": [], "name": ""})
    assert changed.status_code == 200
    assert changed.json()["gateways"] == []


async def test_get_asset_only_heard_of_is_unregistered_with_findings(
    client: httpx.AsyncClient, world: World
) -> None:
    world.registry.admits(LIFT, "gw-1", 1)
    world.registry.add_finding(LIFT, "foreign_gateway", "reported by gw-2", 1_764_000_000_000)
    asset = (await client.get(PATH)).json()
    assert asset["registered"] is False
    assert asset["updated_at"] is None
    assert asset["findings"][0]["last_at"] == "2025-11-24T16:00:00.000Z"


async def test_latest_gives_value_time_and_quality(client: httpx.AsyncClient, world: World) -> None:
    assert (await client.get(f"{PATH}/latest")).status_code == 404
    world.latest[LIFT] = {
        "car_position": LatestValue(value=12, observed_at=1_764_000_000_123),
        "speed": LatestValue(value=1.75, observed_at=1_764_000_000_000, quality="no_value"),
    }
    assert (await client.get(f"{PATH}/latest")).json() == {
        "points": {
            "car_position": {
                "value": 12,
                "observed_at": "2025-11-24T16:00:00.123Z",
                "quality": "good",
            },
            "speed": {
                "value": 1.75,
                "observed_at": "2025-11-24T16:00:00.000Z",
                "quality": "no_value",
            },
        }
    }


@pytest.mark.parametrize("asset_id", ["nothing", "Elevator:1", "elevator:", "elevator:a b", "x:é"])
async def test_bad_asset_id_is_400(client: httpx.AsyncClient, asset_id: str) -> None:
    for answer in (
        await client.put(f"/api/v1/assets/{asset_id}", json=BODY),
        await client.get(f"/api/v1/assets/{asset_id}/latest"),
    ):
        assert answer.status_code == 400
        assert answer.json()["type"] == "urn:suyuan:problem:bad_asset_id"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"nonsense",
        b'{"kind": 1}',
        b'{"kind": "no kind"}',
        b'{"unknown": 1}',
        b'{"gateways": ["UPPER"]}',
        b'{"attributes": []}',
        b'{"name": "\\u0000"}',
        b'{"attributes": {"x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}}",
        b'{"name": "\xff"}',
    ],
)
async def test_put_bad_body_is_400_and_changes_nothing(
    client: httpx.AsyncClient, body: bytes
) -> None:
    answer = await client.put(PATH, content=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await client.get(PATH)).status_code == 404
