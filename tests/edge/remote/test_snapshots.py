"""From the service over HTTP to the keeper of an enrolled gateway: proved, fetched, merged."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import uvicorn

from cloud.cylinders.snapshots import SnapshotBook
from edge.identity.asking import ask
from edge.identity.enrol import enrol
from edge.identity.files import IdentityFolder
from edge.identity.proving import Prover
from edge.interlock.snapshot import SnapshotKeeper
from edge.remote.anchors import read_anchors, verify
from edge.remote.snapshots import PATH, SnapshotFetcher
from protocols.errors import RefuseInput, RetryLater
from protocols.gateway_request import APART_MAX_MS, AT_HEADER, CERTIFICATE_HEADER, SIGNATURE_HEADER
from tests.support.authority import Bureau, open_bureau
from tests.support.http_services import World, open_world
from tests.support.snapshot_station import Station

FILLER = Station.filler
INTERVAL_S = 600.0


class Site(NamedTuple):
    """A service on a socket, and a gateway that is enrolled there."""

    station: Station
    bureau: Bureau
    world: World
    state: Path
    prover: Prover
    fetcher: SnapshotFetcher
    told: list[str]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    bureau, station = open_bureau(tmp_path), Station(tmp_path, keys=tmp_path / "data")
    station.clock = bureau.clock
    station.book._clock = bureau.clock
    world = await open_world(
        tmp_path, clock=bureau.clock, trust=bureau.desk, snapshots=station.book, pages=False
    )
    server = uvicorn.Server(uvicorn.Config(world.app, port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    state = tmp_path / "edge"
    code, _ = bureau.desk.invite("gw-1")
    await asyncio.to_thread(enrol, f"http://127.0.0.1:{port}", str(code), state, ask)
    yield _site(station, bureau, world, state)
    server.should_exit = True
    await serving
    world.database.close()
    bureau.database.close()


def _site(station: Station, bureau: Bureau, world: World, state: Path) -> Site:
    told: list[str] = []
    prover = Prover(IdentityFolder(state), now_ms=bureau.clock.wall_ms)
    station.keeper = SnapshotKeeper(
        state, filler=FILLER, anchors=lambda: read_anchors(state), verify=verify
    )
    station.keeper.load()
    fetcher = SnapshotFetcher(
        station.keeper,
        get=prover.get,
        url=prover.url,
        now_ms=bureau.clock.wall_ms,
        tell=lambda reason, _detail: told.append(reason),
        rng=random.Random(1),
        interval_s=INTERVAL_S,
    )
    return Site(station, bureau, world, state, prover, fetcher, told)


async def admit(site: Site) -> None:
    """Register the gateway at a station of the filler."""
    await site.world.registry.put(
        "station:jl-1",
        kind="station",
        name="",
        gateways=["gw-1"],
        attributes={},
        parties={"operator": FILLER},
    )


def same(site: Site) -> bool:
    snapshot, stock = site.station.keeper.snapshot, site.station.stock.stock
    assert snapshot
    return all(snapshot.find(code) == one for code, one in stock.cylinders.items())


async def test_it_takes_a_whole_one_then_increments_then_only_terms(site: Site) -> None:
    await admit(site)
    assert await site.fetcher.once() == pytest.approx(INTERVAL_S, rel=0.2)
    assert same(site)
    for _ in range(3):
        site.station.later(20)
        await asyncio.to_thread(site.station.book.offer, FILLER, site.station.keeper.have)
    await site.fetcher.once()
    assert same(site)
    assert site.station.keeper.status()["increments"] == 3
    site.station.later(None)
    await site.fetcher.once()
    newest = site.station.keeper.newest
    assert newest
    assert newest.file is None
    assert newest.issued_at == site.bureau.clock.wall_ms()
    assert site.told == []
    assert site.fetcher.counters["snapshots_taken"] == 5
    assert not list(site.station.keeper.folder.glob("*.packed"))


async def test_only_a_gateway_of_a_station_may_ask(site: Site) -> None:
    wait_s = await site.fetcher.once()
    assert wait_s < INTERVAL_S / 10, "it asks again soon, ever more rarely"
    assert site.told == ["forbidden"]
    await site.fetcher.once()
    assert site.told == ["forbidden"], "told of once"
    await admit(site)
    await site.fetcher.once()
    assert same(site)
    site.bureau.desk.revoke("gw-1")
    site.station.later(9)
    await site.fetcher.once()
    assert site.told == ["forbidden", "certificate_revoked"]


async def test_nothing_is_asked_while_nobody_knows_the_time(site: Site) -> None:
    prover = Prover(IdentityFolder(site.state), now_ms=lambda: None)
    with pytest.raises(RetryLater, match="nobody knows"):
        prover.get(PATH.format(filler=FILLER))
    with pytest.raises(RefuseInput, match="not_enrolled"):
        Prover(IdentityFolder(site.state / "none"), now_ms=lambda: 1).get("/")


async def test_a_question_holds_for_ten_minutes_and_for_itself_alone(site: Site) -> None:
    await admit(site)
    path, now_ms = PATH.format(filler=FILLER), site.bureau.clock.wall_ms()
    headers = site.prover._headers(f"{path}?have=0", now_ms)
    transport = httpx.ASGITransport(site.world.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

        async def refused(target: str, **changed: str) -> str:
            answer = await client.get(target, headers=headers | changed)
            return str(answer.json()["type"]).removeprefix("urn:suyuan:problem:")

        assert (await client.get(f"{path}?have=0", headers=headers)).status_code == 200
        assert await refused(f"{path}?have=1") == "bad_certificate"
        assert await refused(f"{path}?have=0", **{AT_HEADER: str(now_ms + 1)}) == "bad_certificate"
        assert await refused(f"{path}?have=0", **{SIGNATURE_HEADER: "00"}) == "bad_certificate"
        junk = base64.b64encode(b"\x30\x03abc").decode()
        assert await refused(f"{path}?have=0", **{CERTIFICATE_HEADER: junk}) == "bad_certificate"
        assert await refused(f"{path}?have=0", **{CERTIFICATE_HEADER: "?"}) == "no_token"
        assert await refused(f"{path}?have=x") == "bad_request"
        assert await refused(f"{path}?have=0&whole=1") == "bad_request"
        assert await refused(f"{path}/{'0' * 64}") == "not_found"
        assert await refused(f"{path}/book.json") == "not_found"
        site.bureau.clock.advance(APART_MAX_MS + 1)
        assert await refused(f"{path}?have=0") == "bad_clock"


async def test_a_fetch_goes_on_where_a_start_broke_it_off(site: Site) -> None:
    await admit(site)
    keeper = site.station.keeper
    signed = await asyncio.to_thread(site.station.book.offer, FILLER, 0)
    wanted = keeper.look(signed, site.bureau.clock.wall_ms())
    assert wanted
    body = site.station.book.file(FILLER, wanted.sha256).read_bytes()
    (keeper.folder / f"{wanted.sha256}.packed.part").write_bytes(body[: len(body) // 2])
    await site.fetcher.once()
    assert same(site)


async def test_what_is_refused_asks_for_a_whole_one_at_once(site: Site) -> None:
    await admit(site)
    await site.fetcher.once()
    site.station.later(20)
    sound = site.prover.get

    def spoiled(target: str) -> bytes:
        signed = sound(target)
        (file,) = _increments(site.station.book)
        file.write_bytes(b"x" * file.stat().st_size)
        return signed

    site.fetcher._get = spoiled
    assert await site.fetcher.once() == 0.0
    assert site.told == ["bad_hash"]
    site.fetcher._get = sound
    await site.fetcher.once()
    assert same(site)
    assert site.station.keeper.status()["increments"] == 0


def _increments(book: SnapshotBook) -> list[Path]:
    kept = book._read(FILLER)
    assert kept
    return [book.file(FILLER, one.sha256) for one in kept.chain]


async def test_it_merges_when_it_is_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.interlock.snapshot.MERGE_AT", 2)
    await admit(site)
    await site.fetcher.once()
    for _ in range(4):
        site.station.later(20)
        await site.fetcher.once()
    assert site.fetcher.counters["snapshots_merged"] >= 1
    assert same(site)


async def test_without_a_service_it_tries_again_ever_more_rarely(site: Site) -> None:
    def away(_target: str) -> bytes:
        raise RetryLater("nobody answers")

    site.fetcher._get = away
    waits = [await site.fetcher.once() for _ in range(9)]
    assert waits[0] <= 15
    assert INTERVAL_S / 2 <= waits[-1] <= INTERVAL_S
    assert site.told == []
    assert site.fetcher.counters["snapshot_fetches_failed"] == 9
