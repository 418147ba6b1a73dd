"""Makes open tables, each at most once in a while however many ask."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from cloud.model.data_rule import SUPPRESSED_BELOW, Open
from cloud.model.database import Database
from cloud.model.open_data import OpenTable, OpenValue
from cloud.open_data.query import COUNT, build_query
from protocols.clock import Clock

ROWS_MAX = 50_000
KEPT_MS = 10 * 60 * 1000
"""So long a table is given out again as it is: whoever asks often learns no more, and costs
nothing."""


class OpenDataSource:
    """Open tables of the state database."""

    def __init__(
        self, database: Database, kinds: Mapping[str, Open], clock: Clock, zone: ZoneInfo
    ) -> None:
        self._database, self._clock, self._zone = database, clock, zone
        self.kinds = kinds
        """What there is, by name."""
        self._made: dict[str, OpenTable] = {}
        self._turn = asyncio.Lock()

    async def table(self, name: str) -> OpenTable | None:
        """Return a table that is at most KEPT_MS old; None when nothing open has that name."""
        about = self.kinds.get(name)
        if about is None:
            return None
        async with self._turn:  # one query at a time, whoever waits gets its answer
            known, now_ms = self._made.get(name), self._clock.wall_ms()
            if known is None or not 0 <= now_ms - known.made_at < KEPT_MS:
                known = await self._database.read(lambda c: self._make(c, about, now_ms))
                self._made[name] = known
            return known

    def _make(self, connection: Connection, about: Open, now_ms: int) -> OpenTable:
        moment = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(self._zone)
        offset_ms = round((moment.utcoffset() or timedelta()).total_seconds() * 1000)
        query = build_query(about, offset_ms=offset_ms, now_ms=now_ms, limit=ROWS_MAX + 1)
        found = connection.execute(query).mappings().all()
        return OpenTable(
            about=about,
            columns=(*(one.name for one in about.cell), COUNT, *(one.name for one in about.mean)),
            rows=tuple(_row(about, row) for row in found[:ROWS_MAX]),
            made_at=now_ms,
            complete=len(found) <= ROWS_MAX,
        )


def _row(about: Open, row: Any) -> tuple[OpenValue, ...]:
    cells = [_day(row[one.name]) if one.coarse == "day" else row[one.name] for one in about.cell]
    means = [
        round(row[f"{one.name}_ms"] / 1000) if row[f"{one.name}_n"] >= SUPPRESSED_BELOW else None
        for one in about.mean
    ]
    return (*cells, row[COUNT], *means)


def _day(number: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()
