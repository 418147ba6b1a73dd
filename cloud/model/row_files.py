"""Reading the rows of a file of many things; each by itself, so that a bad one stops no other."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from cloud.model.cylinder import ImportForm
from cloud.model.cylinder_records import RowRefusal
from protocols.errors import RefuseInput

ROWS_MAX = 20_000
LINE_CHARS_MAX = 64 * 1024
FOUND_CHARS_MAX = 100
R = TypeVar("R", bound=Struct)
_PLACE = re.compile(r"(?P<said>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(?P<name>[^`]*)`")


class ReadRow(Struct, Generic[R], frozen=True):
    """A row as it was read."""

    line: int
    row: R | None
    refusal: RowRefusal | None = None
    """Where it could not be read."""


class RowForm(Struct, Generic[R], frozen=True, kw_only=True):
    """What a row is."""

    type: type[R]
    columns: Sequence[str]
    """Of a table; a dot leads into an inner object."""
    needed: Sequence[str]
    """Columns without which a table is refused."""
    lists: Mapping[str, Callable[[str], Any]] = {}
    """Columns that hold several values, with spaces between, and how one is read."""


def read_rows(of: RowForm[R], form: ImportForm, raw: bytes) -> Iterator[ReadRow[R]]:
    """Read the rows of a file.

    Raises:
        RefuseInput: `bad_request`: the file as a whole cannot be read; `too_large`.

    """
    text = _text(raw)
    lines = _table(text, of) if form == "csv" else _lines(text)
    for number, (line, fields) in enumerate(lines):
        if number >= ROWS_MAX:
            raise RefuseInput("too_large", f"rows: expected at most {ROWS_MAX}, found more")
        yield _read(of, line, fields, strict=form != "csv")


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


def _table(text: str, of: RowForm[R]) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(LINE_CHARS_MAX)
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, of)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, (header, cells)
    except csv.Error as error:
        raise RefuseInput("bad_request", f"line {reader.line_num}: {error}") from None


def _check_header(header: list[str], of: RowForm[R]) -> None:
    for name in header:
        if name not in of.columns or header.count(name) > 1:
            expected = f"each column once, of {', '.join(of.columns)}"
            raise RefuseInput("bad_request", f"header: expected {expected}; found {name[:60]!r}")
    for name in of.needed:
        if name not in header:
            raise RefuseInput("bad_request", f"header: expected a column {name}, found none")


def _read(of: RowForm[R], line: int, given: Any, *, strict: bool) -> ReadRow[R]:
    if not strict and len(given[1]) != len(given[0]):
        expected, found = f"{len(given[0])} cells", str(len(given[1]))
        return ReadRow(line, None, RowRefusal(line=line, field="", expected=expected, found=found))
    fields: Any = given
    try:
        fields = _fields(of, *given) if not strict else _decoded(given)
        return ReadRow(line, msgspec.convert(fields, of.type, strict=strict))
    except (msgspec.DecodeError, RecursionError) as error:
        return ReadRow(line, None, _refusal(line, str(error), fields))


def _decoded(text: str) -> Any:
    if len(text) > LINE_CHARS_MAX:
        raise msgspec.DecodeError(f"Expected at most {LINE_CHARS_MAX} characters")
    return msgspec.json.decode(text)


def _fields(of: RowForm[R], header: list[str], cells: list[str]) -> dict[str, Any]:
    """Return what a row of a table holds; an empty cell tells nothing."""
    found: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        value: Any = cell.strip()
        if not value:
            continue
        if name in of.lists:
            value = [of.lists[name](one) for one in value.split()]
        outer, _, inner = name.partition(".")
        if inner:
            found.setdefault(outer, {})[inner] = value
        else:
            found[name] = value
    return found


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
