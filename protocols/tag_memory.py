"""Fields in the memory of a tag, by its layout: read, and written the other way round."""

import binascii
import zlib
from collections import Counter
from collections.abc import Mapping
from datetime import date

from msgspec import Struct

from protocols.catalog.tags import CHECK_BYTES, Area, Field, Finding, Layout
from protocols.errors import RefuseInput

FieldValue = str | int | float


class Memory(Struct, frozen=True):
    """What the areas of a tag hold."""

    fields: dict[str, FieldValue] = {}
    findings: tuple[Finding, ...] = ()
    """Not empty: the memory is damaged, and nothing in it counts."""

    def codes(self, layout: Layout) -> list[tuple[str, str]]:
        """Return scheme and value of each field that is a code; a blank one is none."""
        return [
            (field.code, str(self.fields[field.name]))
            for area in layout.areas
            for field in area.fields
            if field.code is not None and self.fields.get(field.name)
        ]

    def tare_kg(self, layout: Layout) -> float | None:
        """Return the tare that stands on it; None: none does."""
        found = (
            self.fields.get(field.name)
            for area in layout.areas
            for field in area.fields
            if field.fact == "tare_kg"
        )
        return next((float(kg) for kg in found if isinstance(kg, int | float) and kg > 0), None)


def read_memory(layout: Layout, banks: Mapping[str, bytes]) -> Memory:
    """Read all areas of a tag that this layout matches."""
    fields: dict[str, FieldValue] = {}
    findings: list[Finding] = []
    for area in layout.areas:
        found = _read_area(area, banks)
        if isinstance(found, str):
            findings.append(found)
            continue
        if any(fields.get(name, value) != value for name, value in found.items()):
            findings.append("areas_disagree")
        fields |= found
    return Memory(fields, tuple(dict.fromkeys(findings)))


def write_memory(
    layout: Layout, values: Mapping[str, FieldValue], banks: Mapping[str, bytes], size: int
) -> bytes:
    """Write fields into a user bank of `size` bytes.

    An area that may be blank is, unless a field that no other area has is given.

    Args:
        layout: where the fields stand.
        values: of the fields; one that is missing in an area that is written is all 00.
        banks: what checks run over, such as `epc`.
        size: bytes of the bank.

    Raises:
        RefuseInput: `bad_field`; a value does not fit.

    """
    memory = bytearray(size)
    counts = Counter(field.name for area in layout.areas for field in area.fields)
    for area in layout.areas:
        own = {field.name: field for field in area.fields}
        if area.may_be_blank and not any(counts[name] == 1 and name in values for name in own):
            continue
        if area.offset + area.bytes > size:
            raise RefuseInput("bad_field", f"{area.name} needs {area.offset + area.bytes} bytes")
        body = bytearray(area.bytes - CHECK_BYTES[area.check])
        for name in set(own) & set(values):
            field = own[name]
            body[field.offset : field.offset + field.bytes] = _encode(field, values[name])
        match = layout.match
        if match is not None and area.offset <= match.offset < area.offset + len(body):
            start = match.offset - area.offset
            wanted = bytes.fromhex(match.hex)
            body[start : start + len(wanted)] = wanted
        check = _check(area, banks, bytes(body))
        memory[area.offset : area.offset + area.bytes] = bytes(body) + check
    return bytes(memory)


def crc16(data: bytes) -> int:
    """Return the CRC-16 of ISO/IEC 13239, inverted, as a Gen2 tag sends it of its PC and EPC."""
    return binascii.crc_hqx(data, 0xFFFF) ^ 0xFFFF


def _read_area(area: Area, banks: Mapping[str, bytes]) -> dict[str, FieldValue] | Finding:
    memory = banks.get("user", b"")[area.offset : area.offset + area.bytes]
    if len(memory) < area.bytes:
        return "bad_crc"
    if area.may_be_blank and len(set(memory)) == 1 and memory[0] in {0x00, 0xFF}:
        return {}
    size = area.bytes - CHECK_BYTES[area.check]
    if memory[size:] != _check(area, banks, memory[:size]):
        return "bad_crc"
    try:
        return {
            field.name: value
            for field in area.fields
            if (value := _decode(field, memory[field.offset : field.offset + field.bytes]))
            is not None
        }
    except RefuseInput:
        return "bad_field"


def _check(area: Area, banks: Mapping[str, bytes], body: bytes) -> bytes:
    data = b"".join(banks.get(name, b"") for name in area.over) + body
    size = CHECK_BYTES[area.check]
    return (crc16(data) if area.check == "crc16" else zlib.crc32(data)).to_bytes(size, "big")


def _decode(field: Field, raw: bytes) -> FieldValue | None:
    """Read one field; None where it is blank: text or digits all zero."""
    if field.type == "uint":
        return _number(field, int.from_bytes(raw, "big"))
    if not any(raw):
        return None
    if field.type == "hex":
        return raw.hex().upper()
    if field.type == "text":
        text = raw.rstrip(b"\0")
        if not all(0x21 <= byte <= 0x7E for byte in text):
            raise RefuseInput("bad_field", f"{field.name}: expected printable ASCII")
        return text.decode("ascii")
    return _moment(field, raw.hex())


def _number(field: Field, number: int) -> FieldValue:
    if not field.values:
        return number if field.scale == 1.0 else round(number * field.scale, 6)
    word = field.values.get(str(number))
    if word is None:
        raise RefuseInput("bad_field", f"{field.name}: no word for {number}")
    return word


def _moment(field: Field, digits: str) -> str:
    if not digits.isdecimal():
        raise RefuseInput("bad_field", f"{field.name}: expected digits, found {digits}")
    try:
        if field.type == "bcd_time":
            hour, minute = int(digits[:2]), int(digits[2:])
            if hour > 23 or minute > 59:
                raise ValueError
            return f"{hour:02d}:{minute:02d}"
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:] or 1))
    except ValueError:
        raise RefuseInput("bad_field", f"{field.name}: no such {field.type}: {digits}") from None
    return day.isoformat() if field.type == "bcd_date" else day.isoformat()[:7]


def _encode(field: Field, value: FieldValue) -> bytes:
    try:
        if field.type == "uint":
            raw = _word(field, value).to_bytes(field.bytes, "big")
        elif field.type == "text":
            raw = str(value).encode("ascii").ljust(field.bytes, b"\0")
        else:
            raw = bytes.fromhex(str(value).replace("-", "").replace(":", ""))
    except (ValueError, OverflowError) as error:
        raise RefuseInput("bad_field", f"{field.name}: {error}") from None
    if len(raw) != field.bytes or _decode(field, raw) != value:
        raise RefuseInput("bad_field", f"{field.name}: expected a {field.type}, found {value!r}")
    return raw


def _word(field: Field, value: FieldValue) -> int:
    for number, word in field.values.items():
        if word == value:
            return int(number)
    if isinstance(value, str):
        raise RefuseInput("bad_field", f"{field.name}: no number for {value!r}")
    return round(value / field.scale)
