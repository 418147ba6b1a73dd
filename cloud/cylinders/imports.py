"""Imports: a file is taken durably and at once, its rows are settled beside the call.

The rows of a chunk and how far the import has come are one transaction, so after any end of the
process it goes on where it was. A row that was taken before changes nothing.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Sequence
from typing import Any

import msgspec
import zstandard
from msgspec import Struct
from sqlalchemy import Connection, func, insert, select, update

from cloud.cylinders.book import Cylinders
from cloud.cylinders.changes import Actor, Turn
from cloud.cylinders.import_rows import Read, Row, read_rows
from cloud.cylinders.register import FieldRefused, write_file
from cloud.cylinders.rights import asset_after
from cloud.model.asset import Asset
from cloud.model.cylinder import SCHEME, FieldFault, ImportForm, Outcome
from cloud.model.cylinder_records import Import, RowRefusal
from cloud.model.cylinder_tables import cylinder_import as table
from cloud.model.cylinder_tables import cylinder_import_refusal as refused_rows
from cloud.model.database import Work
from cloud.model.principal import Granted, Scope
from cloud.model.rows import replace_rows
from protocols.clock import Clock
from protocols.errors import RefuseInput, RetryLater
from protocols.ids import check_asset_id

logger = logging.getLogger(__name__)
CHUNK = 50
"""Rows in one transaction: nobody else writes the state meanwhile, about 50 ms."""
WAITING_MAX = 10
"""Imports of one organisation that have not ended."""
REFUSALS_MAX = 1_000
"""Kept of one import, and shown at once; further ones are counted."""
POLL_S = 1.0
_SHOWN = [column for column in table.c if column.name not in ("body", "rights", "by", "open")]


class Waiting(Struct, frozen=True):
    """An import that has not ended, and with whose rights."""

    id: int
    form: ImportForm
    done: int
    refused: int
    actor: Actor
    scope: Scope
    body: bytes


class Superseded(Exception):
    """Another process has brought it further meanwhile."""


class Imports:
    """All imports."""

    def __init__(self, cylinders: Cylinders, clock: Clock) -> None:
        self._cylinders, self._database, self._clock = cylinders, cylinders.database, clock
        self._more = asyncio.Event()

    async def take(
        self, granted: Granted, form: ImportForm, raw: bytes, *, also: Sequence[Work] = ()
    ) -> Import:
        """See `cloud.cylinders.base.Imports`."""
        rows = await asyncio.to_thread(lambda: sum(1 for _ in read_rows(form, raw)))
        if rows == 0:
            raise RefuseInput("bad_request", "expected a row, found none")
        organisation = granted.principal.organisation or ""
        digest = hashlib.sha256(raw).hexdigest()
        made = {
            "organisation": organisation,
            "by": granted.principal.id,
            "rights": msgspec.json.encode(granted.scope).decode(),
            "form": form,
            "sha256": digest,
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
        """See `cloud.cylinders.base.Imports`."""
        query = _seen(granted).order_by(table.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(table.c.id < before)
        return await self._database.read(
            lambda c: [Import(**row) for row in c.execute(query).mappings()]
        )

    async def get(self, granted: Granted, import_id: int, *, after_line: int = 0) -> Import:
        """See `cloud.cylinders.base.Imports`."""
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
                logger.warning("imports of cylinders wait: %s", error)
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
        rows = await asyncio.to_thread(lambda: list(read_rows(one.form, one.body)))
        done, refused = one.done, one.refused
        for start in range(done, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            last = start + len(part) == len(rows)
            try:
                refused += await self._settle_part(one, start, part, refused, last=last)
            except FieldRefused:  # the firm's quota ends within these rows
                for at, row in enumerate(part, start):
                    end = last and at == len(rows) - 1
                    refused += await self._settle_one(one, at, row, refused, last=end)

    async def _settle_one(
        self, one: Waiting, at: int, row: Read, refused: int, *, last: bool
    ) -> int:
        try:
            return await self._settle_part(one, at, [row], refused, last=last)
        except FieldRefused as full:
            fault = full.fault
            refusal = _refusal(row.line, fault)
            return await self._settle_part(
                one, at, [Read(row.line, None, refusal)], refused, last=last
            )

    async def _settle_part(
        self, one: Waiting, start: int, part: Sequence[Read], refused: int, *, last: bool
    ) -> int:
        """Settle some rows in one transaction; return how many were refused."""
        outcomes, twins = list[Outcome | RowRefusal](), list[tuple[FieldRefused, str]]()

        def work(taken: Turn) -> Sequence[Asset]:
            outcomes.clear()
            twins.clear()
            assets = [self._row(taken, one, read, outcomes, twins) for read in part]
            return list({asset.asset_id: asset for asset in assets if asset}.values())

        def advance(connection: Connection) -> None:
            ended_at = self._clock.wall_ms() if last else None
            _advance(connection, one, start, outcomes, refused, ended_at)

        await self._cylinders.write_as(one.actor, work, [advance, *self._rooms(one)])
        for twin, asset_id in twins:
            self._cylinders.tell_twin(twin, asset_id)
        return sum(isinstance(outcome, RowRefusal) for outcome in outcomes)

    def _row(
        self,
        taken: Turn,
        one: Waiting,
        read: Read,
        outcomes: list[Outcome | RowRefusal],
        twins: list[tuple[FieldRefused, str]],
    ) -> Asset | None:
        """Settle a row; return its asset where that changes."""
        if read.row is None:
            outcomes.append(read.refusal or _refusal(read.line, _UNREADABLE))
            return None
        asset_id = f"{SCHEME}:{read.row.code}"
        try:
            asset, outcome = self._write(taken, one, asset_id, read.row)
        except RefuseInput as refused:
            outcomes.append(_refusal(read.line, _fault(refused, read.row)))
            if isinstance(refused, FieldRefused):
                twins.append((refused, asset_id))
            return None
        outcomes.append(outcome)
        return asset

    def _write(
        self, taken: Turn, one: Waiting, asset_id: str, row: Row
    ) -> tuple[Asset | None, Outcome]:
        check_asset_id(asset_id)
        earlier, file = self._cylinders.peek(asset_id), row.file()
        after = asset_after(earlier, asset_id, row.district, file.filler)
        self._cylinders.check(earlier, after, file, one.scope)
        outcome = write_file(taken, asset_id, file)
        same = earlier is not None and earlier.attributes == after.attributes
        return (None if same and outcome != "registered" else after), outcome

    def _rooms(self, one: Waiting) -> list[Work]:
        """Return what refuses rows beyond the firm's quota, as a fault of a field."""

        def within(room: Work) -> Work:
            def check(connection: Connection) -> None:
                try:
                    room(connection)
                except RefuseInput as full:
                    fault = FieldFault(field="code", expected="room", found=full.detail)
                    raise FieldRefused(full.reason, fault) from None

            return check

        return [within(room) for room in self._cylinders.rooms(None, one.scope)]


_UNREADABLE = FieldFault(field="", expected="a row", found="none")


def _fault(refused: RefuseInput, row: Row) -> FieldFault:
    if isinstance(refused, FieldRefused):
        return refused.fault
    field, _, rest = refused.detail.partition(": expected ")
    expected, _, found = rest.partition(", found ")
    if not rest:
        return FieldFault(field="code", expected=refused.detail or refused.reason, found=row.code)
    return FieldFault(field=field, expected=expected, found=found)


def _refusal(line: int, fault: FieldFault) -> RowRefusal:
    return RowRefusal(line=line, field=fault.field, expected=fault.expected, found=fault.found)


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
        Actor(row.by, row.organisation),
        msgspec.json.decode(row.rights, type=Scope),
        zstandard.decompress(row.body),
    )


def _advance(
    connection: Connection,
    one: Waiting,
    start: int,
    outcomes: Sequence[Outcome | RowRefusal],
    refused: int,
    ended_at: int | None,
) -> None:
    faults = [outcome for outcome in outcomes if isinstance(outcome, RowRefusal)]
    unchanged = sum(outcome == "unchanged" for outcome in outcomes)
    values: dict[str, Any] = {
        "done": table.c.done + len(outcomes),
        "taken": table.c.taken + len(outcomes) - len(faults) - unchanged,
        "unchanged": table.c.unchanged + unchanged,
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
