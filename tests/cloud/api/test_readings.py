import httpx
import pytest

from protocols.errors import RetryLater
from tests.support.http_services import LIFT, World

PATH = f"/api/v1/assets/{LIFT}/readings"
T0 = 1_764_000_000_000


@pytest.fixture
def heard(world: World) -> World:
    world.registry.admits(LIFT, "gw-1", T0)
    world.telemetry.points = {"speed": [(T0, 1.0), (T0 + 1_000, 2.0)], "car_position": [(T0, "B1")]}
    return world


async def test_readings_of_points_within_from_and_to(
    client: httpx.AsyncClient, heard: World
) -> None:
    answer = await client.get(
        PATH, params={"point": "speed", "from": "2025-11-24T16:00:00.000Z", "to": T0 + 1_000}
    )
    assert answer.json() == {"points": {"speed": [[T0, 1.0]]}}
    assert heard.telemetry.asked == [(LIFT, ("speed",), T0, T0 + 1_000, 10_000)]


async def test_readings_several_points_and_offset_time(
    client: httpx.AsyncClient, heard: World
) -> None:
    query = "point=speed,car_position&point=speed&from=2025-11-25T00:00:00+08:00&to=9999999999999"
    answer = await client.get(f"{PATH}?{query}&limit=5")
    assert set(answer.json()["points"]) == {"speed", "car_position"}
    assert heard.telemetry.asked == [(LIFT, ("speed", "car_position"), T0, 9_999_999_999_999, 5)]


async def test_readings_aggregated_and_cut(client: httpx.AsyncClient, heard: World) -> None:
    params: dict[str, str | int] = {
        "from": T0,
        "to": T0 + 3_600_000,
        "step": "10s",
        "agg": "max",
        "limit": 6,
    }
    answer = await client.get(PATH, params=params)
    assert answer.json() == {"points": {"speed": [[T0, 1.5]]}, "next": T0 + 60_000}
    params |= {"from": T0 + 3_590_000}
    assert "next" not in (await client.get(PATH, params=params)).json()
    assert [asked[2:] for asked in heard.telemetry.asked] == [
        (T0, T0 + 60_000, 10_000, "max"),
        (T0 + 3_590_000, T0 + 3_600_000, 10_000, "max"),
    ]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "from=1",
        "from=yesterday&to=2",
        "from=2025-11-24&to=2",
        "from=2&to=1",
        "from=1&to=2&agg=mean",
        "from=1&to=2&step=1s&agg=median",
        "from=1&to=2&step=0",
        "from=1&to=2&step=-5",
        "from=1&to=2&step=1week",
        "from=1&to=2&step=999999999999d",
        "from=1&to=2&limit=0",
        "from=1&to=2&limit=1000001",
        "from=1&to=2&point=No%20Point",
        "from=1&to=2&points=speed",
        "from=1&to=9999999999999999",
        "from=1&to=２",
        "from=1&to=2&" + "&".join(f"point=p{n}" for n in range(101)),
    ],
)
async def test_readings_bad_query_is_400(
    client: httpx.AsyncClient, heard: World, query: str
) -> None:
    answer = await client.get(f"{PATH}?{query}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert heard.telemetry.asked == []


async def test_readings_of_unknown_asset_is_404(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{PATH}?from=1&to=2")).status_code == 404


async def test_readings_while_the_store_is_away_is_503(
    client: httpx.AsyncClient, heard: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise RetryLater("the store restarts")

    monkeypatch.setattr(heard.telemetry, "readings", away)
    answer = await client.get(f"{PATH}?from=1&to=2")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
