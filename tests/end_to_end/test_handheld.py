"""Handhelds and a real service: days apart, lines that break, a clash, a device that was lost."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.clock import ManualClock, SystemClock
from tests.support.handhelds import Device, Office, switch_on
from tests.support.service_process import ServiceProcess, service_process

pytestmark = pytest.mark.end_to_end
BOTTLE = "cylinder:JL2B0001234"
RATES = "[http.rates]\nenabled = false\n"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    folder = tmp_path / "service"
    folder.mkdir()
    with service_process(folder) as service:
        yield service


@pytest.fixture
async def office(service: ServiceProcess) -> AsyncIterator[Office]:
    office = Office(f"http://127.0.0.1:{service.port}")
    office.open("王五", "李四")
    yield office
    office.close()


async def two_on(folder: Path, office: Office, clock: ManualClock | None = None) -> Device:
    """A device with both inspectors on it."""
    device = switch_on(folder, office.address, clock=clock)
    for name in office.accounts:
        await device.let_in(office, name)
    assert (await device.run()).ended == "done"
    return device


async def test_two_devices_two_days_apart_then_together(tmp_path: Path, office: Office) -> None:
    office.register(BOTTLE, "cylinder:JL2B0000001")
    clock = ManualClock(wall_ms=SystemClock().wall_ms() - 2 * 86_400_000)
    first = await two_on(tmp_path / "a", office)
    second = switch_on(tmp_path / "b", office.address, clock=clock)
    for name in office.accounts:
        await second.let_in(office, name)
    first.scan("JL2B0001234")
    first.inspect(BOTTLE)
    clock.advance(86_400_000)
    for number in range(30):
        second.scan(f"JL2B{number:07}")
    second.inspect(BOTTLE)
    second.inspect("cylinder:JL2B0000001", "王五")
    assert (await first.run()).faulty == 0
    report = await second.run()
    assert (report.ended, report.sent, report.faulty) == ("done", 32, 2)
    clash, unsigned = second.store.faulty()
    assert clash.word is not None
    assert (clash.word.outcome, clash.word.reason) == ("conflict", "inspected_elsewhere")
    assert unsigned.word is not None
    assert unsigned.word.reason == "not_signed"
    kept = office.records()
    assert len(kept) == 34
    assert {one["outcome"] for one in kept} == {"taken", "conflict"}
    assert len({(one["store"], one["number"]) for one in kept}) == 34
    assert (await second.run()).sent == 0
    history = [one["what"] for one in office.cylinder(BOTTLE, "/history")]
    assert history == ["inspected_on_spot", "registered"], "the first alone took effect, once"
    await first.off()
    await second.off()


async def test_five_thousand_records_within_half_a_minute(tmp_path: Path, office: Office) -> None:
    device = await two_on(tmp_path / "a", office)
    for number in range(5_000):
        device.scan(f"JL2B{number:07}")
    began = time.monotonic()
    report = await device.run()
    took_s = time.monotonic() - began
    print(f"5,000 records in {took_s:.1f} s")
    assert (report.ended, report.sent, device.store.waiting) == ("done", 5_000, 0)
    assert took_s < 30
    await device.off()


async def test_broken_off_again_and_again_each_counts_once(
    tmp_path: Path, office: Office, service: ServiceProcess
) -> None:
    device = await two_on(tmp_path / "a", office)
    for number in range(1_500):
        device.scan(f"JL2B{number:07}")
    for wait_s in (0.05, 0.4):
        run = asyncio.create_task(device.run())
        await asyncio.sleep(wait_s)
        service.child.kill()
        assert (await run).ended in ("away", "done")
        service.start()
    while device.store.waiting:
        assert (await device.run()).ended == "done"
    kept = office.records()
    assert sorted(one["number"] for one in kept) == list(range(1, 1_501))
    assert {one["outcome"] for one in kept} == {"taken"}
    await device.off()


async def test_photos_follow_their_record_once_and_what_is_gone_is_told(
    tmp_path: Path, office: Office, service: ServiceProcess
) -> None:
    office.register(BOTTLE)
    device = await two_on(tmp_path / "a", office)
    raw = b"\xff\xd8\xff" + bytes(300_000)
    good, gone = device.photo("a.jpg", raw), device.photo("b.jpg", raw + b"b")
    changed = device.photo("c.jpg", raw + b"c")
    (device.folder / "photos" / "b.jpg").unlink()
    (device.folder / "photos" / "c.jpg").write_bytes(raw + b"another")
    device.inspect(BOTTLE, photos=(good, gone, changed))
    service.child.kill()
    assert (await device.run()).ended == "away"
    service.start()
    assert (await device.run()).ended == "done"
    assert device.store.lost_photos == 2
    assert office.photo(good.sha256) == (200, raw, "image/jpeg")
    assert office.photo(gone.sha256)[0] == office.photo(changed.sha256)[0] == 404
    assert device.store.unsent_photos() == []
    kept = [path.name for path in (service.data / "photos").rglob("*") if path.is_file()]
    assert kept == [good.sha256]
    await device.off()


async def test_lost_device_is_locked_and_its_records_come_in_after_a_new_code(
    tmp_path: Path, office: Office
) -> None:
    device = await two_on(tmp_path / "a", office)
    device.scan("JL2B0000007")
    office.revoke(device.person("李四"))
    device.session.sign_on(device.person("李四"), "1379")
    assert (await device.run()).ended == "revoked"
    assert device.session.state == "revoked"
    await device.off()
    again = switch_on(tmp_path / "a", office.address, boot_id="b2")
    assert again.session.state == "revoked"
    assert (await again.run()).ended == "nobody"
    await again.let_in(office, "王五")
    assert (await again.run()).ended == "done"
    assert [one["outcome"] for one in office.records()] == ["taken"]
    await again.off()
