"""The NFC driver through nfcpy: every type of tag, a noisy line, a line pulled out."""

import importlib
import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.settings import Reader
from edge.sources.base import Driver, TagGone, TagSeen
from protocols.errors import RetryLater
from simulators.hf_field import HfField
from simulators.hf_tags import Tag, Type2Tag, Type3Tag, Type4Tag, ndef_tlv
from simulators.nfc_udp import UdpField
from simulators.pn532 import Pn532
from tests.support.nfc import missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
UID = b"\x04ABCDEF"
MESSAGE = b"\xd1\x01\x0cT\x02zh\xe6\xb0\x94\xe7\x93\xb6123"
TAGS: dict[str, Tag] = {
    "type2": Type2Tag(UID, ndef_tlv(MESSAGE), chip="ntag216", signature=b"s" * 32),
    "type3": Type3Tag(b"\x02\xfeABCDEF", MESSAGE),
    "type4": Type4Tag(UID, MESSAGE),
}


@pytest.fixture
def field() -> HfField:
    return HfField()


@pytest.fixture
def chip(field: HfField, tmp_path: Path) -> Iterator[Pn532]:
    one = Pn532(field, tmp_path / "pn532")
    yield one
    one.unplug()


def opened(path: object) -> Driver:
    module = importlib.import_module("edge.sources.nfc")
    driver: Driver = module.opener(Reader(id="r", kind="nfc", device=str(path)))()
    return driver


def only_tag(driver: Driver) -> TagSeen:
    for _ in range(10):
        for seen in driver.read():
            if isinstance(seen, TagSeen):
                return seen
    raise AssertionError(f"no tag; {driver.counters}")


def check(seen: TagSeen, technology: str) -> None:
    tag = TAGS[technology]
    assert (seen.technology, seen.uid, seen.complete) == (technology, tag.uid, True)
    if isinstance(tag, Type2Tag):
        assert seen.banks["user"] == bytes(tag.memory[16 : 16 + 888])
        assert seen.banks["signature"] == b"s" * 32
    else:
        assert seen.banks["ndef"] == MESSAGE


@pytest.mark.parametrize("technology", TAGS)
def test_a_pn532_reads_every_type(
    field: HfField, chip: Pn532, tmp_path: Path, technology: str
) -> None:
    field.place(TAGS[technology])
    driver = opened(tmp_path / "pn532")
    check(only_tag(driver), technology)
    assert driver.read() == []
    field.remove()
    assert driver.read() == [TagGone(TAGS[technology].uid)]
    driver.close()


@pytest.mark.parametrize("technology", TAGS)
def test_another_driver_of_nfcpy_reads_every_type(field: HfField, technology: str) -> None:
    field.place(TAGS[technology])
    air = UdpField(field)
    driver = opened(f"udp:127.0.0.1:{air.port}")
    check(only_tag(driver), technology)
    driver.close()
    air.close()


def test_of_a_mifare_classic_the_uid_is_read(field: HfField, chip: Pn532, tmp_path: Path) -> None:
    tag = Type2Tag(UID, b"")
    tag.sel_res = b"\x08"
    field.place(tag)
    driver = opened(tmp_path / "pn532")
    seen = only_tag(driver)
    assert (seen.technology, seen.uid, seen.banks, seen.complete) == ("other", UID, {}, True)
    driver.close()


def test_a_felica_card_without_ndef_is_its_idm(field: HfField, chip: Pn532, tmp_path: Path) -> None:
    tag = Type3Tag(b"\x01\x01ABCDEF", MESSAGE)
    tag.system = b"\x00\x03"
    field.place(tag)
    driver = opened(tmp_path / "pn532")
    seen = only_tag(driver)
    assert (seen.uid, seen.banks, seen.complete) == (tag.uid, {}, True)
    driver.close()


class Noise:
    """Garbles one answer of the reader, in one of several ways."""

    def __init__(self, rng: random.Random) -> None:
        self._rng, self._left = rng, rng.randrange(1, 40)

    def __call__(self, out: bytes) -> bytes:
        self._left -= 1
        if self._left:
            return out
        at = self._rng.randrange(len(out))
        garbage = self._rng.randbytes(self._rng.randrange(1, 9))
        start, end = out[:at], out[at:]
        return self._rng.choice([start, start + garbage, garbage + out, start + garbage + end])


def test_noise_on_the_line_is_an_outage_and_never_another_tag(
    field: HfField, chip: Pn532, tmp_path: Path
) -> None:
    rng = random.Random(7)
    outages = 0
    for turn in range(9):
        technology = list(TAGS)[turn % len(TAGS)]
        field.place(TAGS[technology])
        driver = opened(tmp_path / "pn532")
        field.spoil = Noise(rng)
        try:
            for _ in range(3):
                for seen in driver.read():
                    assert isinstance(seen, TagSeen | TagGone)
                    assert seen.key == TAGS[technology].uid
                    if isinstance(seen, TagSeen) and seen.complete:
                        check(seen, technology)
        except RetryLater:
            outages += 1
        field.spoil = None
        driver.close()
    assert outages
    driver = opened(tmp_path / "pn532")
    check(only_tag(driver), technology)
    driver.close()


def test_pulled_out_and_plugged_in_it_leaves_no_descriptors(
    field: HfField, chip: Pn532, tmp_path: Path
) -> None:
    def round_trip() -> int:
        driver = opened(tmp_path / "pn532")
        driver.read()
        chip.unplug()
        with pytest.raises(RetryLater):
            driver.read()
        driver.close()
        chip.plug_in()
        return len(list(Path("/proc/self/fd").iterdir()))

    before = round_trip()
    assert [round_trip() for _ in range(5)] == [before] * 5


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/dev/ttyNONE7", "No such file"),
        ("/dev/tty;reboot", "path of a serial line"),
        ("usb:ffff:ffff", "expected an NFC reader"),
        ("tty:NONE7:pn532", "expected an NFC reader"),
    ],
)
def test_what_is_not_there_is_tried_later(path: str, why: str) -> None:
    with pytest.raises(RetryLater, match=why):
        opened(path)
    assert logging.getLogger("nfc").level == logging.CRITICAL


def test_an_adapter_that_swallows_the_first_answers_is_waited_for(
    field: HfField, chip: Pn532, tmp_path: Path
) -> None:
    answers = iter(range(5))
    field.spoil = lambda out: out if next(answers, None) is None else b""
    field.place(TAGS["type4"])
    driver = opened(tmp_path / "pn532")
    check(only_tag(driver), "type4")
    driver.close()


def test_a_line_where_nobody_answers_is_tried_later(
    field: HfField, chip: Pn532, tmp_path: Path
) -> None:
    field.spoil = lambda _: b""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(RetryLater):
        opened(tmp_path / "pn532")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
