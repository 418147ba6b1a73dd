"""A station's snapshot: what a filling gateway must know of cylinders to decide offline.

A file is whole, or an increment that names what changed, came and went. It is read where it lies
(mapped into memory), and no object is made but for what is asked for. From the end: eight bytes of
`MAGIC`, four of the head's length, the head as JSON, and before it the tables in their order.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from protocols.cylinders.base import Cylinder, StationPermits
from protocols.cylinders.base import State as CylinderState
from protocols.cylinders.book import RuleBook
from protocols.cylinders.columns import Bytes, Group, Keys, Numbers, Row, row_of, text_of
from protocols.cylinders.manifest import Manifest, State, state_at
from protocols.errors import RefuseInput

MAGIC = b"SUYCYL01"
"""The last two digits are the schema."""
TAIL = 4 + len(MAGIC)
CYLINDERS, TAGS, DENIED, GONE, ADMITTED = TABLES = (
    "cylinders",
    "tags",
    "denied",
    "gone",
    "admitted",
)
"""Cylinders by code; tags by UID, a tag of two cylinders twice; codes of other fillers' cylinders
that must not be filled. In an increment also what is gone from the first and from the third."""
OWNER, BY_OWNER, STATE = "owner", "by_owner", "state"
"""Columns: of a tag its cylinder's number; the tags' numbers, by owner; of a denied code why."""
FIELDS: dict[str, Any] = {
    field.name: field
    for field in msgspec.structs.fields(Cylinder)
    if field.name not in ("code", "tag_uids")
}
"""The columns of a cylinder."""


HOUR_MS = 3_600_000


class ColumnHead(Struct, frozen=True, array_like=True):
    """One column, as a file's head tells of it."""

    name: str
    width: Annotated[int, Meta(ge=0, le=4)]
    values: Raw
    """A JSON list; null: the numbers mean themselves."""


class TableHead(Struct, frozen=True, array_like=True):
    """One table."""

    groups: list[Group]
    columns: list[ColumnHead]


class Head(Struct, frozen=True):
    """All tables of `TABLES`, in that order, and how long the rules are that follow them."""

    tables: list[TableHead]
    rules: int | None
    """None: an increment that leaves them as they are."""


class Table:
    """Keys with their columns."""

    def __init__(self, data: Bytes, offset: int, head: TableHead) -> None:
        self.keys = Keys(data, offset, head.groups)
        offset = self.keys.end
        self.numbers: dict[str, Numbers] = {}
        self.heads = {one.name: one for one in head.columns}
        for one in head.columns:
            self.numbers[one.name] = Numbers(data, offset, one.width, self.keys.count)
            offset = self.numbers[one.name].end
        self.end = offset

    def values(self, types: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Read the lists of values; RefuseInput `unknown_schema`: a column of another release."""
        unknown = set(self.heads) - set(types)
        if unknown:
            raise RefuseInput("unknown_schema", f"no field {', '.join(sorted(unknown))[:200]}")
        return {
            name: msgspec.json.Decoder(list[type_]).decode(self.heads[name].values)  # type: ignore[valid-type]
            for name, type_ in types.items()
            if name in self.heads
        }


class Layer:
    """One file."""

    def __init__(self, data: Bytes, size: int) -> None:
        """Read the head of a file.

        Raises:
            RefuseInput: `truncated`, `unknown_schema`, `malformed`.

        """
        try:
            head, end = _read_head(data, size)
            self._read_tables(data, head, end)
        except (ValueError, LookupError, OverflowError, RecursionError) as error:
            raise RefuseInput("malformed", str(error)[:200]) from None

    def _read_tables(self, data: Bytes, head: Head, end: int) -> None:
        offset, self.tables = 0, dict[str, Table]()
        for name, one in zip(TABLES, head.tables, strict=True):
            self.tables[name] = Table(data, offset, one)
            offset = self.tables[name].end
        if offset + (head.rules or 0) != end:
            raise RefuseInput("truncated", f"expected {end} bytes of tables, found {offset}")
        self.rules = None if head.rules is None else data[offset:end]
        self._values = self.tables[CYLINDERS].values({n: f.type for n, f in FIELDS.items()})
        self._denied: list[CylinderState] = self.tables[DENIED].values({STATE: CylinderState})[
            STATE
        ]
        self._owners = self.tables[TAGS].numbers[OWNER]
        self._by_owner = self.tables[TAGS].numbers[BY_OWNER]

    def cylinder(self, row: Row) -> Cylinder | None:
        """Return a cylinder of this file."""
        table = self.tables[CYLINDERS]
        found = table.keys.equal(*row)
        if not found:
            return None
        at, numbers = found.start, table.numbers
        fields = {name: some[numbers[name][at]] for name, some in self._values.items()}
        return Cylinder(code=text_of(*row), tag_uids=self._tags_of(at), **fields)

    def owners(self, row: Row) -> Iterator[Row]:
        """Yield the codes of the cylinders that have this tag."""
        keys = self.tables[CYLINDERS].keys
        for number in self.tables[TAGS].keys.equal(*row):
            yield keys.row(self._owners[number])

    def denied(self, row: Row) -> CylinderState | None:
        """Return why this file denies a code."""
        table = self.tables[DENIED]
        found = table.keys.equal(*row)
        return self._denied[table.numbers[STATE][found.start]] if found else None

    def admits(self, row: Row) -> bool:
        """Tell whether this file takes a code off the list of the denied."""
        return bool(self.tables[ADMITTED].keys.equal(*row))

    def tags_of(self, number: int) -> range:
        """Return where in the order by owner the tags of a cylinder are."""
        low, high = 0, self.tables[TAGS].keys.count
        while low < high:
            middle = (low + high) // 2
            if self._owners[self._by_owner[middle]] < number:
                low = middle + 1
            else:
                high = middle
        stop = low
        while stop < self.tables[TAGS].keys.count and (
            self._owners[self._by_owner[stop]] == number
        ):
            stop += 1
        return range(low, stop)

    def _tags_of(self, number: int) -> tuple[str, ...]:
        keys = self.tables[TAGS].keys
        rows = (keys.row(self._by_owner[at]) for at in self.tags_of(number))
        return tuple(sorted(text_of(*row) for row in rows))


class Snapshot:
    """What a station knows: a whole file, and the increments on top of it."""

    def __init__(self, layers: Sequence[Layer], manifest: Manifest, book: RuleBook) -> None:
        """Put files together.

        Args:
            layers: oldest first; the first is whole.
            manifest: of the newest issue.
            book: the rules that travelled with it; by its grace it is ageing before it expires.

        """
        self.layers, self.manifest, self.book = tuple(layers), manifest, book
        self._newest_first = self.layers[::-1]
        self._told: dict[Row, Layer] = {}
        """What increments tell of, each by the newest; they are of few cylinders."""
        for layer in self.layers[1:]:
            for name in (CYLINDERS, GONE):
                self._told.update(dict.fromkeys(layer.tables[name].keys.all(), layer))

    @property
    def rules(self) -> bytes:
        """The bytes of `book`, as the cloud wrote them."""
        return rules_of(self.layers)

    @property
    def permits(self) -> StationPermits | None:
        """What the filler may fill."""
        return self.manifest.permits

    def find(self, code: str) -> Cylinder | None:
        """Return a cylinder of this filler; None: not known here. RefuseInput `bad_key`."""
        row = row_of(code)
        return self._newest(row).cylinder(row)

    def find_tag(self, uid: str) -> str | None:
        """Return the code of the cylinder with this tag, capital hex digits; `bad_key`.

        None: it is of no cylinder known here, or two claim it, and then it proves neither.
        """
        row = row_of(uid)
        found = {
            owner
            for layer in self.layers
            for owner in layer.owners(row)
            if self._newest(owner) is layer
        }
        return text_of(*found.pop()) if len(found) == 1 else None

    def denied(self, code: str) -> CylinderState | None:
        """Return why a cylinder of another filler must not be filled; None: nothing is known."""
        row = row_of(code)
        for layer in self._newest_first:
            state = layer.denied(row)
            if state is not None or layer.admits(row):
                return state
        return None

    def state_at(self, now_ms: int) -> State:
        """Tell how far it is to be trusted at a time, ms since 1970."""
        return state_at(self.manifest, now_ms, self.book.snapshot.grace_h * HOUR_MS)

    def _newest(self, row: Row) -> Layer:
        """Return the file that has the last word of a cylinder."""
        return self._told.get(row, self.layers[0])


def rules_of(layers: Sequence[Layer]) -> bytes:
    """Return the bytes of the rule book that counts; `layers` as above."""
    return next(one.rules for one in reversed(layers) if one.rules is not None)


def _read_head(data: Bytes, size: int) -> tuple[Head, int]:
    """Return the head, and where the tables end."""
    magic = data[size - len(MAGIC) : size]
    if magic[:-2] != MAGIC[:-2]:
        raise RefuseInput("truncated", "it does not end as a snapshot does")
    if magic != MAGIC:
        raise RefuseInput("unknown_schema", f"expected {MAGIC!r}, found {magic!r}")
    length = int.from_bytes(data[size - TAIL : size - len(MAGIC)], "little")
    end = size - TAIL - length
    if end < 0:
        raise RefuseInput("truncated", f"a head of {length} bytes in {size}")
    return msgspec.json.decode(data[end : size - TAIL], type=Head), end
