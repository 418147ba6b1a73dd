"""Loads tag layouts: one file a layout, told from others by what is in the tag, never by guess."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocols.border import load_toml
from protocols.catalog.files import data_files
from protocols.errors import Fault, FixConfiguration

Technology = Literal["type2", "type3", "type4", "type5", "gen2"]
BankName = Literal["cc", "user", "ndef", "version", "signature", "pc", "epc", "tid"]
Finding = Literal[
    "incomplete_read",
    "bad_container",
    "bad_ndef",
    "bad_crc",
    "bad_field",
    "bad_epc",
    "bad_signature",
    "bad_sun",
    "areas_disagree",
    "codes_disagree",
]
"""What can be wrong with a tag; with any of these it tells no identity."""
Hex = Annotated[str, Meta(pattern=r"^\s*([0-9A-Fa-f]{2}\s*)*\Z")]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")]
Offset = Annotated[int, Meta(ge=0, le=8191)]
Size = Annotated[int, Meta(ge=1, le=8192)]
Byte = Annotated[int, Meta(ge=0, le=255)]
Parameter = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]{1,32}\Z")]

FIELD_BYTES = {
    "uint": (1, 8),
    "text": (1, 64),
    "hex": (1, 64),
    "bcd_month": (3, 3),
    "bcd_date": (4, 4),
    "bcd_time": (2, 2),
}
"""Fewest and most bytes of each type of field."""
CHECK_BYTES = {"crc16": 2, "crc32": 4}


class Match(Struct, frozen=True, kw_only=True):
    """Bytes that stand at one place of a bank of every tag of this layout."""

    bank: BankName = "user"
    offset: Offset = 0
    hex: Annotated[Hex, Meta(min_length=2)]

    def fits(self, memory: bytes) -> bool:
        """Tell whether a bank holds them."""
        wanted = bytes.fromhex(self.hex)
        return memory[self.offset : self.offset + len(wanted)] == wanted


class Field(Struct, frozen=True, kw_only=True):
    """One field of an area; numbers are big-endian."""

    name: Name
    """Fields of the same name in several areas must hold the same."""
    offset: Offset
    """From the beginning of the area."""
    bytes: Size
    type: Literal["uint", "text", "bcd_month", "bcd_date", "bcd_time", "hex"]
    """`text`: printable ASCII, then zeros; `bcd_month` 2031 04; `bcd_date` 2031 04 30; `bcd_time`
    08 15."""
    scale: float = 1.0
    """Of a `uint`: value = number * scale."""
    unit: str = ""
    values: dict[str, str] = {}
    """Of a `uint`: its words by number; another number is a fault of the tag."""
    code: Name | None = None
    """Scheme of the code that this field is; such a field identifies the tagged thing."""
    fact: Literal["tare_kg"] | None = None
    """What the gate compares with the record; 0 is not written."""


class Area(Struct, frozen=True, kw_only=True):
    """Neighbouring bytes of the user bank that are written together, their check at the end."""

    name: Name
    offset: Offset
    bytes: Size
    """With the check."""
    check: Literal["crc16", "crc32"]
    """`crc16`: ISO/IEC 13239, inverted, as in Gen2; `crc32`: as in Ethernet; big-endian."""
    over: tuple[BankName, ...] = ()
    """Banks that the check runs over before the area, which binds the area to them."""
    may_be_blank: bool = False
    """All 00 or all FF: not written yet."""
    fields: Annotated[tuple[Field, ...], Meta(min_length=1)]


class Container(Struct, frozen=True, kw_only=True):
    """Where a tag says that it holds NDEF, in the form of type 2 and 5."""

    bank: BankName
    versions: tuple[Byte, ...]
    """Allowed second bytes; the first is E1."""
    access: tuple[Byte, ...] = ()
    """Allowed fourth bytes; none given: any."""


class Ndef(Struct, frozen=True, kw_only=True):
    """An NDEF message, in a bank of its own or in a TLV."""

    bank: BankName
    offset: Offset = 0
    """Where the TLVs begin, if there is a container."""
    container: Container | None = None
    """None: the bank is the message itself."""
    check_record: str | None = None
    """Type of a last record whose payload is the CRC-32 of the message before it."""
    check_required: bool = False
    """A message without it tells no identity; else it counts where it is there."""


class Sun(Struct, frozen=True, kw_only=True):
    """Parameters of a URL in which an NTAG 424 DNA mirrors itself with a MAC."""

    mac: Parameter
    picc_data: Parameter | None = None
    """Encrypted UID and counter; else they stand in plain text:"""
    uid: Parameter | None = None
    counter: Parameter | None = None
    file_data: Parameter | None = None
    """Encrypted file data, which the MAC covers."""


class Originality(Struct, frozen=True, kw_only=True):
    """The chip maker's signature of the UID."""

    uid: Hex
    """First bytes of the UID of chips that are signed by this key."""
    version: Hex = ""
    """First bytes of their `version` bank, where they have one."""
    public_key: Annotated[str, Meta(pattern=r"^04[0-9A-Fa-f]{64}\Z")]
    """A point of secp128r1, uncompressed."""


class Sample(Struct, frozen=True, kw_only=True):
    """A tag as a reader saw it, and what it must be read as."""

    about: str
    technology: Technology
    uid: Hex = ""
    banks: dict[BankName, Hex] = {}
    codes: dict[str, str] = {}
    """All codes by scheme; a text is told as it is, as `raw`."""
    findings: tuple[Finding, ...] = ()
    fields: dict[str, str | int | float] = {}
    """What the areas hold; those not named are not compared."""

    def bank(self, name: BankName) -> bytes:
        """Return a bank as bytes."""
        return bytes.fromhex(self.banks[name])


class Layout(Struct, frozen=True, kw_only=True):
    """One tag layout."""

    schema: Literal[1]
    id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\Z")]
    title: str
    confidence: Literal["C", "G", "U", "D"]
    """Confirmed in a source, general knowledge, uncertain, or our own design."""
    technologies: Annotated[tuple[Technology, ...], Meta(min_length=1)]
    products: tuple[str, ...] = ()
    document: str = ""
    caveats: tuple[str, ...] = ()
    match: Match | None = None
    """Needed for areas."""
    areas: tuple[Area, ...] = ()
    ndef: Ndef | None = None
    sun: tuple[Sun, ...] = ()
    epc: tuple[Literal["grai", "giai"], ...] = ()
    """Keys that the EPC may carry, in any of their binary forms."""
    originality: tuple[Originality, ...] = ()
    samples: tuple[Sample, ...] = ()


def load_layout(path: Path, *, shipped: bool) -> Layout:
    """Read and check one layout file.

    A shipped file must also bring at least two samples, one of them abnormal.

    Raises:
        FixConfiguration: with all its faults.

    """
    layout = load_toml(path, Layout)
    faults = [Fault(str(path), *one) for one in _faults(layout, path.stem, shipped=shipped)]
    if faults:
        raise FixConfiguration(faults)
    return layout


def load_layouts(overlay: Path | None) -> tuple[dict[str, Layout], list[Fault]]:
    """Read all shipped layouts and those of the overlay, by id.

    A faulty file sets only itself aside, and so does one whose tags another file takes too: its
    faults are returned, its id is missing.
    """
    layouts: dict[str, Layout] = {}
    faults: list[Fault] = []
    files = sorted(data_files("tags", overlay), key=lambda file: not file[1])  # shipped ones first
    for path, shipped in files:
        try:
            layout = load_layout(path, shipped=shipped)
        except FixConfiguration as error:
            faults += error.faults
            continue
        if (other := next((one for one in layouts.values() if _alike(one, layout)), None)) is None:
            layouts[layout.id] = layout
        else:
            expected = f"other tags than those of {other.id}"
            faults.append(Fault(str(path), "match", expected, "the same tags"))
    return layouts, faults


def _alike(one: Layout, other: Layout) -> bool:
    """Tell whether one tag could be taken for either."""
    if not set(one.technologies) & set(other.technologies):
        return False
    if one.ndef is not None and other.ndef is not None:
        return True
    if set(one.epc) & set(other.epc):
        return True
    if one.match is None or other.match is None or one.match.bank != other.match.bank:
        return False
    low, high = sorted((one.match, other.match), key=lambda match: match.offset)
    shift = high.offset - low.offset
    ahead, behind = bytes.fromhex(low.hex)[shift:], bytes.fromhex(high.hex)
    length = min(len(ahead), len(behind))
    return ahead[:length] == behind[:length]


Problem = tuple[str, str, str]
"""Key, what is expected, what was found."""


def _faults(layout: Layout, stem: str, *, shipped: bool) -> Iterator[Problem]:
    if layout.id != stem:
        yield "id", f"{stem!r}, as the file is named", repr(layout.id)
    if not (layout.areas or layout.ndef or layout.epc):
        yield "file", "one of areas, ndef, epc", "none of them"
    if (layout.match is None) != (not layout.areas):
        yield "match", "a match with areas, and only with them", repr(layout.match)
    if layout.epc and layout.technologies != ("gen2",):
        yield "epc", 'technologies = ["gen2"]', repr(layout.technologies)
    if layout.sun and layout.ndef is None:
        yield "sun", "an [ndef] table", "none"
    for index, sun in enumerate(layout.sun):
        plain = sun.uid is not None and sun.counter is not None
        if plain == (sun.picc_data is not None):
            yield f"sun[{index}]", "either picc_data, or uid and counter", repr(sun)
    yield from _area_faults(layout.areas)
    yield from _sample_faults(layout, shipped=shipped)


def _area_faults(areas: Sequence[Area]) -> Iterator[Problem]:
    yield from _overlaps("areas", [(one.name, one.offset, one.bytes) for one in areas])
    for index, area in enumerate(areas):
        key, end = f"areas[{index}]", area.bytes - CHECK_BYTES[area.check]
        spans = [(one.name, one.offset, one.bytes) for one in area.fields]
        yield from _overlaps(f"{key}.fields", spans)
        for number, field in enumerate(area.fields):
            yield from _field_faults(field, f"{key}.fields[{number}]", end)


def _field_faults(field: Field, key: str, end: int) -> Iterator[Problem]:
    low, high = FIELD_BYTES[field.type]
    if not low <= field.bytes <= high:
        expected = f"{low}" if low == high else f"{low} to {high}"
        yield f"{key}.bytes", f"{expected} for {field.type}", str(field.bytes)
    if field.offset + field.bytes > end:
        yield f"{key}.offset", f"an end within the {end} bytes before the check", field.name
    if field.type != "uint" and (field.scale != 1.0 or field.values):
        yield key, "scale and values for a uint only", field.type
    if field.fact == "tare_kg" and (field.type, field.unit, field.values) != ("uint", "kg", {}):
        yield f"{key}.fact", 'a uint with unit = "kg"', f"{field.type} {field.unit!r}"
    for number in field.values:
        if not number.isdecimal():
            yield f"{key}.values", "numbers as keys", repr(number)


def _overlaps(key: str, spans: list[tuple[str, int, int]]) -> Iterator[Problem]:
    names = [name for name, _, _ in spans]
    if len(set(names)) < len(names):
        yield key, "each name once", ", ".join(names)
    ordered = sorted(spans, key=lambda span: span[1])
    for (one, start, size), (other, following, _) in pairwise(ordered):
        if start + size > following:
            yield key, f"{other} behind {one}", f"it begins at {following}, inside"


def _sample_faults(layout: Layout, *, shipped: bool) -> Iterator[Problem]:
    for index, sample in enumerate(layout.samples):
        if sample.technology not in layout.technologies:
            yield f"samples[{index}].technology", f"one of {layout.technologies}", sample.technology
    if not shipped:
        return
    if len(layout.samples) < 2:
        yield "samples", "at least two samples", str(len(layout.samples))
    if not any(sample.findings for sample in layout.samples):
        yield "samples", "at least one with findings", "none"
    if not any(sample.codes and not sample.findings for sample in layout.samples):
        yield "samples", "at least one without findings", "none"
