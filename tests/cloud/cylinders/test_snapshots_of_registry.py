"""From the registry to a gateway's snapshot, in pages of two."""

from datetime import date
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from cloud.cylinders.facts import Changes, changed_since
from cloud.cylinders.permits import permits_of, station_permits
from cloud.cylinders.snapshots import SnapshotBook
from cloud.model.cylinder import FurtherCode, PermitState
from cloud.model.cylinder_records import Permit, PermitBody, VehicleFile
from cloud.trust.signing import anchors, sign
from edge.interlock.snapshot import SnapshotKeeper
from edge.remote.anchors import verify
from protocols.cylinders.base import Permitted, StationPermits
from protocols.cylinders.snapshot import Snapshot
from tests.support.cylinders import Yard, code_of, file_of
from tests.support.firms import DISTRICT
from tests.support.stations import BOOK

FILLER = "gas-a"


class Gateway:
    """Takes what the service issues."""

    def __init__(self, yard: Yard, folder: Path) -> None:
        self._yard = yard
        self._book = SnapshotBook(
            folder / "snapshots",
            self._changed,
            yard.clock,
            sign=partial(sign, folder),
            rules=lambda: BOOK,
            permits=self._permits,
        )
        self.keeper = SnapshotKeeper(
            folder / "edge", filler=FILLER, anchors=lambda: anchors(folder), verify=verify
        )
        self.keeper.load()

    def _changed(self, filler: str, cursor: int) -> Changes:
        work = partial(changed_since, cursor=cursor, filler=filler, limit=2, vehicles=True)
        return self._yard.database.read_now(work)

    def _permits(self, filler: str) -> StationPermits:
        permits = self._yard.database.read_now(lambda c: permits_of(c, filler, "filling"))
        return station_permits(permits, BOOK.gas, self._yard.cylinders.today())

    def take(self) -> Snapshot:
        keeper, now_ms, more = self.keeper, self._yard.clock.wall_ms, True
        self._yard.clock.advance(600_000)
        while more:
            signed = self._book.offer(FILLER, keeper.have, whole=keeper.need_whole)
            wanted, file = keeper.look(signed, now_ms()), None
            if wanted is not None:
                file = keeper.folder / f"{wanted.sha256}.packed"
                file.write_bytes(self._book.file(FILLER, wanted.sha256).read_bytes())
            more = keeper.take(signed, file, now_ms())
        assert keeper.snapshot
        return keeper.snapshot


@pytest.fixture
async def gateway(yard: Yard, tmp_path: Path) -> Gateway:
    """Of gas-a, which has five cylinders; gas-b has three."""
    for number in range(8):
        filler = "gas-a" if number < 5 else "gas-b"
        codes = (FurtherCode("tag_uid", f"04A1B2C{number}"),)
        file = file_of(number, filler=filler, codes=codes)
        await yard.cylinders.register(yard.filler(filler), code_of(number), file, DISTRICT)
    return Gateway(yard, tmp_path)


async def test_what_the_registry_says_is_what_the_gateway_knows(
    yard: Yard, gateway: Gateway
) -> None:
    snapshot = gateway.take()
    assert snapshot.manifest.cylinders == 5
    for number in range(5):
        code = code_of(number)
        assert snapshot.find(code) == await yard.cylinders.facts(code)
        assert snapshot.find_tag(f"04A1B2C{number}") == code
    assert snapshot.find(code_of(5)) is None
    assert snapshot.denied(code_of(5)) is None


async def test_what_happens_to_cylinders_comes_in_an_increment(
    yard: Yard, gateway: Gateway
) -> None:
    gateway.take()
    office = yard.office("cylinders.block")
    await yard.cylinders.block(office, code_of(1), "recall")
    await yard.cylinders.block(office, code_of(6), "recall")
    await yard.cylinders.transfer(yard.filler(), code_of(2), "gas-b", "sold")
    await yard.cylinders.transfer(yard.filler("gas-b"), code_of(7), "gas-a", "sold")
    snapshot = gateway.take()
    assert gateway.keeper.status()["increments"] == 1
    blocked = snapshot.find(code_of(1))
    assert blocked
    assert blocked.state == "blocked"
    assert snapshot.denied(code_of(6)) == "blocked"
    assert snapshot.find(code_of(2)) is None
    assert snapshot.find_tag("04A1B2C2") is None
    assert snapshot.find(code_of(7)) == await yard.cylinders.facts(code_of(7))
    await yard.cylinders.lift(yard.office("cylinders.resolve"), code_of(6), 2, "new valve")
    assert gateway.take().denied(code_of(6)) is None


async def test_anybody_fills_the_tank_of_a_vehicle(yard: Yard, gateway: Gateway) -> None:
    await yard.vehicles.put(
        yard.root("cylinders.write"), "V-1", VehicleFile(plate="吉B1", taxi=True)
    )
    file = file_of(9, filler="gas-b", vehicle="V-1")
    await yard.cylinders.register(yard.root("cylinders.write"), code_of(9), file, DISTRICT)
    found = gateway.take().find(code_of(9))
    assert found
    assert found.vehicle
    assert found.vehicle.taxi


async def test_a_permit_and_its_end_come_with_the_next_manifest(
    yard: Yard, gateway: Gateway
) -> None:
    first = gateway.take()
    assert first.permits == StationPermits(recorded=False)
    body = PermitBody(items=("lpg", "beer"), valid_from="2026-01-01", valid_until="2099-12-31")
    root = yard.root("permits.write")
    await yard.permits.put(root, "gas-a", "filling", "TS-1", body)
    given = gateway.take()
    years = date(2026, 1, 1), date(2099, 12, 31)
    assert given.permits == StationPermits(recorded=True, held=(Permitted("lpg", *years),))
    assert given.manifest.state == first.manifest.state, "no file for it"
    over = replace(body, state="revoked", reason="sold to anybody")
    await yard.permits.put(root, "gas-a", "filling", "TS-1", over)
    assert gateway.take().permits == StationPermits(recorded=True)


def permit(*items: str, since: str, until: str, state: PermitState = "valid") -> Permit:
    return Permit(
        organisation="gas-a",
        kind="filling",
        number=since,
        items=items,
        valid_from=since,
        valid_until=until,
        issuer="",
        state=state,
        reason="",
        updated_at=0,
    )


def test_permits_are_put_together_gas_by_gas() -> None:
    old = permit("lpg", "oxygen", since="2018-01-01", until="2021-12-31")
    new = permit("lpg", since="2022-01-01", until="2025-12-31")
    more = permit("lpg", since="2024-01-01", until="2029-12-31")
    later = permit("lpg", since="2030-02-01", until="2033-12-31")
    shut = permit("oxygen", since="2024-01-01", until="2029-12-31", state="suspended")
    found = station_permits([later, more, shut, new, old], BOOK.gas, date(2026, 3, 31))
    assert found == StationPermits(
        recorded=True,
        held=(
            Permitted("lpg", date(2018, 1, 1), date(2029, 12, 31)),
            Permitted("lpg", date(2030, 2, 1), date(2033, 12, 31)),
            Permitted("oxygen", date(2018, 1, 1), date(2021, 12, 31)),
        ),
    )
    gone = station_permits([new], BOOK.gas, date(2026, 1, 1)).held
    assert gone == station_permits([new], BOOK.gas, date(2026, 2, 1)).held, "its last one is told"
    assert not station_permits([], BOOK.gas, date(2026, 3, 31)).recorded
