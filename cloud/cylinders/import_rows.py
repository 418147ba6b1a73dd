"""Reading the rows of a file of cylinders; each by itself, so that a bad one stops no other."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from cloud.model.cylinder import CylinderEntry, FurtherCode, ImportForm, Valve
from cloud.model.cylinder_records import RowRefusal
from protocols.errors import RefuseInput

ROWS_MAX = 20_000
LINE_CHARS_MAX = 64 * 1024
FOUND_CHARS_MAX = 100
LISTS = ("components", "codes")
"""Columns of a table that hold several values, with spaces between."""
_PLACE = re.compile(r"(?P<said>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(?P<name>[^`]*)`")


class Row(CylinderEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One cylinder of a file."""

    code: str


class Read(Struct, frozen=True):
    """A row as it was read."""

    line: int
    row: Row | None
    refusal: RowRefusal | None = None
    """Where it could not be read."""


COLUMNS = (
    *(name for name in Row.__struct_fields__ if name not in ("valve", "documents")),
    *(f"valve.{name}" for name in Valve.__struct_fields__),
)
"""Of a table; papers need the other form."""


def read_rows(form: ImportForm, raw: bytes) -> Iterator[Read]:
    """Read the rows of a file.

    Raises:
        RefuseInput: `bad_request`: the file as a whole cannot be read; `too_large`.

    """
    text = _text(raw)
    lines = _table(text) if form == "csv" else _lines(text)
    for number, (line, fields) in enumerate(lines):
        if number >= ROWS_MAX:
            raise RefuseInput("too_large", f"rows: expected at most {ROWS_MAX}, found more")
        yield _read(line, fields, strict=form != "csv")


def _text(raw: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):  # what spreadsheets here write
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise RefuseInput("bad_request", "expected text in UTF-8 or GB 18030")


def _lines(text: str) -> Iterator[tuple[int, Any]]:
    for line, part in enumerate(text.split("\n"), 1):
        if part.strip():
            yield line, part


def _table(text: str) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(LINE_CHARS_MAX)
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, (header, cells)
    except csv.Error as error:
        raise RefuseInput("bad_request", f"line {reader.line_num}: {error}") from None


def _check_header(header: list[str]) -> None:
    for name in header:
        if name not in COLUMNS or header.count(name) > 1:
            expected = f"each column once, of {', '.join(COLUMNS)}"
            raise RefuseInput("bad_request", f"header: expected {expected}; found {name[:60]!r}")
    for name in ("code", "kind", "gas"):
        if name not in header:
            raise RefuseInput("bad_request", f"header: expected a column {name}, found none")


def _read(line: int, given: Any, *, strict: bool) -> Read:
    if not strict and len(given[1]) != len(given[0]):
        expected, found = f"{len(given[0])} cells", str(len(given[1]))
        return Read(line, None, RowRefusal(line=line, field="", expected=expected, found=found))
    fields: Any = given
    try:
        fields = _fields(*given) if not strict else _decoded(given)
        return Read(line, msgspec.convert(fields, Row, strict=strict))
    except (msgspec.DecodeError, RecursionError) as error:
        return Read(line, None, _refusal(line, str(error), fields))


def _decoded(text: str) -> Any:
    if len(text) > LINE_CHARS_MAX:
        raise msgspec.DecodeError(f"Expected at most {LINE_CHARS_MAX} characters")
    return msgspec.json.decode(text)


def _fields(header: list[str], cells: list[str]) -> dict[str, Any]:
    """Return what a row of a table holds; an empty cell tells nothing."""
    found: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        value: Any = cell.strip()
        if not value:
            continue
        if name == "codes":
            value = [_code(one) for one in value.split()]
        elif name in LISTS:
            value = value.split()
        outer, _, inner = name.partition(".")
        if inner:
            found.setdefault(outer, {})[inner] = value
        else:
            found[name] = value
    return found


def _code(text: str) -> dict[str, str]:
    scheme, _, value = text.partition(":")
    return msgspec.structs.asdict(FurtherCode(scheme, value))


def _refusal(line: int, said: str, fields: Any) -> RowRefusal:
    """Say with field, expected and found what msgspec says in a sentence."""
    match = _PLACE.fullmatch(said)
    told, path = (match["said"], match["path"] or "") if match else (said, "")
    named = _FIELD.match(told)
    if named:
        path = f"{path}.{named['name']}".lstrip(".")
        there = "unknown" in told
        expected = "a field that there is" if there else "it is told"
        found = repr(_at(fields, path)) if there else "nothing"
    else:
        expected, _, got = told.partition(", got ")
        expected = expected.removeprefix("Expected ")
        value = _at(fields, path)
        found = repr(value) if value is not None else got or "nothing"
    return RowRefusal(
        line=line, field=path[:48], expected=expected[:200], found=found[:FOUND_CHARS_MAX]
    )


def _at(fields: Any, path: str) -> Any:
    """Return what stands at a path such as `valve.maker`; a list as a whole."""
    for name in path.partition("[")[0].split("."):
        if isinstance(fields, Mapping):
            fields = fields.get(name)
    return fields
