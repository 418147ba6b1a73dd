"""The notes of shifts: written once, read by those who come after."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, insert, select, true

from cloud.model.database import Database, Work
from cloud.model.desk import Handover, HandoverBody
from cloud.model.desk_tables import desk_handover
from cloud.model.principal import Granted
from protocols.clock import Clock
from protocols.errors import RefuseInput

OPEN_MAX = 100
PLATFORM = "platform"
"""The organisation of who has none."""
_of = desk_handover.c


class HandoverBook:
    """`Handovers` in the state database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def make(
        self,
        body: HandoverBody,
        *,
        granted: Granted,
        open_numbers: Sequence[str],
        opened: int,
        ended: int,
        from_at: int,
        also: Sequence[Work] = (),
    ) -> Handover:
        """Write one."""
        row = {
            "organisation": granted.principal.organisation or PLATFORM,
            "by": granted.by[:64],
            "to": body.to,
            "note": body.note,
            "from_at": from_at,
            "made_at": self._clock.wall_ms(),
            "open_numbers": msgspec.json.encode(list(open_numbers[:OPEN_MAX])).decode(),
            "opened": opened,
            "ended": ended,
        }

        def work(connection: Connection) -> Handover:
            made = insert(desk_handover).values(row).returning(desk_handover)
            return _read(connection.execute(made).mappings().one())

        return await self._database.write(work, *also)

    async def find(self, granted: Granted, limit: int = 20) -> list[Handover]:
        """Return the newest."""
        query = select(desk_handover).where(_seen(granted)).order_by(_of.id.desc()).limit(limit)
        return await self._database.read(
            lambda c: [_read(row) for row in c.execute(query).mappings()]
        )

    async def get(self, granted: Granted, handover_id: int) -> Handover:
        """Return one."""
        query = select(desk_handover).where(_of.id == handover_id, _seen(granted))
        row = await self._database.read(lambda c: c.execute(query).mappings().first())
        if row is None:
            raise RefuseInput("not_found", f"no handover {handover_id}")
        return _read(row)


def _seen(granted: Granted) -> ColumnElement[bool]:
    if granted.scope.everything and granted.principal.organisation in (None, PLATFORM):
        return true()
    return _of.organisation == (granted.principal.organisation or PLATFORM)


def _read(row: Any) -> Handover:
    told = {name: row[name] for name in Handover.__struct_fields__ if name != "open"}
    return Handover(**told, open=tuple(msgspec.json.decode(row["open_numbers"])))
