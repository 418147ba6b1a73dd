"""Dialects: how each kind of platform or box writes the codes and the state of a lift, as data.

One file of `firmware_config/dialects` is one version of one dialect; versions live side by side,
because a firm that changes its table does so lift by lift. Decoding never fails and loses nothing:
a code that the table does not have stands as `unknown_code` among the canonical ones, its raw text
is kept, and a value that no rule of the file knows is `unknown_value`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from protocols.border import load_toml
from protocols.catalog.files import data_files
from protocols.catalog.points import Point, fits, load_codes, load_points
from protocols.errors import Fault, FixConfiguration
from protocols.readings import Quality, Scalar, Value

ASSET_KIND = "elevator"
UNKNOWN_CODE = "unknown_code"
"""Canonical: a code that the dialect does not have."""
RAW_CHARS_MAX = 32
"""Of a raw code as it is kept; a longer one is cut."""
OWN_POINTS = ("message_code", "fault_code")
"""Made of the codes; no status item may write them."""

DialectId = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\Z")]
Version = Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,15}\Z")]
RawCode = str | int
Raw = str | int | float | bool | None
"""One value of a status item as JSON or TOML tells it."""


class Item(Struct, frozen=True, kw_only=True):
    """One status item. Without `values` it is told as its point has it, a boolean as a boolean."""

    field: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}\Z")]
    point: str
    values: dict[str, Scalar] = {}
    """Raw number or word -> value of the point; whatever is not here is unknown."""
    whole_max: int | None = None
    text_max: int | None = None

    def read(self, raw: Raw, point: Point) -> Value:
        """Return the value of `point`; None: nobody knows what this means."""
        if self.values:
            return None if isinstance(raw, bool | float) else self.values.get(str(raw))
        if isinstance(raw, str) and point.type in ("int", "float"):
            return None
        if self.whole_max is not None and not (type(raw) is int and 0 <= raw <= self.whole_max):
            return None
        if self.text_max is not None:
            raw = str(raw) if type(raw) is int else raw
            if not (isinstance(raw, str) and 0 < len(raw) <= self.text_max):
                return None
        return raw if fits(point, raw) else None


class Sample(Struct, frozen=True, kw_only=True):
    """What comes in, and what it must become."""

    about: str
    values: dict[str, Any] = {}
    message_code: list[RawCode] | None = None
    expect: dict[str, Any] = {}
    expect_quality: dict[str, Quality] = {}
    unknown: list[str] = []
    """Raw codes that the table does not have."""


class Decoded(Struct, frozen=True):
    """One item of a lift in canonical words."""

    values: dict[str, Value]
    quality: dict[str, Quality]
    """Where it is not good."""
    codes: tuple[str, ...] | None
    """Canonical, each once, in the order told; None: the item told none."""
    raw_codes: tuple[str, ...]
    """As they came, without those that say that there is nothing."""
    unknown_codes: tuple[str, ...]
    unknown_fields: tuple[str, ...]


class Dialect(Struct, frozen=True, kw_only=True, dict=True):
    """One version of one dialect."""

    schema: Literal[1]
    id: DialectId
    version: Version
    title: str
    title_zh: str
    source: str
    confidence: Literal["C", "C-impl", "G", "U"]
    """C: stated by a source that was read; C-impl: read in code; G: general; U: uncertain."""
    width: Annotated[int, Meta(ge=1, le=8)]
    """Digits of a code; a number that is shorter gets zeros in front."""
    time_zone: Annotated[str, Meta(pattern=r"^[+-][0-9]{2}:[0-9]{2}\Z")] = "+08:00"
    """Of times that name none."""
    caveats: tuple[str, ...] = ()
    codes: dict[str, str]
    """Raw -> canonical; empty: nothing is the matter."""
    status: tuple[Item, ...] = ()
    escalator: tuple[Item, ...] = ()
    """Instead of `status` for an item that has a field which only an escalator has."""
    samples: tuple[Sample, ...] = ()

    @property
    def name(self) -> str:
        """Return id and version in one word."""
        return f"{self.id}@{self.version}"

    def normalised(self, raw: RawCode) -> str:
        """Return a raw code as the table writes it: `7`, 7 and `07` are one where width is 2."""
        text = str(raw).strip()[:RAW_CHARS_MAX]
        is_number = text.isascii() and text.isdigit() and len(text) <= self.width
        if isinstance(raw, bool) or not is_number:
            return text
        return str(int(text)).rjust(self.width, "0")

    def decode(
        self, values: Mapping[str, Raw], message_code: Sequence[RawCode] | None = None
    ) -> Decoded:
        """Put one item into canonical words; never raises, whatever it holds."""
        codes, raw_codes, unknown = self._read_codes(message_code or ())
        found: dict[str, Value] = {}
        quality: dict[str, Quality] = {}
        items, points = self._items(values), load_points(ASSET_KIND)
        for field, raw in values.items():
            item = items.get(field)
            if item is None:
                continue
            found[item.point] = value = item.read(raw, points[item.point])
            if value is None:
                quality[item.point] = "no_value" if raw is None else "unknown_value"
        return Decoded(
            values=found,
            quality=quality,
            codes=None if message_code is None else codes,
            raw_codes=raw_codes,
            unknown_codes=unknown,
            unknown_fields=tuple(field for field in values if field not in items),
        )

    def _items(self, values: Mapping[str, Raw]) -> Mapping[str, Item]:
        lift = {item.field: item for item in self.status}
        escalator = {item.field: item for item in self.escalator}
        only = escalator.keys() - lift.keys()
        return escalator if only & values.keys() else lift

    def _read_codes(
        self, message_code: Sequence[RawCode]
    ) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        canonical: dict[str, None] = {}
        raw_codes: dict[str, None] = {}
        unknown: dict[str, None] = {}
        for one in message_code:
            raw = self.normalised(one)
            code = self.codes.get(raw, UNKNOWN_CODE)
            if code:
                canonical[code] = raw_codes[raw] = None
            if code == UNKNOWN_CODE:
                unknown[raw] = None
        return tuple(canonical), tuple(raw_codes), tuple(unknown)


Dialects = Mapping[tuple[str, str], Dialect]
"""By id and version."""


def load_dialect(path: Path, *, shipped: bool) -> Dialect:
    """Read and check one file; its samples must come out.

    Raises:
        FixConfiguration: with all its faults.

    """
    dialect = load_toml(path, Dialect)
    faults = [Fault(str(path), *one) for one in _faults(dialect, path.stem, shipped=shipped)]
    if faults:
        raise FixConfiguration(faults)
    return dialect


def load_dialects(overlay: Path | None = None) -> Dialects:
    """Read all shipped files and those of the overlay.

    Raises:
        FixConfiguration: with all faults of all files; also where two are the same version.

    """
    found: dict[tuple[str, str], Dialect] = {}
    faults: list[Fault] = []
    for path, shipped in data_files("dialects", overlay):
        try:
            dialect = load_dialect(path, shipped=shipped)
        except FixConfiguration as error:
            faults += error.faults
            continue
        key = dialect.id, dialect.version
        if key in found:
            faults.append(Fault(str(path), "version", "one that no other file has", dialect.name))
        found[key] = dialect
    if faults:
        raise FixConfiguration(faults)
    return found


def nameless(dialect_id: str, version: str) -> Dialect:
    """Return a dialect without a table, for a platform whose own is gone: every code is unknown."""
    return Dialect(
        schema=1,
        id=dialect_id,
        version=version,
        title=dialect_id,
        title_zh=dialect_id,
        source="",
        confidence="U",
        width=1,
        codes={},
    )


def emergencies() -> frozenset[str]:
    """Return the canonical codes that call for people at once: those of kind `alarm`."""
    return frozenset(one.code for one in load_codes(ASSET_KIND).values() if one.kind == "alarm")


def _faults(dialect: Dialect, stem: str, *, shipped: bool) -> Iterator[tuple[str, str, str]]:
    names = (dialect.id, f"{dialect.id}-{dialect.version}")
    if stem not in names:
        yield "id", f"as the file is named: {stem!r} is id, or id-version", repr(dialect.name)
    known = load_codes(ASSET_KIND)
    for raw, code in dialect.codes.items():
        if code and code not in known:
            yield f"codes.{raw}", "a canonical code, or nothing", repr(code)
        if dialect.normalised(raw) != raw:
            yield f"codes.{raw}", f"{dialect.width} digits", repr(raw)
    for key, items in (("status", dialect.status), ("escalator", dialect.escalator)):
        if len({item.field for item in items}) < len(items):
            yield key, "each field once", "one of them twice"
        for index, item in enumerate(items):
            yield from _item_faults(item, f"{key}[{index}]")
    yield from _sample_faults(dialect)
    if shipped:
        yield from _proof_faults(dialect)


def _item_faults(item: Item, key: str) -> Iterator[tuple[str, str, str]]:
    point = load_points(ASSET_KIND).get(item.point)
    if point is None or point.reporter != "device" or item.point in OWN_POINTS:
        yield f"{key}.point", "a point of a lift that a device tells", repr(item.point)
        return
    for raw, value in item.values.items():
        if not fits(point, value):
            yield f"{key}.values.{raw}", f"a value of {point.name}", repr(value)
    if point.type == "word" and not item.values:
        yield f"{key}.values", f"the words of {point.name}", "none"


def _sample_faults(dialect: Dialect) -> Iterator[tuple[str, str, str]]:
    for index, sample in enumerate(dialect.samples):
        found = dialect.decode(sample.values, sample.message_code)
        told: dict[str, Any] = {
            name: value for name, value in found.values.items() if value is not None
        }
        if found.codes is not None:
            told["message_code"] = list(found.codes)
        for key, expected, got in (
            ("expect", sample.expect, told),
            ("expect_quality", sample.expect_quality, found.quality),
            ("unknown", sample.unknown, list(found.unknown_codes)),
        ):
            if expected != got:
                yield f"samples[{index}].{key}", repr(expected), repr(got)


def _proof_faults(dialect: Dialect) -> Iterator[tuple[str, str, str]]:
    """Every code and every item of a shipped file is proven, and one code that it does not have."""
    used = {dialect.normalised(c) for one in dialect.samples for c in one.message_code or ()}
    if missing := {raw for raw, code in dialect.codes.items() if code} - used:
        yield "samples", "every code in one of them", f"not: {', '.join(sorted(missing))}"
    fields = {field for one in dialect.samples for field in one.values}
    items = (*dialect.status, *dialect.escalator)
    if missing := {item.field for item in items} - fields:
        yield "samples", "every status item in one of them", f"not: {', '.join(sorted(missing))}"
    if not any(one.unknown for one in dialect.samples):
        yield "samples", "a code that the table does not have", "none"


__all__ = [
    "ASSET_KIND",
    "UNKNOWN_CODE",
    "Decoded",
    "Dialect",
    "Dialects",
    "emergencies",
    "load_dialect",
    "load_dialects",
    "nameless",
]
