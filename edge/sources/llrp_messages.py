"""Messages of the Low Level Reader Protocol 1.0.1 (EPCglobal), as few as a reader of tags needs."""

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum

from msgspec import Struct

from protocols.errors import RefuseInput

HEADER_BYTES = 10
MESSAGE_BYTES_MAX = 1024 * 1024
"""A longer message is none: the boundaries are lost."""
_VERSION = 1 << 10


class Kind(IntEnum):
    """Types of message."""

    GET_READER_CAPABILITIES = 1
    SET_READER_CONFIG = 3
    CLOSE_CONNECTION_RESPONSE = 4
    GET_READER_CAPABILITIES_RESPONSE = 11
    SET_READER_CONFIG_RESPONSE = 13
    CLOSE_CONNECTION = 14
    ADD_ROSPEC = 20
    DELETE_ROSPEC = 21
    ENABLE_ROSPEC = 24
    ADD_ROSPEC_RESPONSE = 30
    DELETE_ROSPEC_RESPONSE = 31
    ENABLE_ROSPEC_RESPONSE = 34
    ADD_ACCESSSPEC = 40
    DELETE_ACCESSSPEC = 41
    ENABLE_ACCESSSPEC = 42
    ADD_ACCESSSPEC_RESPONSE = 50
    DELETE_ACCESSSPEC_RESPONSE = 51
    ENABLE_ACCESSSPEC_RESPONSE = 52
    RO_ACCESS_REPORT = 61
    KEEPALIVE = 62
    READER_EVENT_NOTIFICATION = 63
    KEEPALIVE_ACK = 72
    ERROR_MESSAGE = 100


class _P(IntEnum):
    """Types of parameter."""

    ANTENNA_ID = 1
    PEAK_RSSI = 6
    C1G2_PC = 12
    EPC_96 = 13
    REGULATORY_CAPABILITIES = 143
    UHF_BAND_CAPABILITIES = 144
    TRANSMIT_POWER_ENTRY = 145
    FREQUENCY_INFORMATION = 146
    FREQUENCY_HOP_TABLE = 147
    RO_SPEC = 177
    RO_BOUNDARY_SPEC = 178
    RO_START_TRIGGER = 179
    RO_STOP_TRIGGER = 182
    AI_SPEC = 183
    AI_STOP_TRIGGER = 184
    INVENTORY_PARAMETER_SPEC = 186
    ACCESS_SPEC = 207
    ACCESS_STOP_TRIGGER = 208
    ACCESS_COMMAND = 209
    KEEPALIVE_SPEC = 220
    ANTENNA_CONFIGURATION = 222
    RF_TRANSMITTER = 224
    RO_REPORT_SPEC = 237
    TAG_REPORT_CONTENT = 238
    ACCESS_REPORT_SPEC = 239
    TAG_REPORT_DATA = 240
    EPC_DATA = 241
    READER_EVENT_DATA = 246
    CONNECTION_ATTEMPT = 256
    LLRP_STATUS = 287
    C1G2_TAG_SPEC = 338
    C1G2_TARGET_TAG = 339
    C1G2_READ = 341
    C1G2_EPC_MEMORY_SELECTOR = 348
    C1G2_READ_RESULT = 349


_TV_BYTES = {
    1: 2, 2: 8, 3: 8, 4: 8, 5: 8, 6: 1, 7: 2, 8: 2, 9: 4, 10: 2,
    11: 2, 12: 2, 13: 12, 14: 2, 15: 2, 16: 4, 17: 2, 18: 4, 19: 2, 20: 2,
}  # fmt: skip
"""Bytes behind the type of the parameters that carry no length."""
_GEN2 = 1
_EPC_BITS_MAX = 31 * 16
"""As many words as a protocol control word can tell."""
_ENABLE_ANTENNA_ID, _ENABLE_PEAK_RSSI, _ENABLE_PC = 1 << 12, 1 << 10, 1 << 6

READ_DONE, READ_OVERRUN = 0, 4
"""Results of reading a bank: it came; the tag's memory ends before what was asked."""


class Message(Struct, frozen=True):
    """One message; its type may be one that `Kind` does not know."""

    kind: int
    id: int
    body: bytes = b""


class Status(Struct, frozen=True):
    """How a request went; code 0 is success."""

    code: int
    text: str


class Capabilities(Struct, frozen=True):
    """What a reader can send with."""

    powers: tuple[tuple[int, int], ...]
    """Index and power in 0.01 dBm, of each step."""
    hop_table: int
    """0 where it does not hop."""
    channel: int
    """0 where it hops."""


class TagReport(Struct, frozen=True, kw_only=True):
    """One tag in a report."""

    epc: bytes
    pc: bytes = b""
    antenna: int | None = None
    rssi_dbm: int | None = None
    reads: dict[int, tuple[int, bytes]] = {}
    """By number of the read: its result, and what came."""


class MessageReader:
    """Cuts a byte stream into messages."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take bytes; yield the messages that are whole now.

        Raises:
            RefuseInput: `bad_length`; where the next message begins is lost.

        """
        self._buffer += data
        while len(self._buffer) >= HEADER_BYTES:
            head, size, number = struct.unpack_from(">HII", self._buffer)
            if not HEADER_BYTES <= size <= MESSAGE_BYTES_MAX:
                raise RefuseInput("bad_length", f"a message of {size} bytes")
            if len(self._buffer) < size:
                return
            body = self._buffer[HEADER_BYTES:size]
            self._buffer = self._buffer[size:]
            yield Message(head & 0x3FF, number, body)


def write(message: Message) -> bytes:
    """Write one message."""
    head = struct.pack(
        ">HII", _VERSION | message.kind, HEADER_BYTES + len(message.body), message.id
    )
    return head + message.body


def parameters(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Take a body apart into its parameters.

    Raises:
        RefuseInput: `bad_parameter`; a length does not fit, or a short type is unknown.

    """
    at = 0
    while at < len(body):
        if body[at] & 0x80:
            kind, start = body[at] & 0x7F, at + 1
            end = start + _TV_BYTES.get(kind, len(body))
        elif len(body) - at < 4:
            raise RefuseInput("bad_parameter", f"{len(body) - at} bytes left over")
        else:
            kind, size = struct.unpack_from(">HH", body, at)
            start, end = at + 4, at + max(size, 4)
        if end > len(body) or end == at:
            raise RefuseInput("bad_parameter", f"type {kind} ends behind its message")
        yield kind & 0x3FF, body[start:end]
        at = end


def get_capabilities() -> bytes:
    """Ask for all capabilities."""
    return b"\0"


def capabilities(body: bytes) -> Capabilities:
    """Read the answer to `get_capabilities`.

    Raises:
        RefuseInput: `bad_parameter`.

    """
    powers, hop_table, channel = [], 0, 1
    for kind, band in _below(body, _P.REGULATORY_CAPABILITIES, 4):
        if kind != _P.UHF_BAND_CAPABILITIES:
            continue
        for inner, value in parameters(band):
            if inner == _P.TRANSMIT_POWER_ENTRY and len(value) == 4:
                powers.append(struct.unpack(">Hh", value))
            elif inner == _P.FREQUENCY_INFORMATION:
                tables = [one for kind, one in parameters(value[1:]) if one]
                if value[0] & 0x80 and tables:
                    hop_table, channel = tables[0][0], 0
    return Capabilities(tuple(powers), hop_table, channel)


def set_keepalive(interval_ms: int) -> bytes:
    """Let the reader send a KEEPALIVE each `interval_ms`."""
    return b"\0" + _tlv(_P.KEEPALIVE_SPEC, struct.pack(">BI", 1, interval_ms))


def number(value: int) -> bytes:
    """Name a specification; 0 names all."""
    return struct.pack(">I", value)


def ro_spec(identity: int, transmitter: tuple[int, int, int] | None) -> bytes:
    """Let all antennas look for tags without end and report each sighting at once.

    Args:
        identity: number of the specification.
        transmitter: hop table, channel and index of the power; None leaves them as they are.

    """
    boundary = _tlv(
        _P.RO_BOUNDARY_SPEC,
        _tlv(_P.RO_START_TRIGGER, b"\x01") + _tlv(_P.RO_STOP_TRIGGER, bytes(5)),
    )
    antenna = b""
    if transmitter is not None:
        radio = _tlv(_P.RF_TRANSMITTER, struct.pack(">HHH", *transmitter))
        antenna = _tlv(_P.ANTENNA_CONFIGURATION, struct.pack(">H", 0) + radio)
    inventory = _tlv(_P.INVENTORY_PARAMETER_SPEC, struct.pack(">HB", 1, _GEN2) + antenna)
    look = struct.pack(">HH", 1, 0) + _tlv(_P.AI_STOP_TRIGGER, bytes(5)) + inventory
    content = struct.pack(">H", _ENABLE_ANTENNA_ID | _ENABLE_PEAK_RSSI)
    content += _tlv(_P.C1G2_EPC_MEMORY_SELECTOR, bytes([_ENABLE_PC]))
    report = struct.pack(">BH", 1, 1) + _tlv(_P.TAG_REPORT_CONTENT, content)
    body = struct.pack(">IBB", identity, 0, 0) + boundary
    return _tlv(_P.RO_SPEC, body + _tlv(_P.AI_SPEC, look) + _tlv(_P.RO_REPORT_SPEC, report))


def access_spec(identity: int, reads: Sequence[tuple[int, int, int]]) -> bytes:
    """Let the reader read memory of each tag that it sees, and report it with the sighting.

    Args:
        identity: number of the specification.
        reads: of each read its number, the memory bank and the words; 0 reads to the end.

    """
    any_tag = _tlv(_P.C1G2_TARGET_TAG, struct.pack(">BHHH", 1 << 6 | 1 << 5, 0, 0, 0))
    command = _tlv(_P.C1G2_TAG_SPEC, any_tag) + b"".join(
        _tlv(_P.C1G2_READ, struct.pack(">HIBHH", read, 0, bank << 6, 0, words))
        for read, bank, words in reads
    )
    body = struct.pack(">IHBBI", identity, 0, _GEN2, 0, 0)
    body += _tlv(_P.ACCESS_STOP_TRIGGER, bytes(3)) + _tlv(_P.ACCESS_COMMAND, command)
    return _tlv(_P.ACCESS_SPEC, body + _tlv(_P.ACCESS_REPORT_SPEC, b"\0"))


def status(body: bytes) -> Status:
    """Read how a request went.

    Raises:
        RefuseInput: `bad_parameter`; it does not say.

    """
    for kind, value in parameters(body):
        if kind == _P.LLRP_STATUS and len(value) >= 4:
            code, length = struct.unpack_from(">HH", value)
            return Status(code, value[4 : 4 + length].decode("utf-8", "replace"))
    raise RefuseInput("bad_parameter", "no status")


def connection_status(body: bytes) -> int | None:
    """Read from an event whether the connection is ours: 0, else why not; None: another event."""
    for kind, value in _below(body, _P.READER_EVENT_DATA, 0):
        if kind == _P.CONNECTION_ATTEMPT and len(value) == 2:
            return int.from_bytes(value, "big")
    return None


def tag_reports(body: bytes) -> list[TagReport]:
    """Read the tags of a report.

    Raises:
        RefuseInput: `bad_parameter`.

    """
    return [_tag_report(value) for kind, value in parameters(body) if kind == _P.TAG_REPORT_DATA]


def _tag_report(body: bytes) -> TagReport:
    epc, pc, antenna, rssi = b"", b"", None, None
    reads: dict[int, tuple[int, bytes]] = {}
    for kind, value in parameters(body):
        if kind == _P.EPC_96:
            epc = value
        elif kind == _P.EPC_DATA:
            epc = _epc(value)
        elif kind == _P.C1G2_PC:
            pc = value
        elif kind == _P.ANTENNA_ID:
            antenna = int.from_bytes(value, "big")
        elif kind == _P.PEAK_RSSI:
            rssi = int.from_bytes(value, "big", signed=True)
        elif kind == _P.C1G2_READ_RESULT:
            read, result, memory = _read_result(value)
            reads[read] = (result, memory)
    return TagReport(epc=epc, pc=pc, antenna=antenna, rssi_dbm=rssi, reads=reads)


def _epc(value: bytes) -> bytes:
    bits = int.from_bytes(value[:2], "big")
    if len(value) < 2 or bits % 16 or bits > _EPC_BITS_MAX or len(value) != 2 + bits // 8:
        raise RefuseInput("bad_parameter", f"an EPC of {bits} bits in {len(value) - 2} bytes")
    return value[2:]


def _read_result(value: bytes) -> tuple[int, int, bytes]:
    if len(value) < 5:
        raise RefuseInput("bad_parameter", f"a read result of {len(value)} bytes")
    result, read, words = struct.unpack_from(">BHH", value)
    if len(value) != 5 + 2 * words:
        raise RefuseInput("bad_parameter", f"{words} words in {len(value) - 5} bytes")
    return read, result, value[5:]


def _below(body: bytes, outer: _P, skip: int) -> Iterator[tuple[int, bytes]]:
    for kind, value in parameters(body):
        if kind == outer:
            yield from parameters(value[skip:])


def _tlv(kind: _P, body: bytes) -> bytes:
    return struct.pack(">HH", kind, 4 + len(body)) + body
