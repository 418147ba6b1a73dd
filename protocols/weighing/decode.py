"""What one frame of an indicator says; pure."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocols.errors import RefuseInput
from protocols.readings import Quality, Value
from protocols.weighing.frames import FrameCutter

Unit = Literal["kg", "g", "t", "lb"]
WeightName = Literal["gross_kg", "net_kg", "tare_kg", "displayed_kg"]
IN_KG: Mapping[str, Decimal] = {
    "kg": Decimal(1),
    "g": Decimal("0.001"),
    "t": Decimal(1000),
    "lb": Decimal("0.45359237"),
}
MOVING = "moving_kg"
"""What a frame shows while its weight moves, told then and only then; no point of a scale."""
_DIGITS = 6
"""Decimals of a kilogram that are told."""
_FLAGS = ("in_motion", "weight_valid", "over_capacity", "under_capacity", "at_zero", "net_mode")


class Frame(Struct, frozen=True, kw_only=True):
    """How a frame looks."""

    start: str = ""
    """Each character is one byte; empty: a frame begins where the last one ended."""
    end: Annotated[str, Meta(min_length=1)]
    length_max: Annotated[int, Meta(ge=1, le=256)] = 64
    """Bytes between start and end."""
    pattern: Annotated[str, Meta(min_length=1, max_length=500)]
    """Regular expression of all that stands between start and end; each byte is one character."""
    checksum: Literal["xor_hex"] | None = None
    """`xor_hex`: group `check` is the exclusive or of all bytes before it, as two hex digits."""
    weight: WeightName = "displayed_kg"
    """What group `weight` is, unless a mark says otherwise."""
    unit: Unit = "kg"
    """Where neither a group `unit` nor a mark tells it."""


class Effect(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a mark says; nothing of what is left out."""

    weight: WeightName | None = None
    negative: bool | None = None
    unit: Unit | None = None
    decimals: Annotated[int, Meta(ge=-3, le=6)] | None = None
    """Digits behind the point that the frame does not write."""
    in_motion: bool | None = None
    weight_valid: bool | None = None
    over_capacity: bool | None = None
    under_capacity: bool | None = None
    at_zero: bool | None = None
    net_mode: bool | None = None


class Mark(Struct, frozen=True, kw_only=True):
    """One group of the pattern, or some bits of it, and what each of its values says."""

    group: str
    bits: tuple[int, int] | None = None
    """Lowest and highest bit of the group's one byte; None: the group's text."""
    values: dict[str, Effect]


class Weighed(Struct, frozen=True):
    """What one frame says."""

    values: dict[str, Value]
    quality: dict[str, Quality]
    """Only of values that are not good."""


def decode_stream(frame: Frame, marks: Sequence[Mark], raw: bytes) -> tuple[list[Weighed], int]:
    """Decode bytes; return what the good frames say, and how many are malformed."""
    found, dropped = list[Weighed](), 0
    for one in cutter_of(frame).feed(raw):
        try:
            found.append(decode_frame(frame, marks, one))
        except RefuseInput:
            dropped += 1
    return found, dropped


def cutter_of(frame: Frame) -> FrameCutter:
    """Make what cuts frames of this form out of a stream."""
    start, end = frame.start.encode("latin-1"), frame.end.encode("latin-1")
    return FrameCutter(start=start, end=end, length_max=frame.length_max)


def decode_frame(frame: Frame, marks: Sequence[Mark], raw: bytes) -> Weighed:
    """Read one frame, without its start and end.

    A weight has a value only where no mark speaks against it: not in motion, not invalid, within
    the range. Of several weights that a frame may tell, the others are null. What it shows while
    it moves is `MOVING`.

    Raises:
        RefuseInput: `bad_frame`, `bad_checksum` or `unknown_mark`.

    """
    match = _pattern(frame.pattern).fullmatch(raw.decode("latin-1"))
    if match is None:
        raise RefuseInput("bad_frame", repr(raw[:80]))
    groups = match.groupdict()
    if frame.checksum is not None and groups["check"] != _xor(raw[: match.start("check")]):
        raise RefuseInput("bad_checksum", repr(raw[:80]))
    said = _said(marks, groups)
    told = {name: bool(said[name]) for name in _FLAGS if name in said}
    names = {frame.weight, *_weights(marks)} if "weight" not in said else _weights(marks)
    weights: dict[str, Value] = dict.fromkeys(sorted(names))
    weights[str(said.get("weight", frame.weight))] = _kg(frame, groups, said, groups["weight"])
    if groups.get("tare_kg") is not None:
        weights["tare_kg"] = _kg(frame, {}, {**said, "negative": False}, groups["tare_kg"])
    moving = {name: weights.get(name) for name in ("gross_kg", "displayed_kg")}
    if not _counts(told):
        weights = dict.fromkeys(weights)
    quality: dict[str, Quality] = {
        name: "no_value" for name, value in weights.items() if value is None
    }
    shown = next((value for value in moving.values() if value is not None), None)
    if told.get("in_motion") and shown is not None and _counts({**told, "in_motion": False}):
        weights[MOVING] = shown
    return Weighed({**weights, **told}, quality)


def _counts(told: Mapping[str, bool]) -> bool:
    against = ("in_motion", "over_capacity", "under_capacity")
    return told.get("weight_valid", True) and not any(told.get(name) for name in against)


def _said(marks: Sequence[Mark], groups: Mapping[str, str | None]) -> dict[str, object]:
    said: dict[str, object] = {}
    for mark in marks:
        text = groups[mark.group]
        if text is None:
            continue
        if mark.bits is not None:
            low, high = mark.bits
            text = str(ord(text[0]) >> low & (1 << high - low + 1) - 1)
        effect = mark.values.get(text)
        if effect is None:
            raise RefuseInput("unknown_mark", f"{mark.group} {text!r}")
        said |= _fields(effect)
    return said


@lru_cache(maxsize=1024)
def _fields(effect: Effect) -> dict[str, object]:
    fields = ((name, getattr(effect, name)) for name in effect.__struct_fields__)
    return {name: value for name, value in fields if value is not None}


def _weights(marks: Sequence[Mark]) -> set[str]:
    """Name the weights that marks choose among."""
    effects = (effect for mark in marks for effect in mark.values.values())
    return {effect.weight for effect in effects if effect.weight is not None}


def _kg(
    frame: Frame, groups: Mapping[str, str | None], said: Mapping[str, object], text: str | None
) -> float | None:
    """Read a weight; None where the frame has none, as when the scale is overloaded."""
    if text is None:
        return None
    unit = IN_KG.get((groups.get("unit") or str(said.get("unit", frame.unit))).lower())
    decimals = groups.get("decimals") or said.get("decimals", 0)
    try:
        weight = Decimal(text.replace(" ", "")).scaleb(-int(str(decimals)))
    except InvalidOperation:
        raise RefuseInput("bad_frame", repr(text)) from None
    if unit is None or not weight.is_finite():
        raise RefuseInput("bad_frame", repr(text))
    negative = groups.get("sign") == "-" or bool(said.get("negative"))
    return round(float((-weight if negative else weight) * unit), _DIGITS) + 0.0


def _xor(data: bytes) -> str:
    total = 0
    for byte in data:
        total ^= byte
    return f"{total:02X}"


@lru_cache(maxsize=64)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII)
