"""Imports of lifts: a file is taken durably and at once, its rows are settled beside the call.

The rows of a chunk and how far the import has come are one transaction, so after any end of the
process it goes on where it was. A row that was taken before changes nothing.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import msgspec
import zstandard
from msgspec import Struct
from sqlalchemy import Connection, func, insert, select, update

from cloud.lifts.book import LiftBook
from cloud.lifts.rows import file_of, find_row
from cloud.model.asset import Asset
from cloud.model.cylinder import ImportForm
from cloud.model.cylinder_records import Import, RowRefusal
from cloud.model.database import Work
from cloud.model.lift import LiftEntry
from cloud.model.lift_tables import lift_import as table
from cloud.model.lift_tables import lift_import_refusal as refused_rows
from cloud.model.principal import Granted, Principal, Scope
from cloud.model.row_files import ReadRow, RowForm, read_rows
from cloud.model.rows import replace_rows
from protocols.clock import Clock
from protocols.errors import RefuseInput, RetryLater
from protocols.ids import check_asset_id
from protocols.lifts.base import SCHEME, LiftFile, PartyPart

logger = logging.getLogger(__name__)
CHUNK = 50
"""Rows in one transaction."""
WAITING_MAX = 10
"""Imports of one organisation that have not ended."""
REFUSALS_MAX = 1_000
"""Kept of one import, and shown at once; further ones are counted."""
POLL_S = 1.0
CALL = "lifts.write"
_SHOWN = [column for column in table.c if column.name not in ("body", "rights", "by", "open")]


class Row(LiftEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One lift of a file."""

    code: str

    def entry(self) -> LiftEntry:
        """Return the lift's file and parties alone."""
        names = LiftEntry.__struct_fields__
        return LiftEntry(**{name: getattr(self, name) for name in names})


FORM = RowForm(
    type=Row,
    columns=(
        *(name for name in Row.__struct_fields__ if name not in ("parties", "contracts")),
        *(f"parties.{part}" for part in get_args(PartyPart)),
    ),
    needed=("code",),
)
"""Contracts need the other form, JSON lines."""


class Waiting(Struct, frozen=True):
    """An import that has not ended, and with whose rights."""

    id: int
    form: ImportForm
    done: int
    refused: int
    by: str
    organisation: str
    scope: Scope
    body: bytes

    @property
    def granted(self) -> Granted:
        """Return the call as it was made."""
        caller = Principal(
            kind="account",
            id=self.by,
            by=self.by,
            organisation=self.organisation or None,
            may={CALL: self.scope},
        )
        return Granted(caller, CALL, self.scope)


class Settled(Struct, frozen=True):
    """What became of a row."""

    asset_id: str = ""
    file: LiftFile | None = None
    changed: bool = False
    refusal: RowRefusal | None = None
    before: str = ""
    """The rescue code that it had."""


class Superseded(Exception):
    """Another process has brought it further meanwhile."""


class Imports:
    """All imports."""

    def __init__(self, lifts: LiftBook, clock: Clock) -> None:
        self._lifts, self._database, self._clock = lifts, lifts.database, clock
        self._more = asyncio.Event()

    async def take(
        self, granted: Granted, form: ImportForm, raw: bytes, *, also: Sequence[Work] = ()
    ) -> Import:
        """See `cloud.lifts.base.Imports`."""
        rows = await asyncio.to_thread(lambda: sum(1 for _ in read_rows(FORM, form, raw)))
        if rows == 0:
            raise RefuseInput("bad_request", "expected a row, found none")
        made = {
            "organisation": granted.principal.organisation or "",
            "by": granted.principal.id,
            "rights": msgspec.json.encode(granted.scope).decode(),
            "form": form,
            "sha256": hashlib.sha256(raw).hexdigest(),
            "rows": rows,
            **dict.fromkeys(("done", "taken", "unchanged", "refused"), 0),
            "received_at": self._clock.wall_ms(),
            "body": await asyncio.to_thread(zstandard.compress, raw, 3),
            "open": "y",
        }
        one = await self._database.write(lambda c: _insert(c, made), *also)
        self._more.set()
        return one

    async def find(
        self, granted: Granted, *, before: int | None = None, limit: int = 100
    ) -> list[Import]:
        """See `cloud.lifts.base.Imports`."""
        query = _seen(granted).order_by(table.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(table.c.id < before)
        return await self._database.read(
            lambda c: [Import(**row) for row in c.execute(query).mappings()]
        )

    async def get(self, granted: Granted, import_id: int, *, after_line: int = 0) -> Import:
        """See `cloud.lifts.base.Imports`."""
        query = _seen(granted).where(table.c.id == import_id)

        def read(connection: Connection) -> Import:
            row = connection.execute(query).mappings().first()
            if row is None:
                raise RefuseInput("not_found", f"no import {import_id}")
            return Import(**row, refusals=_refusals(connection, import_id, after_line))

        return await self._database.read(read)

    async def run(self) -> None:
        """Settle the files that wait, the oldest first, until cancelled."""
        while True:
            try:
                await self.run_waiting()
            except RetryLater as error:
                logger.warning("imports of lifts wait: %s", error)
                await asyncio.sleep(POLL_S)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), POLL_S)
            self._more.clear()

    async def run_waiting(self) -> None:
        """Settle the files that wait now."""
        while (one := await self._database.read(_first_waiting)) is not None:
            try:
                await self._settle(one)
            except Superseded:
                await asyncio.sleep(POLL_S)

    async def _settle(self, one: Waiting) -> None:
        rows = await asyncio.to_thread(lambda: list(read_rows(FORM, one.form, one.body)))
        refused = one.refused
        for start in range(one.done, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            last = start + len(part) == len(rows)
            try:
                refused += await self._settle_part(one, start, part, refused, last=last)
            except RefuseInput:  # the firm's quota ends within these rows
                for at, row in enumerate(part, start):
                    end = last and at == len(rows) - 1
                    refused += await self._settle_one(one, at, row, refused, last=end)

    async def _settle_one(
        self, one: Waiting, at: int, row: ReadRow[Row], refused: int, *, last: bool
    ) -> int:
        try:
            return await self._settle_part(one, at, [row], refused, last=last)
        except RefuseInput as full:
            refusal = _refusal(row.line, full)
            left = ReadRow[Row](row.line, None, refusal)
            return await self._settle_part(one, at, [left], refused, last=last)

    async def _settle_part(
        self, one: Waiting, start: int, part: Sequence[ReadRow[Row]], refused: int, *, last: bool
    ) -> int:
        """Settle some rows in one transaction; return how many were refused."""
        settled = list[Settled]()

        def work(connection: Connection) -> Sequence[Asset]:
            settled.clear()
            assets = dict[str, Asset]()
            for read in part:
                settled.append(self._row(connection, one, read, assets))
            return list(assets.values())

        def advance(connection: Connection) -> None:
            ended_at = self._clock.wall_ms() if last else None
            _advance(connection, one, start, settled, refused, ended_at)

        rooms = self._lifts.rooms(None, one.scope)
        await self._lifts.write_assets(work, [advance, *rooms])
        for each in settled:
            if each.file is not None and each.changed:
                await self._lifts.told(each.asset_id, each.file, each.before)
        return sum(each.refusal is not None for each in settled)

    def _row(
        self,
        connection: Connection,
        one: Waiting,
        read: ReadRow[Row],
        assets: dict[str, Asset],
    ) -> Settled:
        """Settle a row; put its asset among `assets` where that changes."""
        if read.row is None:
            return Settled(refusal=read.refusal)
        try:
            asset_id = check_asset_id(f"{SCHEME}:{read.row.code}")
            asset, file = self._lifts.prepared(one.granted, asset_id, read.row.entry())
        except RefuseInput as refused:
            return Settled(refusal=_refusal(read.line, refused))
        row = find_row(connection, asset_id)
        earlier = assets.get(asset_id) or self._lifts.peek(asset_id)
        same = earlier is not None and (
            (earlier.attributes, earlier.parties, earlier.name, earlier.kind)
            == (asset.attributes, asset.parties, asset.name, asset.kind)
        )
        if row is not None and same and file_of(row) == file:
            return Settled(asset_id, file)
        before = row["rescue_code"] if row is not None else ""
        self._lifts.recorder.write_file(connection, asset_id, file)
        assets[asset_id] = self._lifts.stamped(asset)
        return Settled(asset_id, file, changed=True, before=before)


def _refusal(line: int, refused: RefuseInput) -> RowRefusal:
    field, _, rest = refused.detail.partition(": expected ")
    expected, _, found = rest.partition(", found ")
    if not rest:
        field, expected, found = "code", refused.detail or refused.reason, ""
    return RowRefusal(line=line, field=field[:48], expected=expected[:200], found=found[:100])


def _insert(connection: Connection, made: dict[str, Any]) -> Import:
    here = (table.c.organisation == made["organisation"], table.c.open == "y")
    same = select(*_SHOWN).where(*here, table.c.sha256 == made["sha256"])
    row = connection.execute(same).mappings().first()
    if row is None:
        waiting = connection.scalar(select(func.count()).select_from(table).where(*here)) or 0
        if waiting >= WAITING_MAX:
            raise RefuseInput("too_many_jobs", f"{WAITING_MAX} wait already")
        connection.execute(insert(table).values(**made))
        row = connection.execute(same).mappings().one()
    return Import(**row)


def _seen(granted: Granted) -> Any:
    query = select(*_SHOWN)
    if granted.scope.everything:
        return query
    return query.where(table.c.organisation == (granted.principal.organisation or ""))


def _refusals(connection: Connection, import_id: int, after: int) -> tuple[RowRefusal, ...]:
    column = refused_rows.c
    query = select(refused_rows).where(column.import_id == import_id, column.line > after)
    query = query.order_by(column.line).limit(REFUSALS_MAX)
    return tuple(
        RowRefusal(line=row.line, field=row.field, expected=row.expected, found=row.found)
        for row in connection.execute(query)
    )


def _first_waiting(connection: Connection) -> Waiting | None:
    query = select(table).where(table.c.open == "y").order_by(table.c.id).limit(1)
    row = connection.execute(query).first()
    if row is None:
        return None
    return Waiting(
        row.id,
        row.form,
        row.done,
        row.refused,
        row.by,
        row.organisation,
        msgspec.json.decode(row.rights, type=Scope),
        zstandard.decompress(row.body),
    )


def _faults(settled: Sequence[Settled]) -> Iterator[RowRefusal]:
    for one in settled:
        if one.refusal is not None:
            yield one.refusal


def _advance(
    connection: Connection,
    one: Waiting,
    start: int,
    settled: Sequence[Settled],
    refused: int,
    ended_at: int | None,
) -> None:
    faults = list(_faults(settled))
    changed = sum(each.changed for each in settled)
    values: dict[str, Any] = {
        "done": table.c.done + len(settled),
        "taken": table.c.taken + changed,
        "unchanged": table.c.unchanged + len(settled) - len(faults) - changed,
        "refused": table.c.refused + len(faults),
    }
    if ended_at is not None:
        values |= {"ended_at": ended_at, "body": None, "open": None}
    here = (table.c.id == one.id, table.c.done == start, table.c.open == "y")
    if connection.execute(update(table).where(*here).values(**values)).rowcount != 1:
        raise Superseded
    kept = faults[: max(0, REFUSALS_MAX - refused)]
    rows = [{"import_id": one.id, **msgspec.structs.asdict(fault)} for fault in kept]
    replace_rows(connection, refused_rows, rows)
