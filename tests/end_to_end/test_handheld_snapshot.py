"""What a handheld knows: its snapshot from a real service, days without it, damage, loss."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from edge.handheld.desk import Desk
from edge.handheld.link import Link
from edge.scan import build_desk
from protocols.clock import ManualClock, SystemClock
from protocols.cylinders.base import Verdict
from tests.support.firms import OTHER_DISTRICT
from tests.support.handhelds import PINS, Office
from tests.support.service_process import service_process

pytestmark = pytest.mark.end_to_end
GOOD, OLD, TAGGED, FAR = (f"cylinder:2310229992024000{number}" for number in range(1, 5))
UID = "04A1B2C3D4E5F6"
DAY_MS = 86_400_000


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    folder = tmp_path / "service"
    folder.mkdir()
    with service_process(folder) as service:
        office = Office(f"http://127.0.0.1:{service.port}")
        office.open("王五", "李四")
        registered = {"use_registration": "1", "inspected_on": "2025-06"}
        office.register(GOOD, tare_kg=16.5, allowable_fill_kg=14.9, **registered)
        office.register(OLD, manufactured_on="2009-01")
        office.register(TAGGED, codes=[{"scheme": "tag_uid", "value": UID}], **registered)
        office.register(FAR, district=OTHER_DISTRICT)
        yield office
        office.close()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


def switch_on(
    folder: Path, office: Office, client: httpx.AsyncClient, clock: ManualClock, boot: str = "b1"
) -> Desk:
    return build_desk(folder, Link(office.address, client), clock=clock, boot=boot)


async def let_in(desk: Desk, office: Office) -> None:
    told = await desk.redeem(office.code("王五"))
    desk.session.admit(told, "王五", PINS["王五"])
    assert (await desk.synchronise()).ended == "done"


def judged(desk: Desk, text: str) -> Verdict:
    verdict = desk.look(desk.identify(text)).verdict
    assert verdict is not None
    return verdict


def words(verdict: Verdict) -> set[str]:
    return {one.reason for one in verdict.reasons}


async def test_days_offline_with_what_was_fetched(
    tmp_path: Path, office: Office, client: httpx.AsyncClient
) -> None:
    clock = ManualClock(wall_ms=SystemClock().wall_ms())
    desk = switch_on(tmp_path / "a", office, client, clock)
    assert desk.known.state_at(0) == "none"
    await let_in(desk, office)
    desk.store.close()
    clock.advance(DAY_MS)
    desk = switch_on(tmp_path / "a", office, client, clock, boot="b2")
    desk.session.sign_on(desk.session.members[0].id, PINS["王五"])
    found = judged(desk, GOOD)
    assert (found.decision, str(found.due_on)) == ("cannot_decide", "2029-06-30")
    assert words(found) == {"filler_unknown"}
    assert "beyond_life" in words(judged(desk, OLD))
    assert desk.identify("04:A1:B2:C3:D4:E5:F6").asset == TAGGED
    assert "code_unknown" in words(judged(desk, FAR)), "another district's"
    clock.advance(2 * DAY_MS - 3_600_000)
    desk.session.sign_on(desk.session.members[0].id, PINS["王五"])
    assert "snapshot_ageing" in words(judged(desk, GOOD))
    desk.store.close()


async def test_damaged_file_is_left_out_and_fetched_again(
    tmp_path: Path, office: Office, client: httpx.AsyncClient
) -> None:
    clock, folder = ManualClock(wall_ms=SystemClock().wall_ms()), tmp_path / "a"
    desk = switch_on(folder, office, client, clock)
    await let_in(desk, office)
    desk.store.close()
    (file,) = (folder / "snapshot").glob("*.whole")
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    desk = switch_on(folder, office, client, clock)
    desk.session.sign_on(desk.session.members[0].id, PINS["王五"])
    assert "snapshot_none" in words(judged(desk, GOOD))
    assert (await desk.synchronise()).ended == "done"
    assert words(judged(desk, GOOD)) == {"filler_unknown"}
    desk.store.close()


async def test_lost_device_forgets_it(
    tmp_path: Path, office: Office, client: httpx.AsyncClient
) -> None:
    folder = tmp_path / "a"
    desk = switch_on(folder, office, client, ManualClock(wall_ms=SystemClock().wall_ms()))
    await let_in(desk, office)
    assert desk.known.cylinders.find(GOOD) is not None
    office.revoke(desk.session.members[0].id)
    assert (await desk.synchronise()).ended == "revoked"
    assert desk.known.cylinders.find(GOOD) is None
    assert not (folder / "snapshot").exists()
    desk.store.close()
