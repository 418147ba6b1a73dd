"""NDEF in the memory of a tag: container, TLVs, message, and the texts in its records."""

import io
import zlib
from collections.abc import Mapping

import ndef
from msgspec import Struct

from protocols.catalog.tags import Container, Finding, Ndef
from protocols.errors import RefuseInput

_MAGIC = 0xE1
_NULL, _LOCK, _MEMORY, _NDEF, _PROPRIETARY, _TERMINATOR = 0x00, 0x01, 0x02, 0x03, 0xFD, 0xFE
_SIZE_UNIT = 8
_EXTERNAL = "urn:nfc:ext:"
_CRC_BYTES = 4


class Texts(Struct, frozen=True):
    """What the records of a tag say."""

    texts: tuple[str, ...] = ()
    """URIs and texts, in the order of the message."""
    findings: tuple[Finding, ...] = ()
    """Not empty: the message is damaged, and no text counts."""


def read_ndef(form: Ndef, banks: Mapping[str, bytes]) -> Texts:
    """Read the message of a tag; a tag that holds none has no texts and no findings."""
    memory = banks.get(form.bank, b"")
    try:
        if form.container is not None:
            message = _from_memory(form.container, banks, memory[form.offset :], form.offset)
        else:
            message = memory or None
        return Texts() if not message else _texts(form, message)
    except RefuseInput as refused:
        finding: Finding = "bad_container" if refused.reason == "bad_container" else "bad_ndef"
        return Texts(findings=("bad_crc",) if refused.reason == "bad_crc" else (finding,))


def _from_memory(
    form: Container, banks: Mapping[str, bytes], memory: bytes, offset: int
) -> bytes | None:
    container = banks.get(form.bank, b"")[:4]
    if not container.strip(b"\0") or not container.strip(b"\xff"):
        return None
    if len(container) < 4 or container[0] != _MAGIC:
        raise RefuseInput("bad_container", f"expected E1 and 3 bytes, found {container.hex()}")
    if container[1] not in form.versions:
        raise RefuseInput("bad_container", f"version {container[1]:02X}")
    if form.access and container[3] not in form.access:
        raise RefuseInput("bad_container", f"access {container[3]:02X}")
    size = container[2] * _SIZE_UNIT
    if form.bank != "cc":
        size -= offset
    return _find_message(memory[: max(size, 0)])


def _find_message(memory: bytes) -> bytes | None:
    """Walk the TLVs up to the NDEF message; None where they end without one.

    Raises:
        RefuseInput: `bad_ndef`; a length goes beyond the memory, or a type is unknown.

    """
    at = 0
    while at < len(memory):
        kind = memory[at]
        if kind == _TERMINATOR:
            return None
        at += 1
        if kind == _NULL:
            continue
        if kind not in {_LOCK, _MEMORY, _NDEF, _PROPRIETARY}:
            raise RefuseInput("bad_ndef", f"TLV type {kind:02X}")
        if at < len(memory) and memory[at] == 0xFF:
            length, at = int.from_bytes(memory[at + 1 : at + 3], "big"), at + 3
            if length < 0xFF:
                raise RefuseInput("bad_ndef", f"a length of {length} in three bytes")
        else:
            length, at = (memory[at] if at < len(memory) else 0xFFFF), at + 1
        if at + length > len(memory):
            raise RefuseInput("bad_ndef", f"a TLV of {length} bytes ends behind the memory")
        if kind == _NDEF:
            return memory[at : at + length]
        at += length
    return None


def _texts(form: Ndef, message: bytes) -> Texts:
    stream = io.BytesIO(message)
    try:
        records = list(ndef.message_decoder(stream))
    except (ndef.DecodeError, ValueError) as error:
        raise RefuseInput("bad_ndef", str(error)[:200]) from None
    if stream.tell() < len(message):
        raise RefuseInput("bad_ndef", f"{len(message) - stream.tell()} bytes behind the message")
    _check(form, message, records)
    found = []
    for record in records:
        if isinstance(record, ndef.TextRecord):
            found.append(record.text)
        elif isinstance(record, ndef.UriRecord):
            found.append(record.iri)  # as it stands on the tag; `uri` is escaped
    return Texts(tuple(text for text in found if text))


def _check(form: Ndef, message: bytes, records: list[ndef.Record]) -> None:
    """Compare the check record with the message before it.

    Raises:
        RefuseInput: `bad_crc`; it differs, or is not there where it must be, or not the last.

    """
    if form.check_record is None:
        return
    marked = [one for one in records if one.type == form.check_record]
    if not marked:
        if form.check_required:
            raise RefuseInput("bad_crc", f"no {form.check_record} record")
        return
    size = 3 + len(form.check_record.removeprefix(_EXTERNAL)) + _CRC_BYTES
    expected = zlib.crc32(message[:-size]).to_bytes(_CRC_BYTES, "big")
    if len(marked) > 1 or records[-1] is not marked[0] or marked[0].data != expected:
        raise RefuseInput("bad_crc", "the check record differs from the message")
