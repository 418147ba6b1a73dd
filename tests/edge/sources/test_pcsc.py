"""The PC/SC driver on a real pcscd: every sort of card, several readers, what fails in between."""

import importlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from edge.settings import Reader
from edge.sources.base import Driver, Seen, TagGone, TagSeen
from protocols.errors import RetryLater
from simulators.hf_field import HfField
from simulators.hf_tags import Tag, Type2Tag, Type3Tag, Type4Tag, Type5Tag, ndef_tlv
from simulators.pcsc_slot import Passthrough, PcscSlot
from simulators.pcscd import Pcscd
from tests.support.pcsc import missing, socket_folder

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
UID = b"\x04ABCDEF"
READERS = [f"Hall {number}" for number in range(1, 8)]
"""One for each test: for up to 0.4 s pcscd takes one card for the next."""
MESSAGE = b"\xd1\x01\x0cT\x02zh\xe6\xb0\x94\xe7\x93\xb6123"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Pcscd]:
    one = Pcscd(socket_folder(), READERS)
    os.environ.update(one.environment)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def module() -> ModuleType:
    return importlib.import_module("edge.sources.pcsc")


def opened(name: str) -> Driver:
    module = importlib.import_module("edge.sources.pcsc")
    driver: Driver = module.opener(Reader(id="r", kind="pcsc", device=name))()
    return driver


@contextmanager
def slot(
    daemon: Pcscd, name: str, tag: Tag, passthrough: Passthrough | None = "pn532"
) -> Iterator[HfField]:
    field = HfField()
    field.place(tag)
    one = PcscSlot(field, partial(daemon.dial, name), passthrough=passthrough)
    yield field
    one.close()


def until_told(driver: Driver, kind: type[Seen] = TagSeen) -> list[Seen]:
    """Read until something of this kind comes."""
    told: list[Seen] = []
    for _ in range(20):
        told += driver.read()
        if any(isinstance(one, kind) for one in told):
            return told
    raise AssertionError(f"no {kind.__name__} in 20 reads; {told}, {driver.counters}")


def only_tag(driver: Driver) -> TagSeen:
    (seen,) = until_told(driver)
    assert isinstance(seen, TagSeen)
    return seen


def test_two_readers_tell_each_its_own_tag(daemon: Pcscd) -> None:
    tags = [Type2Tag(b"\x04ABCDE" + bytes([n]), ndef_tlv(MESSAGE)) for n in range(2)]
    drivers = [opened(name) for name in READERS[:2]]
    with slot(daemon, READERS[0], tags[0]), slot(daemon, READERS[1], tags[1]):
        assert [only_tag(driver).uid for driver in drivers] == [tag.uid for tag in tags]
    for driver, tag in zip(drivers, tags, strict=True):
        assert until_told(driver, TagGone) == [TagGone(tag.uid)]
        driver.close()


@pytest.mark.parametrize("passthrough", ["pn532", "transparent", None])
def test_version_and_signature_come_where_a_reader_lets_commands_through(
    daemon: Pcscd, passthrough: Passthrough | None
) -> None:
    reader = READERS[2 + ["pn532", "transparent", None].index(passthrough)]
    driver = opened(reader)
    tag = Type2Tag(UID, ndef_tlv(MESSAGE), chip="ntag215", signature=b"s" * 32)
    with slot(daemon, reader, tag, passthrough):
        seen = only_tag(driver)
    assert seen.complete
    assert seen.banks["user"].startswith(ndef_tlv(MESSAGE))
    assert len(seen.banks["user"]) == (504 if passthrough else 496)
    assert seen.banks.get("signature") == (b"s" * 32 if passthrough else None)
    driver.close()


def test_iso_15693_felica_and_type_4(daemon: Pcscd) -> None:
    driver = opened(READERS[5])
    vicinity = Type5Tag(b"\xe0\x04" + bytes(6), MESSAGE)
    with slot(daemon, READERS[5], vicinity) as field:
        seen = only_tag(driver)
        assert (seen.technology, seen.complete) == ("type5", True)
        assert seen.banks["user"] == bytes(vicinity.memory)
        field.remove()
        until_told(driver, TagGone)
        field.place(Type3Tag(b"\x02\xfeABCDEF", MESSAGE))
        seen = only_tag(driver)
        assert (seen.technology, seen.uid, seen.banks) == ("type3", b"\x02\xfeABCDEF", {})
        field.remove()
        until_told(driver, TagGone)
        field.place(Type4Tag(b"\x08ABC", MESSAGE))
        seen = only_tag(driver)
        assert (seen.technology, seen.uid, seen.complete) == ("type4", None, True)
        assert seen.banks["ndef"] == MESSAGE
    driver.close()


def test_a_tag_that_cannot_be_read_whole_is_tried_again_while_it_stays(daemon: Pcscd) -> None:
    driver = opened(READERS[6])
    tag = Type2Tag(UID, ndef_tlv(MESSAGE))
    tag.memory[14] = 0x20  # says that it is larger than it is
    with slot(daemon, READERS[6], tag):
        told = [only_tag(driver) for _ in range(2)]
        tag.memory[14] = 0x12
        assert [(one.complete, set(one.banks)) for one in told] == [(False, {"cc"})] * 2
        assert only_tag(driver).complete
        assert driver.counters["bad_answers"] == 2
    driver.close()


def test_a_card_without_a_uid_is_counted_once_and_not_told(daemon: Pcscd) -> None:
    driver = opened(READERS[0])
    with slot(daemon, READERS[0], Type4Tag(UID, MESSAGE)) as field:
        field.spoil = lambda _: b"\x6a\x81"
        assert [seen for _ in range(4) for seen in driver.read()] == []
    assert driver.counters["cards_unsupported"] == 1
    driver.close()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_tag_that_the_daemon_takes_for_the_one_before_is_read_as_what_it_is(
    daemon: Pcscd, order: tuple[int, int]
) -> None:
    """It keeps the ATR for up to 0.4 s: an NTAG would pass for a card without a message."""
    tags = (Type4Tag(b"\x04ABCDEG", MESSAGE), Type2Tag(UID, ndef_tlv(MESSAGE)))
    before, after = (tags[index] for index in order)
    driver = opened(READERS[1])
    with slot(daemon, READERS[1], before) as field:
        assert only_tag(driver).complete
        driver.close()
        field.remove()
        time.sleep(0.05)
        field.place(after)
        time.sleep(0.05)
        driver = opened(READERS[1])
        told: list[TagSeen] = []
        while not (told and told[-1].complete):
            told.append(only_tag(driver))
        field.remove()
        until_told(driver, TagGone)
    assert all(one.uid == after.uid for one in told)
    assert told[-1].technology == ("type4", "type2")[order[1]]
    assert told[-1].banks
    driver.close()


def test_a_tag_that_turns_into_one_of_another_type_is_read_as_what_it_is(daemon: Pcscd) -> None:
    driver, second = opened(READERS[0]), Type2Tag(UID, ndef_tlv(MESSAGE))
    with slot(daemon, READERS[0], Type4Tag(b"\x04ABCDEG", MESSAGE)) as field:
        field.place_until(Type4Tag(b"\x04ABCDEG", MESSAGE), 6, second)
        told: list[TagSeen] = []
        while not (told and told[-1].complete):
            told += [one for one in until_told(driver) if isinstance(one, TagSeen)]
    assert [(one.uid, one.banks) for one in told[:-1]] == [(b"\x04ABCDEG", {})]
    assert (told[-1].uid, told[-1].technology) == (UID, "type2")
    assert told[-1].banks["user"].startswith(ndef_tlv(MESSAGE))
    driver.close()


def test_a_reader_that_is_not_there_is_said_with_those_that_are(daemon: Pcscd) -> None:
    with pytest.raises(RetryLater, match=r"expected a PC/SC reader 'Hall 9', found .*Hall 1 00 00"):
        opened("Hall 9")


def test_a_reader_that_the_daemon_no_longer_knows_is_gone(
    daemon: Pcscd, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This driver's readers cannot be pulled out of a running daemon: its answer is played."""
    driver = opened(READERS[0])
    states = [(READERS[0], module.scard.SCARD_STATE_UNKNOWN, b"")]
    monkeypatch.setattr(module.scard, "SCardGetStatusChange", lambda *_: [0, states])
    with pytest.raises(RetryLater, match="is gone"):
        driver.read()
    driver.close()


def test_opening_and_closing_leaves_no_descriptors(daemon: Pcscd) -> None:
    opened(READERS[0]).close()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        opened(READERS[0]).close()
        with pytest.raises(RetryLater):
            opened("Hall 9")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_without_a_daemon_it_is_tried_later(daemon: Pcscd) -> None:
    driver = opened(READERS[0])
    daemon.stop()
    with pytest.raises(RetryLater, match="PC/SC"):
        driver.read()
    driver.close()
    with pytest.raises(RetryLater, match="PC/SC"):
        opened(READERS[0])
    daemon.start()
    opened(READERS[0]).close()
