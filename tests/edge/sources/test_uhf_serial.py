"""The driver of UHF modules against a simulated module on a pseudo-terminal."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.settings import Reader
from edge.sources.base import Driver, TagSeen
from edge.sources.uhf_serial import opener
from protocols.errors import RetryLater
from simulators.uhf_module import UhfModule
from simulators.uhf_tags import UhfTag, cylinder_tag


@pytest.fixture
def module(tmp_path: Path) -> Iterator[UhfModule]:
    module = UhfModule(tmp_path / "uhf")
    module.plug()
    yield module
    module.unplug()


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(id="gate", kind="uhf_serial", device=str(tmp_path / "uhf"), away_s=0.3)


@pytest.fixture
def driver(module: UhfModule, reader: Reader) -> Iterator[Driver]:
    driver = opener(reader)()
    yield driver
    driver.close()


def tags_of(driver: Driver, until: Callable[[list[TagSeen]], bool]) -> list[TagSeen]:
    seen: list[TagSeen] = []
    end_s = time.monotonic() + 5
    while not until(seen):
        assert time.monotonic() < end_s, (seen, driver.counters)
        began_s = time.monotonic()
        seen += [one for one in driver.read() if isinstance(one, TagSeen)]
        assert time.monotonic() - began_s < 0.9
    return seen


def never(seen: list[TagSeen]) -> bool:
    return False


def test_a_tag_is_told_with_its_memory_and_signal(module: UhfModule, driver: Driver) -> None:
    tag = cylinder_tag(7, user=bytes(range(64)))
    module.field.put(tag)
    first, *_ = tags_of(driver, bool)
    assert first == TagSeen(
        key=tag.epc,
        technology="gen2",
        banks={"pc": b"\x30\x00", "epc": tag.epc, "tid": tag.tid, "user": tag.user},
        rssi_dbm=-55,
    )


@pytest.mark.parametrize("size", [0, 4, 8, 16, 32, 64, 100, 128, 256])
def test_user_memory_of_any_size_is_read_up_to_the_limit(
    module: UhfModule, driver: Driver, size: int
) -> None:
    user = bytes(range(size))
    module.field.put(cylinder_tag(1, user=user))
    (first, *_) = tags_of(driver, bool)
    assert first.banks.get("user", b"") == user[: min(128, size // 8 * 8)]
    assert first.complete


def test_many_tags_are_each_told_whole(module: UhfModule, driver: Driver) -> None:
    tags = [cylinder_tag(number, user=bytes([number] * 32)) for number in range(30)]
    module.field.put(*tags)
    seen = tags_of(driver, lambda seen: len({one.key for one in seen}) == 30)
    assert all(one.complete and one.banks["user"][0] == one.banks["tid"][-1] for one in seen)


def test_a_tag_that_goes_before_it_can_be_read_is_told_as_incomplete(
    module: UhfModule, driver: Driver
) -> None:
    tag = UhfTag(cylinder_tag(1).epc, readable=False)
    module.field.put(tag)
    time.sleep(0.05)
    module.field.take(tag)
    (only,) = tags_of(driver, bool)
    assert (only.complete, set(only.banks)) == (False, {"pc", "epc"})
    assert driver.counters["reads_failed"] >= 1


def test_a_tag_that_comes_nearer_is_told_whole_after_all(module: UhfModule, driver: Driver) -> None:
    far = UhfTag(cylinder_tag(1).epc, readable=False)
    module.field.put(far)
    assert not tags_of(driver, bool)[0].complete
    module.field.put(cylinder_tag(1))
    tags_of(driver, lambda seen: any(one.complete for one in seen))


def test_memory_written_while_a_tag_was_away_is_read_anew(
    module: UhfModule, driver: Driver
) -> None:
    module.field.put(cylinder_tag(1, user=b"before__"))
    assert tags_of(driver, bool)[0].banks["user"] == b"before__"
    module.field.take(cylinder_tag(1))
    end_s = time.monotonic() + 0.6
    while time.monotonic() < end_s:
        driver.read()
    module.field.put(cylinder_tag(1, user=b"after___"))
    assert tags_of(driver, bool)[0].banks["user"] == b"after___"


@pytest.mark.parametrize("noise", [b"\xbb\x00\xff\x7e", b"\xbb\x01\x22\x01", b"\0\xff\x7e\x7e"])
def test_noise_before_frames_costs_no_tag(module: UhfModule, driver: Driver, noise: bytes) -> None:
    module.noise = noise
    module.field.put(cylinder_tag(1, user=b"12345678"))
    assert tags_of(driver, bool)[0].banks["user"] == b"12345678"
    assert driver.counters["noise_bytes"] > 0


def test_frames_with_wrong_checksums_or_cut_in_half_are_counted_not_told(
    module: UhfModule, driver: Driver
) -> None:
    module.bend = lambda frame: frame[:-2] + bytes([frame[-2] ^ 1, 0x7E])
    module.field.put(cylinder_tag(1))
    assert [*driver.read(), *driver.read()] == []
    assert driver.counters["bad_checksum"] > 0
    module.bend = lambda frame: frame[: len(frame) // 2]
    assert [*driver.read()] == []
    module.bend = bytes
    tags_of(driver, bool)


def test_a_wrong_tag_crc_is_counted_not_told(module: UhfModule, driver: Driver) -> None:
    def bend(frame: bytes) -> bytes:
        if frame[1:3] != b"\x02\x22":
            return frame
        body = bytearray(frame[1:-2])
        body[8] ^= 0x10
        return b"\xbb" + bytes(body) + bytes([sum(body) & 0xFF, 0x7E])

    module.bend = bend
    module.field.put(cylinder_tag(1))
    assert [*driver.read(), *driver.read()] == []
    assert driver.counters["bad_tag_crc"] > 0


def test_an_inventory_that_ends_is_started_again(module: UhfModule, driver: Driver) -> None:
    module.deaf = True
    time.sleep(0.1)
    module.deaf = False
    module.field.put(cylinder_tag(1))
    tags_of(driver, bool)
    assert driver.counters["inventory_restarts"] >= 1


def test_the_power_is_set(module: UhfModule, tmp_path: Path) -> None:
    reader = Reader(id="g", kind="uhf_serial", device=str(tmp_path / "uhf"), power_dbm=18.5)
    opener(reader)().close()
    assert module.power_dbm == 18.5


def test_banks_that_are_not_wanted_are_not_read(module: UhfModule, tmp_path: Path) -> None:
    reader = Reader(id="g", kind="uhf_serial", device=str(tmp_path / "uhf"), banks=())
    driver = opener(reader)()
    module.field.put(cylinder_tag(1, user=b"12345678"))
    assert set(tags_of(driver, bool)[0].banks) == {"pc", "epc"}
    driver.close()


def test_a_module_that_is_pulled_out_fails_and_opens_again(
    module: UhfModule, reader: Reader, driver: Driver
) -> None:
    module.field.put(cylinder_tag(1))
    tags_of(driver, bool)
    module.unplug()
    with pytest.raises(RetryLater, match="uhf"):
        tags_of(driver, never)
    driver.close()
    with pytest.raises(RetryLater, match="No such file"):
        opener(reader)()
    module.plug()
    again = opener(reader)()
    tags_of(again, bool)
    again.close()


def test_a_module_that_falls_silent_fails(module: UhfModule, driver: Driver) -> None:
    module.deaf = True
    with pytest.raises(RetryLater, match="no UHF module answers"):
        tags_of(driver, never)


def test_another_device_on_the_line_is_not_taken_for_a_module(
    module: UhfModule, reader: Reader
) -> None:
    module.deaf = True
    with pytest.raises(RetryLater, match="no UHF module answers"):
        opener(reader)()
