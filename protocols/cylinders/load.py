"""Rule files of cylinders into one book: all of them are right, or there is none.

`gases`, `filling`, `checks` and `reasons` are files of their own form; every other is a kind of
shell. A file of the overlay takes the place of the shipped one of the same name.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from protocols.border import convert, read_toml
from protocols.catalog.files import SCHEMA, data_files
from protocols.cylinders.book import (
    Check,
    Dates,
    FindingRule,
    Gas,
    Kind,
    LifeRow,
    Masses,
    Permits,
    ReasonRule,
    Row,
    RuleBook,
    Snapshot,
    may_hold,
)
from protocols.cylinders.limits import FINDINGS
from protocols.cylinders.samples import sample_faults
from protocols.cylinders.verdict import MAY_BE_OVERRIDDEN, REASONS
from protocols.errors import Fault, FixConfiguration

Wrong = Iterator[tuple[str, str, str]]
"""(key, expected, found) of each fault of one file."""


class _Gases(Struct, frozen=True, kw_only=True):
    schema: Literal[1]
    gases: tuple[Gas, ...]


class _Filling(Struct, frozen=True, kw_only=True):
    schema: Literal[1]
    dates: Dates
    snapshot: Snapshot
    masses: Masses
    permits: Permits | None = None
    """A city's file of before says nothing of them."""


class _Checks(Struct, frozen=True, kw_only=True):
    schema: Literal[1]
    checks: tuple[Check, ...]


class _Reasons(Struct, frozen=True, kw_only=True):
    schema: Literal[1]
    reasons: tuple[ReasonRule, ...]
    findings: tuple[FindingRule, ...]


_FORMS: dict[str, type[Any]] = {
    "gases": _Gases,
    "filling": _Filling,
    "checks": _Checks,
    "reasons": _Reasons,
}


class _File(Struct, frozen=True):
    path: Path
    shipped: bool
    value: Any
    samples: list[Any]


def load_rules(folder: Path, overlay: Path | None = None) -> RuleBook:
    """Read all rules of cylinders.

    Args:
        folder: the shipped ones, `firmware_config/cylinders`.
        overlay: a site's or city's own data, with a folder of the same name in it, or without.

    Raises:
        FixConfiguration: with the faults of all files. A book that lacks a part would judge wrong.

    """
    faults: list[Fault] = []
    files = {
        path.stem: _read(path, shipped, faults)
        for path, shipped in data_files(folder.name, overlay, folder.parent)
    }
    faults += [
        Fault(str(folder), f"{name}.toml", "a file of this name", "none")
        for name in sorted(set(_FORMS) - set(files))
    ]
    _stop(faults)
    book = _book(files)
    for file in files.values():
        faults += [Fault(str(file.path), *one) for one in _file_faults(file, book)]
    _stop(faults)
    for file in files.values():
        if overlay is None or not file.shipped:  # a shipped file's hold for the shipped rules only
            faults += sample_faults(file.samples, _kind_of(file), book, str(file.path))
    _stop(faults)
    return book


def _stop(faults: list[Fault]) -> None:
    if faults:
        raise FixConfiguration(faults)


def _read(path: Path, shipped: bool, faults: list[Fault]) -> _File:
    try:
        data = read_toml(path)
    except FixConfiguration as error:
        faults += error.faults
        return _File(path, shipped, None, [])
    samples = data.pop("samples", [])
    if not isinstance(samples, list):
        faults.append(Fault(str(path), "samples", "a list of tables", type(samples).__name__))
    form = _FORMS.get(path.stem, Kind)
    if form is Kind and (schema := data.pop("schema", None)) != SCHEMA:
        faults.append(Fault(str(path), "schema", str(SCHEMA), repr(schema)))
    return _File(path, shipped, convert(data, form, file=str(path), faults=faults), samples)


def _kind_of(file: _File) -> Kind | None:
    return file.value if isinstance(file.value, Kind) else None


def _book(files: dict[str, _File]) -> RuleBook:
    filling: _Filling = files["filling"].value
    reasons: _Reasons = files["reasons"].value
    return RuleBook(
        schema=1,
        dates=filling.dates,
        snapshot=filling.snapshot,
        masses=filling.masses,
        kinds=tuple(kind for file in files.values() if (kind := _kind_of(file)) is not None),
        gases=files["gases"].value.gases,
        checks=files["checks"].value.checks,
        reasons=reasons.reasons,
        findings=reasons.findings,
        permits=filling.permits,
    )


def _file_faults(file: _File, book: RuleBook) -> Wrong:
    match file.value:
        case _Gases(gases=gases):
            yield from _repeated("gases", (gas.id for gas in gases))
            for gas in gases:
                yield from _unknown(f"{gas.id}.takes", gas.takes, book.gas)
        case _Checks(checks=checks):
            yield from _repeated("checks", (check.id for check in checks))
            for check in checks:
                yield from _unknown(f"{check.id}.gases", check.gases, book.gas)
                yield from _unknown(f"{check.id}.kinds", check.kinds, book.kind)
        case _Reasons(reasons=reasons, findings=findings):
            yield from _complete("reasons", [one.id for one in reasons], REASONS)
            yield from _complete("findings", [one.id for one in findings], FINDINGS)
            for reason in reasons:
                yield from _override_faults(reason)
        case Kind() as kind:
            yield from _kind_faults(kind, file.path.stem, book)


def _override_faults(reason: ReasonRule) -> Wrong:
    allowed = reason.id in MAY_BE_OVERRIDDEN and reason.decision == "cannot_decide"
    if reason.override_by and not allowed:
        expected = f"nobody: only of {', '.join(sorted(MAY_BE_OVERRIDDEN))}, at cannot_decide"
        yield f"reasons.{reason.id}.override_by", expected, ", ".join(reason.override_by)


def _kind_faults(kind: Kind, stem: str, book: RuleBook) -> Wrong:
    if kind.id != stem:
        yield "id", f"{stem!r}, as the file is named", repr(kind.id)
    yield from _unknown("gases", kind.gases, book.gas)
    yield from _unknown("not_gases", kind.not_gases, book.gas)
    for name, rows in (("intervals", kind.intervals), ("lives", kind.lives)):
        for index, row in enumerate(rows):
            key = f"{name}[{index}]"
            yield from _unknown(f"{key}.gases", row.gases, book.gas)
            if row.from_ and row.until and row.from_ > row.until:
                yield f"{key}.until", f"{row.from_} or later", str(row.until)
    for index, row in enumerate(kind.lives):
        yield from _border_faults(row, f"lives[{index}]")
    for gas in book.gases:
        if may_hold(kind, gas):
            for name, rows in zip(("intervals", "lives"), book.rows[kind.id, gas.id], strict=True):
                if not any(map(_always, rows)):
                    yield name, f"a row for {gas.id} that holds always", "none"


def _border_faults(row: LifeRow, key: str) -> Wrong:
    if row.made_from is not None and row.made_from.day != 1:
        yield f"{key}.made_from", "the first day of a month", str(row.made_from)
    if row.made_until is not None and (row.made_until + timedelta(days=1)).day != 1:
        yield f"{key}.made_until", "the last day of a month", str(row.made_until)


def _always(row: Row) -> bool:
    """Tell whether a row asks for nothing but the gas."""
    asked = [row.standards, row.taxi, row.from_, row.until]
    if isinstance(row, LifeRow):
        asked += [row.made_from, row.made_until]
    return all(one in ((), None) for one in asked)


def _unknown(key: str, names: Iterable[str], known: Iterable[str]) -> Wrong:
    for name in names:
        if name not in known:
            yield key, "an id of the rules", name


def _repeated(key: str, names: Iterable[str]) -> Wrong:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield key, "each id once", name
        seen.add(name)


def _complete(key: str, names: list[str], known: Iterable[str]) -> Wrong:
    yield from _repeated(key, names)
    for name in sorted(set(known) - set(names)):
        yield key, name, "nothing of it"
    for name in sorted(set(names) - set(known)):
        yield key, f"one of {', '.join(sorted(known))}", name
