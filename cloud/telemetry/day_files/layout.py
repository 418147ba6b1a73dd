"""How a day file is laid out: its tables, its columns, and what fits into them.

A wide table per kind of asset has one row per asset and time and one column per canonical point.
What does not fit there (unknown points and kinds, a text in a column of numbers, numbers beyond
64 bits) goes, exactly as it came, into the narrow `extra` tables as JSON. Each table exists twice:
`arrival` takes rows as they come, `sorted` keeps those of closed hours by asset and time.
"""

from datetime import date
from typing import Literal

from protocols.catalog.points import PointType, kinds, load_points

DAY_MS = 24 * 3600 * 1000
EPOCH_DAY = date(1970, 1, 1).toordinal()
DAY_MIN, DAY_MAX = date(1, 1, 1).toordinal() - EPOCH_DAY, date(9999, 12, 31).toordinal() - EPOCH_DAY
"""The days that have a name; readings of any other are refused."""
SUFFIX = ".duckdb"

ColumnType = Literal["BOOLEAN", "BIGINT", "DOUBLE", "VARCHAR", "VARCHAR[]"]
Layout = dict[str, ColumnType]
"""Point -> type of its column."""

COLUMN_TYPES: dict[PointType, ColumnType] = {
    "bool": "BOOLEAN",
    "int": "BIGINT",
    "float": "DOUBLE",
    "word": "VARCHAR",
    "text": "VARCHAR",
    "codes": "VARCHAR[]",
    "floor": "BIGINT",  # the usual floors; a text such as B1 goes to `extra`
}

# names of our own begin with _, which no point does
OWN_COLUMNS: dict[str, str] = {
    "_asset": "VARCHAR",
    "_at": "BIGINT",  # observed_at, ms since 1970
    "_partition": "VARCHAR",  # where in the log it came from: partition, and
    "_sequence": "BIGINT",  # position << ROW_BITS | row of the group
    "_quality": "VARCHAR",  # JSON {point: quality} of those not good; NULL: all good
    "_whole": "VARCHAR",  # `,a,b,`: these DOUBLE columns came as whole numbers
}
EXTRA_COLUMNS: dict[str, str] = {
    "_asset": "VARCHAR",
    "_at": "BIGINT",
    "_partition": "VARCHAR",
    "_sequence": "BIGINT",
    "_quality": "VARCHAR",  # one word; NULL: good
    "_point": "VARCHAR",
    "_value": "VARCHAR",  # JSON; NULL: not known
}
ROW_BITS = 24
"""A group has fewer rows than 2 ** this: its batches hold at most 256 KiB each."""
EXTRA = "extra"
STAGES = ("arrival", "sorted")


def layouts() -> dict[str, Layout]:
    """Return the columns of every kind in the catalog."""
    return {
        kind: {point.name: COLUMN_TYPES[point.type] for point in load_points(kind).values()}
        for kind in kinds()
    }


def table_name(stage: str, content: str) -> str:
    """Name the table of a kind, or of `extra`, in one stage; a kind is named `wide_{kind}`."""
    return f"{stage}_{content}"


def wide(kind: str) -> str:
    """Name the content that holds a kind of asset."""
    return f"wide_{kind}"


def quoted(name: str) -> str:
    """Write a name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def file_name(day: int) -> str:
    """Name the file of a day (days since 1970): `2026-11-24.duckdb`."""
    return date.fromordinal(day + EPOCH_DAY).isoformat() + SUFFIX


def day_of_name(name: str) -> int | None:
    """Return the day of a file name, None when it is no day file."""
    if not name.endswith(SUFFIX):
        return None
    try:
        return date.fromisoformat(name.removesuffix(SUFFIX)).toordinal() - EPOCH_DAY
    except ValueError:
        return None
