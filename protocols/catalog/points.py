"""The canonical points of each kind of asset, and the canonical message codes."""

from functools import lru_cache
from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocols.border import load_toml
from protocols.catalog.files import SCHEMA, data_files, data_root
from protocols.errors import Fault, FixConfiguration
from protocols.readings import Value

PointType = Literal["bool", "int", "float", "word", "codes", "text", "floor"]
PointName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")]


class Point(Struct, frozen=True, kw_only=True):
    """One canonical point; every source of this kind of asset speaks of it by this name."""

    name: PointName
    type: PointType
    """`floor`: a whole number or a short text such as B1; `codes`: a list of canonical codes."""
    unit: str | None = None
    urgent: bool = False
    """A change goes at once, in stream `alarm`."""
    words: tuple[str, ...] = ()
    """What a `word` may be, or which codes `codes` may hold; empty for the other types."""
    title: str
    title_zh: str
    deadband: Annotated[float, Meta(ge=0)] = 0.0
    """Report a number only when it moved by at least this much; 0: every change."""
    reporter: Literal["device", "gateway", "cloud"] = "device"
    """Who says it; a controller file may map only what the device says."""


class MessageCode(Struct, frozen=True, kw_only=True):
    """One canonical message code: a national number as text, or a word where none exists."""

    code: Annotated[str, Meta(pattern=r"^([0-9]{2}|[a-z][a-z0-9_]{0,31})\Z")]
    kind: Literal["fault", "event", "alarm"]
    title: str
    title_zh: str


class _PointsFile(Struct, frozen=True, kw_only=True):
    schema: Literal[1]
    kind: str
    points: tuple[Point, ...]
    codes: tuple[MessageCode, ...] = ()


def kinds() -> tuple[str, ...]:
    """Return the kinds of asset that have points."""
    return tuple(path.stem for path, _ in data_files("points"))


def load_points(kind: str) -> dict[str, Point]:
    """Return the canonical points of `kind` by name; cached, not to be changed.

    Raises:
        KeyError: no such kind.
        FixConfiguration: its file is faulty.

    """
    return _load(kind)[0]


def load_codes(kind: str) -> dict[str, MessageCode]:
    """Return the canonical message codes of `kind`; cached, errors as `load_points`."""
    return _load(kind)[1]


def fits(point: Point, value: Value) -> bool:
    """Tell whether `value` is one that this point can have; null always is."""
    if value is None:
        return True
    if isinstance(value, list):
        return point.type == "codes" and all(code in point.words for code in value)
    if isinstance(value, bool):
        return point.type == "bool"
    if isinstance(value, str):
        if point.type == "word":
            return value in point.words
        return point.type == "text" or (point.type == "floor" and 0 < len(value) <= 8)
    if isinstance(value, int):
        return point.type in ("int", "float", "floor")
    return point.type == "float"


@lru_cache(maxsize=64)
def _load(kind: str) -> tuple[dict[str, Point], dict[str, MessageCode]]:
    path = data_root() / "points" / f"{kind}.toml"
    if kind not in kinds():
        raise KeyError(kind)
    file = load_toml(path, _PointsFile)
    points = {point.name: point for point in file.points}
    codes = {code.code: code for code in file.codes}
    faults = _faults(str(path), file, points, codes)
    if faults:
        raise FixConfiguration(faults)
    return points, codes


def _faults(
    path: str, file: _PointsFile, points: dict[str, Point], codes: dict[str, MessageCode]
) -> list[Fault]:
    faults = []
    if len(points) < len(file.points) or len(codes) < len(file.codes):
        faults.append(Fault(path, "points", "each name and code once", "one of them twice"))
    for point in file.points:
        if bool(point.words) != (point.type in ("word", "codes")):
            expected = "words for a word or codes, none else"
            faults.append(Fault(path, f"{point.name}.words", expected, str(point.words)))
        if point.type == "codes" and set(point.words) != set(codes):
            faults.append(Fault(path, f"{point.name}.words", "the codes below", str(point.words)))
    return faults


__all__ = ["SCHEMA", "MessageCode", "Point", "fits", "kinds", "load_codes", "load_points"]
