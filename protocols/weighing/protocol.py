"""Scale files: how an indicator's frames look and what their marks mean, as data."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import asdict

from protocols.border import load_toml
from protocols.catalog.check_samples import same_value
from protocols.catalog.files import data_files
from protocols.errors import Fault, FixConfiguration
from protocols.readings import Quality
from protocols.weighing.decode import Effect, Frame, Mark, Weighed, decode_stream

KIND = "scale"
_GROUPS = ("weight", "sign", "unit", "decimals", "check", "tare_kg")
"""Groups of a pattern that need no mark to be understood."""


class LineSettings(Struct, frozen=True, kw_only=True):
    """As indicators of this kind are delivered; a site file may say another baud rate."""

    baud_rate: Annotated[int, Meta(ge=300, le=4_000_000)] = 9600
    data_bits: Literal[7, 8] = 8
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: Literal[1, 2] = 1


class Sample(Struct, frozen=True, kw_only=True):
    """Bytes as an indicator sent them, and what the last frame in them must say."""

    about: str
    raw: str
    """Each character is one byte, U+0000 to U+00FF."""
    expect: dict[str, bool | float] = {}
    expect_quality: dict[str, Quality] = {}
    dropped: int = 0
    """How many frames are malformed."""


class ScaleProtocol(Struct, frozen=True, kw_only=True):
    """One family of continuous outputs."""

    schema: Literal[1]
    id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\Z")]
    products: tuple[str, ...] = ()
    document: str = ""
    caveats: tuple[str, ...] = ()
    line: LineSettings = LineSettings()
    frame: Frame
    marks: tuple[Mark, ...] = ()
    samples: tuple[Sample, ...] = ()


def load_protocol(path: Path, *, shipped: bool) -> ScaleProtocol:
    """Read and check one scale file; its samples must come out.

    Raises:
        FixConfiguration: with all its faults.

    """
    protocol = load_toml(path, ScaleProtocol)
    faults = [Fault(str(path), *one) for one in _faults(protocol, path.stem, shipped=shipped)]
    if faults:
        raise FixConfiguration(faults)
    return protocol


def load_protocols(overlay: Path | None) -> tuple[dict[str, ScaleProtocol], list[Fault]]:
    """Read all shipped scale files and those of the overlay, by id; a faulty one is left out."""
    protocols: dict[str, ScaleProtocol] = {}
    faults: list[Fault] = []
    for path, shipped in data_files("scales", overlay):
        try:
            protocol = load_protocol(path, shipped=shipped)
        except FixConfiguration as error:
            faults += error.faults
        else:
            protocols[protocol.id] = protocol
    return protocols, faults


def _faults(protocol: ScaleProtocol, stem: str, *, shipped: bool) -> Iterator[tuple[str, str, str]]:
    if protocol.id != stem:
        yield "id", f"{stem!r}, as the file is named", repr(protocol.id)
    try:
        groups = re.compile(protocol.frame.pattern, re.ASCII).groupindex
    except re.error as error:
        yield "frame.pattern", "a regular expression", str(error)
        return
    before = list(_group_faults(protocol, groups))
    yield from before
    if before:
        return
    for index, sample in enumerate(protocol.samples):
        yield from _sample_faults(protocol, sample, f"samples[{index}]")
    if shipped:
        yield from _proof_faults(protocol)


def _group_faults(
    protocol: ScaleProtocol, groups: Mapping[str, int]
) -> Iterator[tuple[str, str, str]]:
    marked = {mark.group for mark in protocol.marks}
    if "weight" not in groups:
        yield "frame.pattern", "a group named weight", repr(protocol.frame.pattern)
    if (protocol.frame.checksum is not None) != ("check" in groups):
        yield "frame.checksum", "a group named check and its checksum, or neither", "one of them"
    for name in sorted(set(groups) - marked - set(_GROUPS)):
        yield "frame.pattern", f"one of {', '.join(_GROUPS)}, or a group with marks", repr(name)
    for index, mark in enumerate(protocol.marks):
        if mark.group not in groups:
            yield f"marks[{index}].group", "a group of the pattern", repr(mark.group)
        if mark.bits is not None and not 0 <= mark.bits[0] <= mark.bits[1] <= 7:
            yield f"marks[{index}].bits", "lowest and highest bit, 0 to 7", str(mark.bits)
        if mark.bits is not None and not all(key.isdecimal() for key in mark.values):
            yield f"marks[{index}].values", "numbers, for bits", ", ".join(mark.values)


def _sample_faults(
    protocol: ScaleProtocol, sample: Sample, key: str
) -> Iterator[tuple[str, str, str]]:
    try:
        raw = sample.raw.encode("latin-1")
    except UnicodeEncodeError:
        yield f"{key}.raw", "characters up to U+00FF, each one byte", "others"
        return
    found, dropped = decode_stream(protocol.frame, protocol.marks, raw)
    if dropped != sample.dropped:
        yield f"{key}.dropped", str(sample.dropped), str(dropped)
    last = found[-1] if found else Weighed({}, {})
    for name, value in sample.expect.items():
        if name not in last.values or not same_value(value, last.values[name]):
            yield f"{key}.expect.{name}", repr(value), repr(last.values.get(name))
    if last.quality != sample.expect_quality:
        yield f"{key}.expect_quality", str(sample.expect_quality), str(last.quality)


def _proof_faults(protocol: ScaleProtocol) -> Iterator[tuple[str, str, str]]:
    """Ask of a shipped file for what an indicator can do to a gateway."""
    samples = protocol.samples
    weights = [value for one in samples for value in one.expect.values() if type(value) is float]
    needed = {
        "a weight": any(value > 0 for value in weights),
        "a weight below zero": any(value < 0 for value in weights),
        "a malformed frame": any(one.dropped for one in samples),
    }
    for name in sorted(_told(protocol) & {"in_motion", "over_capacity"}):
        needed[f"{name} = true"] = any(one.expect.get(name) is True for one in samples)
    for what, there in needed.items():
        if not there:
            yield "samples", f"a sample with {what}", "none"


def _told(protocol: ScaleProtocol) -> set[str]:
    """Name what the marks can tell."""
    effects = [effect for mark in protocol.marks for effect in mark.values.values()]
    return {name for effect in effects for name, value in asdict(effect).items() if value}


__all__ = [
    "Effect",
    "LineSettings",
    "Mark",
    "Sample",
    "ScaleProtocol",
    "load_protocol",
    "load_protocols",
]
