"""The LLRP client against a simulated reader over TCP."""

import time
from collections.abc import Callable, Iterator

import pytest

from edge.settings import Reader
from edge.sources import llrp
from edge.sources.base import Driver, TagSeen
from edge.sources.llrp import opener
from protocols.errors import RetryLater
from simulators.llrp_reader import LlrpReader
from simulators.uhf_tags import UhfTag, cylinder_tag


@pytest.fixture
def device() -> Iterator[LlrpReader]:
    device = LlrpReader()
    device.start()
    yield device
    device.stop()


@pytest.fixture
def reader(device: LlrpReader) -> Reader:
    return Reader(id="gate", kind="llrp", device=device.address, away_s=0.3)


@pytest.fixture
def driver(reader: Reader) -> Iterator[Driver]:
    driver = opener(reader)()
    yield driver
    driver.close()


def tags_of(driver: Driver, until: Callable[[list[TagSeen]], bool]) -> list[TagSeen]:
    seen: list[TagSeen] = []
    end_s = time.monotonic() + 8
    while not until(seen):
        assert time.monotonic() < end_s, (seen, driver.counters)
        began_s = time.monotonic()
        seen += [one for one in driver.read() if isinstance(one, TagSeen)]
        assert time.monotonic() - began_s < 0.7
    return seen


def never(seen: list[TagSeen]) -> bool:
    return False


@pytest.mark.parametrize("size", [12, 22, 26])
def test_a_tag_is_told_with_its_memory_and_signal(
    device: LlrpReader, driver: Driver, size: int
) -> None:
    tag = UhfTag(bytes(range(size)), tid=b"\xe2" * 12, user=bytes(range(128)), rssi_dbm=-61)
    device.field.put(tag)
    first, *_ = tags_of(driver, bool)
    assert first == TagSeen(
        key=tag.epc,
        technology="gen2",
        banks={"pc": tag.pc, "epc": tag.epc, "tid": tag.tid, "user": tag.user},
        rssi_dbm=-61,
    )


def test_a_tag_without_user_memory_is_whole(device: LlrpReader, driver: Driver) -> None:
    device.field.put(cylinder_tag(1))
    first, *_ = tags_of(driver, bool)
    assert first.complete
    assert "user" not in first.banks


def test_a_reader_that_cannot_read_to_the_end_of_a_bank_reads_so_many_words(
    device: LlrpReader, reader: Reader
) -> None:
    device.reads_to_end = False
    device.field.put(cylinder_tag(1, user=bytes(range(128))))
    driver = opener(reader)()
    assert tags_of(driver, bool)[0].banks["user"] == bytes(range(64))
    driver.close()


def test_a_reader_that_refuses_access_still_tells_epcs(device: LlrpReader, reader: Reader) -> None:
    device.refuse[40] = (100, "no access")
    device.field.put(cylinder_tag(1))
    driver = opener(reader)()
    assert set(tags_of(driver, bool)[0].banks) == {"pc", "epc"}
    assert driver.counters["access_refused"] == 1
    driver.close()


def test_a_tag_that_goes_before_it_can_be_read_is_told_as_incomplete(
    device: LlrpReader, driver: Driver
) -> None:
    tag = UhfTag(cylinder_tag(1).epc, readable=False)
    device.field.put(tag)
    driver.read()
    device.field.take(tag)
    (only,) = tags_of(driver, bool)
    assert not only.complete
    assert driver.counters["reads_failed"] > 0


def test_keepalives_are_acknowledged(device: LlrpReader, driver: Driver) -> None:
    end_s = time.monotonic() + 1.6
    while time.monotonic() < end_s:
        driver.read()
    assert device.acks >= 1


@pytest.mark.parametrize(("dbm", "index"), [(10.0, 1), (18.6, 35), (33.0, 81)])
def test_the_power_is_the_next_lower_step(device: LlrpReader, dbm: float, index: int) -> None:
    reader = Reader(id="g", kind="llrp", device=device.address, power_dbm=dbm)
    opener(reader)().close()
    assert device.power_index == index


def test_a_power_that_the_reader_has_not_is_told(device: LlrpReader) -> None:
    reader = Reader(id="g", kind="llrp", device=device.address, power_dbm=5.0)
    with pytest.raises(RetryLater, match=r"no power of 5\.0 dBm"):
        opener(reader)()


def test_a_refusal_is_told_with_the_readers_words(device: LlrpReader, reader: Reader) -> None:
    device.refuse[20] = (100, "ROSpec is not ours")
    with pytest.raises(RetryLater, match="ADD_ROSPEC refused: 100 ROSpec is not ours"):
        opener(reader)()


def test_malformed_reports_are_counted_and_the_next_good_one_is_told(
    device: LlrpReader, driver: Driver
) -> None:
    device.bend = lambda body: body[:-1]
    device.field.put(cylinder_tag(1))
    driver.read()
    assert driver.counters["malformed_messages"] > 0
    device.bend = bytes
    tags_of(driver, bool)


def test_a_cut_connection_fails_and_opens_again(
    device: LlrpReader, reader: Reader, driver: Driver
) -> None:
    device.field.put(cylinder_tag(1))
    tags_of(driver, bool)
    device.drop()
    with pytest.raises(RetryLater):
        tags_of(driver, never)
    driver.close()
    again = opener(reader)()
    tags_of(again, bool)
    again.close()


@pytest.mark.parametrize(
    ("device", "address"),
    [
        ("reader-1", ("reader-1", 5084)),
        ("reader-1:5085", ("reader-1", 5085)),
        ("10.0.0.7:15084", ("10.0.0.7", 15084)),
        ("fe80::1", ("fe80::1", 5084)),
        ("[fe80::1]:15084", ("fe80::1", 15084)),
        ("[fe80::1]", ("fe80::1", 5084)),
    ],
)
def test_address_of_a_reader(device: str, address: tuple[str, int]) -> None:
    assert llrp._address(device) == address


def test_a_reader_that_is_gone_is_told(device: LlrpReader, reader: Reader) -> None:
    device.stop()
    with pytest.raises(RetryLater, match="refused"):
        opener(reader)()


def test_a_connection_that_is_dead_is_noticed(
    device: LlrpReader, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llrp, "SILENT_S", 0.6)
    device.mute = True
    with pytest.raises(RetryLater, match=r"nothing heard for 0\.6 s"):
        tags_of(driver, never)
