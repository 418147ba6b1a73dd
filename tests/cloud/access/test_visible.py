"""What a scope admits is the same in memory and in SQL."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Select, insert, literal, select

from cloud.model import tables
from cloud.model.asset import Asset
from cloud.model.database import Database
from cloud.model.principal import EVERYTHING, NOTHING, Remit, Scope
from cloud.model.visible import sees_asset
from cloud.registry.assets import AssetRegistry
from protocols.clock import ManualClock
from tests.support.state_database import open_state

ASSETS, SCOPES = 60, 150
DISTRICTS = ("chuanying", "longtan", "it's; DROP", "")
KINDS = ("elevator", "stall", "cylinder")
ORGANISATIONS = ("firm-a", "firm-b", "firm-c")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    yield database
    database.close()


def some_scope(rng: random.Random) -> Scope:
    def some(of: tuple[str, ...]) -> frozenset[str]:
        return frozenset(one for one in of if rng.random() < 0.4)

    remits = tuple(
        Remit(
            rng.choice((None, some(DISTRICTS))),
            rng.choice((None, some(("special_equipment", "food", "")))),
            rng.random() < 0.3,
        )
        for _ in range(rng.randrange(3))
    )
    scope = Scope(remits=remits, organisations=some(ORGANISATIONS))
    return rng.choice((scope, scope, scope, scope | NOTHING, EVERYTHING, NOTHING))


GATEWAYS = [f"gw-{number}" for number in range(30)]


async def fill(registry: AssetRegistry, rng: random.Random) -> list[Asset]:
    found = []
    for number in range(ASSETS):
        kind, district = rng.choice(KINDS), rng.choice(DISTRICTS)
        asset = await registry.put(
            f"{kind}:{number}",
            kind=kind,
            name="",
            gateways=[f"gw-{rng.randrange(20)}" for _ in range(rng.randrange(3))],
            attributes={"district": district} if district else {"district": 7},
            parties={part: rng.choice(ORGANISATIONS) for part in rng.sample(("owner", "user"), 1)},
        )
        found.append(asset)
    for number in range(10, 25):
        asset = await registry.put(
            f"gateway:gw-{number}",
            kind="gateway",
            name="",
            gateways=[],
            attributes={"district": rng.choice(DISTRICTS)},
            parties={"owner": rng.choice(ORGANISATIONS)},
        )
        found.append(asset)
    heard = Asset(asset_id="elevator:heard", kind="elevator", registered=False)
    return [*found, heard]


async def test_scope_in_memory_and_in_sql_admit_the_same(database: Database) -> None:
    rng, registry = random.Random(5), AssetRegistry(database, ManualClock())
    known = [{"gateway_id": name, "online": True, "counters": "{}"} for name in GATEWAYS]
    database.write_now(lambda c: c.execute(insert(tables.gateway), known))
    assets = await fill(registry, rng)
    again = AssetRegistry(database, ManualClock())
    await again.load()
    for _ in range(SCOPES):
        scope = some_scope(rng)
        seen = {one.asset_id for one in assets if scope.admits(one)}
        assert seen == _assets(database, scope)
        gateways = {name for name in GATEWAYS if again.admits_gateway(scope, name)}
        assert gateways == _gateways(database, scope)
        in_memory = again.gateways_in(scope)
        assert in_memory == registry.gateways_in(scope)
        assert gateways == (set(GATEWAYS) if in_memory is None else in_memory)


def _assets(database: Database, scope: Scope) -> set[str]:
    asset = tables.asset.c.asset_id
    seen = select(asset).where(sees_asset(scope, asset))
    heard = select(literal("elevator:heard")).where(sees_asset(scope, literal("elevator:heard")))
    return {*_column(database, seen), *_column(database, heard)}


def _gateways(database: Database, scope: Scope) -> set[str]:
    """Those that an asset in the scope names, and those registered in it themselves."""
    known, named = tables.gateway.c.gateway_id, tables.asset_gateway.c
    if scope.everything:
        return {*_column(database, select(known))}
    by_asset = select(named.gateway_id).where(sees_asset(scope, named.asset_id))
    gateways = [one for one in _assets(database, scope) if one.startswith("gateway:")]
    return {*_column(database, by_asset), *(one.removeprefix("gateway:") for one in gateways)}


def _column(database: Database, query: Select[Any]) -> list[str]:
    return database.read_now(lambda c: list(c.execute(query).scalars()))


async def test_parties_and_gateways_change_with_the_asset(database: Database) -> None:
    registry = AssetRegistry(database, ManualClock())
    mine = Scope(organisations=frozenset({"firm-a"}))

    async def put(gateway: str, owner: str) -> None:
        await registry.put(
            "elevator:1",
            kind="elevator",
            name="",
            gateways=[gateway],
            attributes={},
            parties={"owner": owner},
        )

    await put("gw-1", "firm-a")
    assert registry.admits_gateway(mine, "gw-1")
    await put("gw-2", "firm-b")
    assert not registry.admits_gateway(mine, "gw-1")
    assert not registry.admits_gateway(mine, "gw-2")
    assert registry.gateways_in(mine) == frozenset()
    assert not _assets(database, mine)
    rows = database.read_now(lambda c: c.execute(select(tables.asset_gateway.c.gateway_id)).all())
    assert [row[0] for row in rows] == ["gw-2"]
