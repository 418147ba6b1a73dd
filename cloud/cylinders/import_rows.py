"""Reading the rows of a file of cylinders; each by itself, so that a bad one stops no other."""

from collections.abc import Iterator

import msgspec

from cloud.model.cylinder import CylinderEntry, FurtherCode, ImportForm, Valve
from cloud.model.row_files import ReadRow, RowForm
from cloud.model.row_files import read_rows as read_any


class Row(CylinderEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One cylinder of a file."""

    code: str


Read = ReadRow[Row]
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
    return read_any(FORM, form, raw)


def _code(text: str) -> dict[str, str]:
    scheme, _, value = text.partition(":")
    return msgspec.structs.asdict(FurtherCode(scheme, value))


FORM = RowForm(
    type=Row,
    columns=COLUMNS,
    needed=("code", "kind", "gas"),
    lists={"components": str, "codes": _code},
)
