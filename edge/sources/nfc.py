"""NFC readers through nfcpy: PN532 on a serial line, readers on USB; tags of type 2, 3 and 4A.

nfcpy has no ISO 15693: type 5 tags need a PC/SC reader.
"""

import logging
import re
import struct
import termios
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import nfc
import nfc.clf.pn53x
import nfc.clf.pn532
import nfc.clf.transport
import nfc.tag
import nfc.tag.tt2
import nfc.tag.tt3
import nfc.tag.tt4

from edge.settings import Reader
from edge.sources.base import OpenDriver, Seen, TagSeen
from edge.sources.hf import (
    Attended,
    HfTechnology,
    Memory,
    Unanswered,
    read_type2,
    read_type3,
    read_type4,
    sighting,
)
from protocols.errors import RetryLater

POLL_S = 0.1
"""Between two looks; each is for one technology."""
TECHNOLOGIES = ("106A", "212F")
ANSWER_S = 0.05
"""A type 2 tag answers within 5 ms (NFC Forum Digital 1.1); the rest is for the host."""
WAKE_CALLS_MAX = 12
_SERIAL_PATH = re.compile(r"/[\w./:@+,-]+")
_WAKE_UP = bytes.fromhex("5555") + bytes(14)
"""A PN532 asleep takes its first bytes on the line for a call to wake up (user manual, 7.2.11)."""
_TYPE_2, _ISO_DEP = 0x00, 0x20
_NDEF_SYSTEM = 0x12FC
_BROKEN = (
    OSError,
    termios.error,  # not an OSError
    nfc.clf.pn53x.Chipset.Error,
    nfc.clf.Error,
    AssertionError,
    IndexError,
    RuntimeError,
    TypeError,
    UnboundLocalError,
    ValueError,
    struct.error,
)
"""What nfcpy lets through when a device is gone, or a frame is not as it must be."""

T = TypeVar("T")


def opener(reader: Reader) -> OpenDriver:
    """Open the reader at an nfcpy path, or a PN532 where `reader.device` is a serial line's."""
    logging.getLogger("nfc").setLevel(logging.CRITICAL)  # it is told by the source, once
    return lambda: NfcDriver(reader.device)


class NfcDriver:
    """One reader."""

    def __init__(self, path: str) -> None:
        """Open it.

        Raises:
            RetryLater: it is not there, or does not answer.

        """
        self.counters = {"bad_answers": 0, "cards_unsupported": 0}
        self._attended = Attended()
        self._technologies = list(TECHNOLOGIES)
        self._reader = nfc.ContactlessFrontend()
        try:
            opened = _open_serial(self._reader, path) if path[0] == "/" else self._reader.open(path)
        except _BROKEN as error:
            self.close()
            raise RetryLater(f"{path}: {error}") from None
        if not opened:
            raise RetryLater(f"expected an NFC reader at {path}, found none")

    def read(self) -> Sequence[Seen]:
        """Look for one technology, that of the tag that was there last time first."""
        time.sleep(POLL_S)
        try:
            return self._look()
        except _BROKEN as error:
            raise RetryLater(f"{type(error).__name__}: {error}") from None

    def close(self) -> None:
        """Close it and its line, whether or not it still answers."""
        chipset = getattr(self._reader.device, "chipset", None)
        transport = getattr(chipset, "transport", None)
        for close in (self._reader.close, transport and transport.close):
            try:
                if close is not None:
                    close()
            except _BROKEN:
                continue

    def _look(self) -> list[Seen]:
        technology = self._technologies[0]
        try:
            target = self._reader.sense(nfc.clf.RemoteTarget(technology))
        except nfc.clf.UnsupportedTargetError:
            self._technologies.remove(technology)
            raise
        uid = None if target is None else _uid(target)
        if uid is None:
            self._technologies = [*self._technologies[1:], technology]
            return self._attended.none()
        return self._attended.look(uid, lambda: self._read(target, uid))

    def _read(self, target: Any, uid: bytes) -> TagSeen:
        technology, memory = self._memory(target, uid)
        if technology != "type4":  # a session of ISO-DEP is with one card
            again = self._reader.sense(nfc.clf.RemoteTarget(target.brty))
            memory.same = memory.same and again is not None and _uid(again) == uid
        if not (memory.complete and memory.same):
            self.counters["bad_answers"] += 1
        return sighting(uid, technology, memory)

    def _memory(self, target: Any, uid: bytes) -> tuple[HfTechnology, Memory]:
        technology = _technology(target)
        if technology == "other":
            self.counters["cards_unsupported"] += 1
            return technology, Memory.none()
        tag = nfc.tag.activate(self._reader, target)
        if isinstance(tag, nfc.tag.tt2.Type2Tag):
            return technology, read_type2(uid, _Type2(tag))
        if isinstance(tag, nfc.tag.tt3.Type3Tag):
            return technology, _read_type3(tag)
        if isinstance(tag, nfc.tag.tt4.Type4Tag):
            return technology, read_type4(partial(_transmit, tag))
        return technology, Memory()  # it left


class _Type2:
    """A type 2 tag as nfcpy has activated it."""

    def __init__(self, tag: Any) -> None:
        self._tag = tag

    def read_pages(self, page: int) -> bytes:
        data = self.command(bytes([0x30, page]))
        if len(data) != 16:
            raise Unanswered(f"page {page}: {len(data)} bytes")
        return data

    def command(self, data: bytes) -> bytes:
        return bytes(_ask(self._tag.transceive, bytearray(data), timeout=ANSWER_S))


def _read_type3(tag: Any) -> Memory:
    """Read the NDEF system of a FeliCa card, which may have others, or not have this one."""
    try:
        tag.idm, tag.pmm = _ask(tag.polling, _NDEF_SYSTEM)
    except Unanswered:
        return Memory.none()  # whether it is still there, the next look tells
    tag.sys = _NDEF_SYSTEM
    return read_type3(partial(_read_block, tag))


def _read_block(tag: Any, number: int) -> bytes:
    return bytes(_ask(tag.read_from_ndef_service, number))


def _transmit(tag: Any, apdu: bytes) -> tuple[bytes, int]:
    answer = bytes(_ask(tag.transceive, bytearray(apdu)))
    if len(answer) < 2:
        raise Unanswered(f"an answer of {len(answer)} bytes")
    return answer[:-2], int.from_bytes(answer[-2:], "big")


def _ask(ask: Callable[..., T], *arguments: object, **options: object) -> T:
    try:
        return ask(*arguments, **options)
    except (nfc.tag.TagCommandError, nfc.clf.CommunicationError) as error:
        raise Unanswered(str(error)) from None


def _uid(target: Any) -> bytes | None:
    """Return UID or IDm; None of a tag that has none that can be read before it is activated."""
    if target.brty.endswith("F"):
        return bytes(target.sensf_res[1:9])
    return bytes(target.sdd_res) if target.sdd_res else None


def _technology(target: Any) -> HfTechnology:
    if target.brty.endswith("F"):
        return "type3"
    if target.sel_res[0] == _TYPE_2:
        return "type2"
    return "type4" if target.sel_res[0] & _ISO_DEP else "other"


def _open_serial(reader: Any, path: str) -> bool:
    """Open a PN532 at 115,200 baud and leave it there.

    nfcpy's own way asks it for a higher rate: after a crash of this process the chip would keep
    that and not be found again until its power is cut.
    """
    if not _SERIAL_PATH.fullmatch(path):
        raise OSError("expected the path of a serial line")
    transport = nfc.clf.transport.TTY(path)
    try:
        chipset = nfc.clf.pn532.Chipset(transport, logger=nfc.clf.pn532.log)
        _wake(chipset)
        reader.device = nfc.clf.pn532.Device(chipset, logger=nfc.clf.pn532.log)
    except _BROKEN:
        transport.close()
        raise
    return True


def _wake(chipset: Any) -> None:
    """Call until the chip answers; each call waits 0.1 s for it.

    Some USB adapters hold back what comes in the first second after they were opened.
    """
    for call in range(WAKE_CALLS_MAX):
        try:
            chipset.transport.write(_WAKE_UP)
            chipset.sam_configuration("normal")
        except OSError:
            if call == WAKE_CALLS_MAX - 1:
                raise
        else:
            break
