from collections.abc import Iterator

import pytest

from cloud.model.database import Database
from cloud.registry.assets import DAY_MS, AssetRegistry
from protocols.clock import ManualClock
from protocols.limits import NEW_ASSETS_PER_GATEWAY_DAY_MAX
from tests.support.state_database import open_state

LIFT = "elevator:31101099920240017"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    yield database
    database.close()


async def loaded(database: Database, clock: ManualClock) -> AssetRegistry:
    registry = AssetRegistry(database, clock)
    await registry.load()
    return registry


async def test_admits_unknown_asset_and_remembers_it_as_unregistered(database: Database) -> None:
    clock = ManualClock()
    registry = await loaded(database, clock)
    assert await registry.get(LIFT) is None
    assert registry.admits(LIFT, "gw-1", clock.wall_ms()) is None
    await registry.flush()
    again = await loaded(database, clock)
    asset = await again.get(LIFT)
    assert asset is not None
    assert (asset.kind, asset.registered) == ("elevator", False)
    assert [one.asset_id for one in again.all()] == [LIFT]


async def test_admits_foreign_gateway_refused_with_finding(database: Database) -> None:
    clock = ManualClock()
    registry = await loaded(database, clock)
    await registry.put(LIFT, kind="elevator", name="A1", gateways=["gw-1"], attributes={"x": 1})
    assert registry.admits(LIFT, "gw-1", 1) is None
    assert registry.admits(LIFT, "gw-2", 2) == "foreign_gateway"
    assert registry.admits(LIFT, "gw-3", 3) == "foreign_gateway"
    await registry.flush()
    asset = await (await loaded(database, clock)).get(LIFT)
    assert asset is not None
    assert asset.name == "A1"
    assert asset.attributes == {"x": 1}
    (found,) = asset.findings
    assert (found.reason, found.count, found.first_at, found.last_at) == (
        "foreign_gateway",
        2,
        2,
        3,
    )
    assert found.detail == "reported by gw-3"


async def test_admits_registered_without_gateways_by_anyone(database: Database) -> None:
    registry = await loaded(database, ManualClock())
    await registry.put(LIFT, kind="elevator", name="", gateways=[], attributes={})
    assert registry.admits(LIFT, "gw-9", 1) is None


async def test_admits_more_than_the_daily_limit_refused_until_next_day(database: Database) -> None:
    clock = ManualClock()
    registry = await loaded(database, clock)
    now = clock.wall_ms()
    for number in range(NEW_ASSETS_PER_GATEWAY_DAY_MAX):
        assert registry.admits(f"elevator:{number}", "gw-1", now) is None
    assert registry.admits("elevator:more", "gw-1", now) == "too_many_new_assets"
    assert registry.admits("elevator:0", "gw-1", now) is None
    assert registry.admits("elevator:other", "gw-2", now) is None
    await registry.flush()
    again = await loaded(database, clock)
    assert again.admits("elevator:more", "gw-1", now) == "too_many_new_assets"
    assert again.admits("elevator:more", "gw-1", now + DAY_MS) is None
    gateway = await again.get("gateway:gw-1")
    assert gateway is not None
    assert [found.reason for found in gateway.findings] == ["too_many_new_assets"]


async def test_put_changes_reporters_at_once_and_names_gateways(database: Database) -> None:
    clock = ManualClock()
    registry = await loaded(database, clock)
    assert not registry.names_gateway("gw-1")
    await registry.put(LIFT, kind="elevator", name="A", gateways=["gw-1"], attributes={})
    assert registry.names_gateway("gw-1")
    clock.advance(5)
    asset = await registry.put(LIFT, kind="elevator", name="B", gateways=["gw-2"], attributes={})
    assert asset.updated_at == clock.wall_ms()
    assert registry.admits(LIFT, "gw-2", 1) is None
    assert registry.admits(LIFT, "gw-1", 1) == "foreign_gateway"
    assert not registry.names_gateway("gw-1")
    again = await loaded(database, clock)
    assert again.admits(LIFT, "gw-1", 1) == "foreign_gateway"


async def test_flush_that_fails_keeps_what_changed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    registry = await loaded(database, clock)
    registry.admits(LIFT, "gw-1", 1)

    async def fail(work: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(database, "write", fail)
        with pytest.raises(OSError, match="disk full"):
            await registry.flush()
    await registry.flush()
    assert await (await loaded(database, clock)).get(LIFT) is not None
