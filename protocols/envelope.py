"""The envelope: written by the gateway, taken apart by the cloud record by record (design 3)."""

import re
import zlib
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from protocols.errors import RefuseInput
from protocols.limits import ENVELOPE_BYTES_MAX, RECORDS_PER_BATCH_MAX
from protocols.readings import ClockState
from protocols.records import Ms, Record, Seq, check_record, decode_record

SCHEMA = 1
CRC_PIECE_BYTES = 5 * 1024
"""Of longer ones zlib lets go of the interpreter's lock: for a few microseconds, and in a busy
process another thread keeps it for milliseconds."""


class Header(Struct, frozen=True, kw_only=True, gc=False):
    """All of an envelope but its records, which stay raw."""

    schema: int
    spool: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    seq: Seq
    boot_id: Annotated[str, Meta(min_length=1, max_length=64)]
    clock: ClockState
    sent_at: Ms
    """Written at each sending: ms since 1970 when `clock` is synced, else ms since boot."""
    records: Raw


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that was not taken, with its bytes and the reason."""

    index: int
    raw: bytes
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """A batch as it came: the good records, the refused ones, and the raw bytes of all."""

    spool: str
    seq: int
    boot_id: str
    clock: ClockState
    sent_at: int
    records_raw: bytes
    """The JSON array of all records, as sent; identifies the batch's content."""
    records: tuple[Record, ...]
    refused: tuple[Refused, ...]

    crc: int
    """CRC-32 of the records' bytes."""


_header = msgspec.json.Decoder(Header)
_raws = msgspec.json.Decoder(list[Raw])
_records = msgspec.json.Decoder(list[Record])
_SPOOL = re.compile(rb'"spool"\s*:\s*"([0-9a-f]{32})"')
_SEQ = re.compile(rb'"seq"\s*:\s*([1-9][0-9]{0,15})\s*[,}]')


def wrap(
    *, spool: str, seq: int, boot_id: str, clock: ClockState, sent_at: int, records_raw: bytes
) -> bytes:
    """Put spooled records into an envelope at the moment of sending."""
    return (
        b'{"schema":1,"spool":"%b","seq":%d,"boot_id":"%b","clock":"%b","sent_at":%d,"records":%b}'
        % (spool.encode(), seq, boot_id.encode(), clock.encode(), sent_at, records_raw)
    )


def peek_key(payload: bytes) -> tuple[str, int] | None:
    """Find (spool, seq) in the first 200 bytes of a payload that is no envelope."""
    head = payload[:200]
    spool, seq = _SPOOL.search(head), _SEQ.search(head)
    return (spool[1].decode(), int(seq[1])) if spool and seq else None


def decode(payload: bytes) -> Envelope:
    """Take an envelope apart; bad records are set aside, one by one.

    Raises:
        RefuseInput: `too_large`, `not_json`, `bad_header` or `bad_schema`: nothing of it is usable.

    """
    if len(payload) > ENVELOPE_BYTES_MAX:
        raise RefuseInput("too_large", f"{len(payload)} bytes, at most {ENVELOPE_BYTES_MAX}")
    header = _decode_header(payload)
    if header.schema != SCHEMA:
        raise RefuseInput("bad_schema", f"expected {SCHEMA}, found {header.schema}")
    raw = bytes(header.records)
    if not raw.lstrip().startswith(b"["):
        raise RefuseInput("bad_header", "records: expected an array")
    records, refused = decode_records(raw)
    return Envelope(
        header.spool,
        header.seq,
        header.boot_id,
        header.clock,
        header.sent_at,
        raw,
        records,
        refused,
        _crc32(raw),
    )


def _crc32(raw: bytes) -> int:
    value, view = 0, memoryview(raw)
    for start in range(0, len(raw), CRC_PIECE_BYTES):
        value = zlib.crc32(view[start : start + CRC_PIECE_BYTES], value)
    return value


def decode_records(raw: bytes) -> tuple[tuple[Record, ...], tuple[Refused, ...]]:
    """Split a records array into good and refused records; the same bytes give the same split."""
    try:
        records = _records.decode(raw)
        if len(records) <= RECORDS_PER_BATCH_MAX:
            for record in records:
                check_record(record)
            return tuple(records), ()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, RefuseInput):
        pass  # some record is bad: find out which, one at a time
    return _decode_each(raw)


def _decode_each(raw: bytes) -> tuple[tuple[Record, ...], tuple[Refused, ...]]:
    good: list[Record] = []
    refused: list[Refused] = []
    parts = _split_records(raw)
    for index, part in enumerate(parts[:RECORDS_PER_BATCH_MAX]):
        try:
            good.append(decode_record(part))
        except RefuseInput as error:
            refused.append(Refused(index, part, error.reason, error.detail))
    if rest := parts[RECORDS_PER_BATCH_MAX:]:  # one entry, or a payload makes 100,000 of them
        detail = f"at most {RECORDS_PER_BATCH_MAX} in a batch, found {len(parts)}"
        whole = b"[" + b",".join(rest) + b"]"
        refused.append(Refused(RECORDS_PER_BATCH_MAX, whole, "too_many_records", detail))
    return tuple(good), tuple(refused)


def _decode_header(payload: bytes) -> Header:
    try:
        return _header.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        repaired = _header_of_broken(payload)
        if repaired is None:
            reason = "bad_header" if isinstance(error, msgspec.ValidationError) else "not_json"
            raise RefuseInput(reason, str(error)[:300]) from None
        return repaired


def _header_of_broken(payload: bytes) -> Header | None:
    """Read the header of an envelope of which only some record is no JSON (NaN, too deep)."""
    found = re.search(rb'"records"\s*:\s*\[', payload)
    if found is None:
        return None
    start = found.end() - 1
    end = _end_of_array(payload, start)
    if end is None:
        return None
    try:
        header = _header.decode(payload[:start] + b"[]" + payload[end:])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return msgspec.structs.replace(header, records=Raw(payload[start:end]))


def _split_records(raw: bytes) -> list[bytes]:
    try:
        return [bytes(part) for part in _raws.decode(raw)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _split_by_hand(raw)


_MARKS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{},]', re.DOTALL)
"""A string or a bracket; an unclosed string runs to the end, so that no byte is read twice."""


def _end_of_array(text: bytes, start: int) -> int | None:
    """Find the index after the bracket that closes the one at `start`; strings are skipped."""
    depth = 0
    for mark in _MARKS.finditer(text, start):
        if mark[0] in (b"[", b"{"):
            depth += 1
        elif mark[0] in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                return mark.end()
    return None


def _split_by_hand(raw: bytes) -> list[bytes]:
    """Cut an array at its outer commas without reading its items."""
    depth, begin, parts = 0, 1, []
    for mark in _MARKS.finditer(raw):
        if mark[0] in (b"[", b"{"):
            depth += 1
        elif mark[0] in (b"]", b"}"):
            depth -= 1
        if depth == 0 or (depth == 1 and mark[0] == b","):
            parts.append(raw[begin : mark.start()].strip())
            begin = mark.end()
    return [part for part in parts if part]
