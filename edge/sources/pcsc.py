"""PC/SC readers through pyscard: contactless memory cards, NTAG, ISO 15693 and type 4.

A loop of our own on `scard` with a context of its own, dropped after any error: pyscard's monitors
do not come back when the daemon was away.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from smartcard import scard

from edge.settings import Reader
from edge.sources.base import READ_WAIT_S, OpenDriver, Seen, TagSeen
from edge.sources.hf import (
    Attended,
    HfTechnology,
    Memory,
    Unanswered,
    key_of,
    read_type2,
    read_type4,
    read_type5,
    sighting,
)
from protocols.errors import RetryLater

_UID = bytes.fromhex("FFCA000000")
_OK = 0x9000
_UID_LENGTHS = (4, 7, 8, 10)
_REGISTERED_ID = bytes.fromhex("A000000306")
"""In the ATR that a reader makes up for a storage card (PC/SC part 3, 3.1.3.2.3.2)."""
_ISO_14443_A, _ISO_15693, _FELICA = 0x03, range(0x09, 0x0D), 0x11
_ISO_15693_UID_BYTES = 8
_MIFARE_CLASSIC = (1, 2, 0x26)
_CARD_GONE = frozenset(
    {
        scard.SCARD_E_NO_SMARTCARD,
        scard.SCARD_E_NOT_TRANSACTED,
        scard.SCARD_E_PROTO_MISMATCH,
        scard.SCARD_E_SHARING_VIOLATION,
        scard.SCARD_W_REMOVED_CARD,
        scard.SCARD_W_RESET_CARD,
        scard.SCARD_W_UNPOWERED_CARD,
        scard.SCARD_W_UNRESPONSIVE_CARD,
        scard.SCARD_W_UNSUPPORTED_CARD,
    }
)
_READER_GONE = scard.SCARD_STATE_UNKNOWN | scard.SCARD_STATE_UNAVAILABLE | scard.SCARD_STATE_IGNORE
_PROTOCOLS = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
_EVENT_SHIFT = 16
"""The upper half of a reader's state counts how often a card came or went."""


def opener(reader: Reader) -> OpenDriver:
    """Open the reader whose name is, or begins with, `reader.device`."""
    return lambda: PcscDriver(reader.device)


class PcscDriver:
    """One reader, by a context of its own."""

    def __init__(self, name: str) -> None:
        """Connect to the daemon and find the reader.

        Raises:
            RetryLater: one of them is not there.

        """
        self.counters = {"bad_answers": 0, "cards_unsupported": 0}
        code, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        _check(code)
        self._attended = Attended()
        self._passage = _Passage()
        self._state, self._events = scard.SCARD_STATE_UNAWARE, 0
        self._refused = -1
        try:
            self._reader = _find(self._context, name)
        except RetryLater:
            self.close()
            raise

    def read(self) -> Sequence[Seen]:
        """Wait for a card to come or go; look whether the one that is there still is."""
        wait_ms = round(READ_WAIT_S * 1000)
        code, states = scard.SCardGetStatusChange(
            self._context, wait_ms, [(self._reader, self._state)]
        )
        if code != scard.SCARD_E_TIMEOUT:
            _check(code)
        _, state, atr = states[0]
        if state & _READER_GONE:
            raise RetryLater(f"reader {self._reader!r} is gone")
        self._state = state & ~scard.SCARD_STATE_CHANGED
        events, self._events = self._events, state >> _EVENT_SHIFT
        seen = self._attended.none() if events != self._events else []
        if state & scard.SCARD_STATE_PRESENT:
            seen += self._look(bytes(atr))
        return seen

    def close(self) -> None:
        """Let go of the daemon."""
        scard.SCardReleaseContext(self._context)

    def _look(self, atr: bytes) -> list[Seen]:
        try:
            with _Card(self._context, self._reader) as card:
                uid = self._uid(card)
                if uid is None:
                    return self._attended.none()
                return self._attended.look(uid, lambda: self._read(card, uid, atr))
        except Unanswered:
            self.counters["bad_answers"] += 1
            return []  # if it left, the daemon will say so

    def _uid(self, card: "_Card") -> bytes | None:
        data, status = card.transmit(_UID)
        if status != _OK:
            self.counters["cards_unsupported"] += self._refused != self._events
            self._refused = self._events
            return None
        if len(data) not in _UID_LENGTHS:
            raise Unanswered(f"a UID of {len(data)} bytes")
        return data

    def _read(self, card: "_Card", uid: bytes, atr: bytes) -> TagSeen:
        """Read all of a tag; afterwards it must still be the one that it was."""
        technology, memory = self._memory(card, uid, atr)
        try:
            if not memory.banks and (now := card.reset()) != atr:
                # The ATR was of the card before: this one came before the daemon asked again.
                technology, memory = self._memory(card, uid, now)
            again, status = card.transmit(_UID)
            memory.same = memory.same and (key_of(again), status) == (key_of(uid), _OK)
        except Unanswered:
            memory.same = False
        if not (memory.complete and memory.same):
            self.counters["bad_answers"] += 1
        return sighting(uid, technology, memory)

    def _memory(self, card: "_Card", uid: bytes, atr: bytes) -> tuple[HfTechnology, Memory]:
        at = atr.find(_REGISTERED_ID)
        if at < 0:
            return "type4", read_type4(card.transmit)
        standard, name = atr[at + 5], int.from_bytes(atr[at + 6 : at + 8], "big")
        if standard == _ISO_14443_A and name not in _MIFARE_CLASSIC:
            return "type2", read_type2(uid, _Type2(card, self._passage))
        if standard in _ISO_15693:
            # Blocks of another sort of tag would pass for those of this one.
            known = len(uid) == _ISO_15693_UID_BYTES
            return "type5", read_type5(card.read_block) if known else Memory()
        # The blocks of FeliCa are read by each make of reader in its own way: the IDm must do.
        return "type3" if standard == _FELICA else "other", Memory.none()


class _Card:
    """A connection to the card in a reader, shared with other programs."""

    def __init__(self, context: Any, reader: str) -> None:
        code, self._handle, protocol = scard.SCardConnect(
            context, reader, scard.SCARD_SHARE_SHARED, _PROTOCOLS
        )
        _check_card(code)
        t0 = protocol == scard.SCARD_PROTOCOL_T0
        self._header = scard.SCARD_PCI_T0 if t0 else scard.SCARD_PCI_T1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        scard.SCardDisconnect(self._handle, scard.SCARD_LEAVE_CARD)

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        """Return data and status word.

        Raises:
            Unanswered: the card is gone, or the answer has no status word.
            RetryLater: the reader or the daemon is gone.

        """
        code, answer = scard.SCardTransmit(self._handle, self._header, list(apdu))
        _check_card(code)
        if len(answer) < 2:
            raise Unanswered(f"an answer of {len(answer)} bytes")
        return bytes(answer[:-2]), answer[-2] << 8 | answer[-1]

    def reset(self) -> bytes:
        """Reset the card and return the ATR that it has now; raises as `transmit` does."""
        code, _ = scard.SCardReconnect(
            self._handle, scard.SCARD_SHARE_SHARED, _PROTOCOLS, scard.SCARD_RESET_CARD
        )
        _check_card(code)
        code, *_, atr = scard.SCardStatus(self._handle)
        _check_card(code)
        return bytes(atr)

    def read_block(self, number: int, length: int = 4) -> bytes:
        """Read `length` bytes from a page or block on (PC/SC part 3, 3.2.2.1.8)."""
        data, status = self.transmit(bytes([0xFF, 0xB0, 0, number, length]))
        if status != _OK or len(data) != length:
            raise Unanswered(f"block {number}: {len(data)} bytes, {status:04X}")
        return data


class _Type2:
    """A type 2 tag behind a reader."""

    def __init__(self, card: _Card, passage: "_Passage") -> None:
        self._card, self._passage = card, passage

    def read_pages(self, page: int) -> bytes:
        return self._card.read_block(page, 16)

    def command(self, data: bytes) -> bytes:
        return self._passage.command(self._card, data)


class _Passage:
    """How a reader lets commands through to the chip; a way that fails is not tried again."""

    def __init__(self) -> None:
        self._ways = [_through_pn532, _through_session]

    def command(self, card: _Card, data: bytes) -> bytes:
        while self._ways:
            answer = self._ways[0](card, data)
            if answer is not None:
                return answer
            del self._ways[0]
        raise Unanswered("this reader lets no command through")


def _through_pn532(card: _Card, data: bytes) -> bytes | None:
    """InCommunicateThru of a reader that is a PN532 inside (ACR122U, API 2.04, 6.1)."""
    head = bytes([0xFF, 0, 0, 0, len(data) + 2, 0xD4, 0x42])
    answer, status = card.transmit(head + data)
    if status != _OK or answer[:2] != b"\xd5\x43":
        return None
    if answer[2:3] != b"\0":
        raise Unanswered(f"PN532 status {answer[2:3].hex()}")
    return answer[3:]


def _through_session(card: _Card, data: bytes) -> bytes | None:
    """Transparent exchange (PC/SC part 3, supplement)."""
    if card.transmit(bytes.fromhex("FFC20000028100"))[1] != _OK:
        return None
    head = bytes([0xFF, 0xC2, 0, 1, len(data) + 2, 0x95, len(data)])
    answer, status = card.transmit(head + data + b"\0")
    card.transmit(bytes.fromhex("FFC20000028200"))
    if status != _OK:
        return None
    at = 0
    while at + 2 <= len(answer):
        tag, length = answer[at : at + 2]
        if tag == 0x97:
            return answer[at + 2 : at + 2 + length]
        at += 2 + length
    raise Unanswered("no answer of the chip in the transparent exchange")


def _find(context: Any, name: str) -> str:
    """Return the full name: the daemon adds numbers, which may change with each plugging in."""
    code, readers = scard.SCardListReaders(context, [])
    if code != scard.SCARD_E_NO_READERS_AVAILABLE:
        _check(code)
    found = sorted(one for one in readers or () if one.startswith(name))
    if not found:
        raise RetryLater(f"expected a PC/SC reader {name!r}, found {readers or 'none'}")
    return name if name in found else found[0]


def _check_card(code: int) -> None:
    if code in _CARD_GONE:
        raise Unanswered(scard.SCardGetErrorMessage(code))
    _check(code)


def _check(code: int) -> None:
    if code != scard.SCARD_S_SUCCESS:
        raise RetryLater(f"PC/SC: {scard.SCardGetErrorMessage(code)}")
