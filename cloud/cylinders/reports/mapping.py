"""Message files: what the regulator is told of which step, field by field, as data. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from protocols.border import load_toml
from protocols.catalog.files import data_files
from protocols.clock import iso
from protocols.errors import Fault, FixConfiguration

FOLDER = "regulator"
Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]
Scalar = str | int | float | bool | None
From = Literal["registered", "inspected", "filled", "scanned"]
"""An entry of the registry's history, a filling that was weighed, or a scan of a cylinder."""
_RULED = ("code", "at")


class Field(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field of a message."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,47}\Z")]
    of: Word
    """The fact that it tells."""
    required: bool = False
    words: Mapping[str, str] = {}
    """Their word for ours; one that is not among them is told as it is."""


class Sample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts, and the message that becomes of them."""

    about: str
    facts: Mapping[str, Scalar]
    message: Mapping[str, Scalar] = {}
    """Its fields, as far as they are known."""
    lacking: tuple[str, ...] = ()
    """Required fields that nobody knows."""


class MessageKind(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of message in one version."""

    schema: Literal[1]
    id: Word
    version: Annotated[str, Meta(pattern=r"^[0-9]{1,4}(\.[0-9]{1,4})?\Z")]
    title: str
    title_zh: str
    source: str
    confidence: Literal["C", "G", "U", "D"]
    made_of: From
    where: Mapping[Word, tuple[Scalar, ...]] = {}
    """Only of facts that hold one of these."""
    fields: Annotated[tuple[Field, ...], Meta(min_length=1)]
    samples: Annotated[tuple[Sample, ...], Meta(min_length=2)]

    def fits(self, made_of: From, facts: Mapping[str, Scalar]) -> bool:
        """Tell whether facts become such a message."""
        held = all(facts.get(name) in values for name, values in self.where.items())
        return made_of == self.made_of and held

    def message(self, facts: Mapping[str, Scalar]) -> tuple[dict[str, Scalar], tuple[str, ...]]:
        """Return the fields that are known, and the required ones that are not."""
        found: dict[str, Scalar] = {}
        lacking = []
        for field in self.fields:
            value = facts.get(field.of)
            if value is None or value == "":
                lacking += [field.name] if field.required else []
            else:
                found[field.name] = field.words.get(str(value), value)
        return found, tuple(lacking)


def body_of(mapping: MessageKind, fields: Mapping[str, Scalar], key: str) -> bytes:
    """Write a message: the same bytes for the same facts, whenever it is made."""
    whole = {"message": mapping.id, "version": mapping.version, "key": key, "data": fields}
    return msgspec.json.encode(whole, order="deterministic")


def moment(at_ms: int) -> str:
    """Write a moment as messages have it."""
    return iso(at_ms)


def load_mappings(overlay: Path | None = None) -> tuple[MessageKind, ...]:
    """Read the shipped files and a site's own.

    Raises:
        FixConfiguration: with every fault.

    """
    found: list[MessageKind] = []
    faults: list[Fault] = []
    for path, _ in data_files(FOLDER, overlay):
        try:
            one = load_toml(path, MessageKind)
        except FixConfiguration as error:
            faults += error.faults
            continue
        faults += [Fault(str(path), *fault) for fault in _faults(one, path.stem)]
        found.append(one)
    if faults:
        raise FixConfiguration(faults)
    return tuple(found)


def _faults(one: MessageKind, stem: str) -> Iterator[tuple[str, str, str]]:
    if one.id != stem:
        yield "id", f"{stem!r}, as the file is named", repr(one.id)
    yield from _doubles([field.name for field in one.fields])
    told = {field.of for field in one.fields}
    for name in _RULED:
        if name not in told:
            yield "fields", f"one of {name!r}: which cylinder, and when", ", ".join(sorted(told))
    if not any(sample.lacking for sample in one.samples):
        yield "samples", "one that lacks a required field", "none"


def _doubles(names: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield "fields", "each name once", repr(name)
