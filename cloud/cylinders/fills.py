"""Fillings that gateways recorded, as the registry keeps them: each record once, in any order."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, and_, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.cylinders.changes import Actor, turn
from cloud.cylinders.filled import settle_fillings
from cloud.cylinders.fold import NAME_MAX, Told, day_of, fold, opening_of, told_purged
from cloud.cylinders.rows import Row, find_row
from cloud.model.cylinder import json_text
from cloud.model.fill_tables import cylinder_fill, cylinder_fill_step
from cloud.model.logged import LoggedBatch
from cloud.model.principal import BY_CHARS_MAX
from protocols.clock import Clock
from protocols.records import Fill

NAME, MARK = "fills", b'"fill"'
"""Of the follower."""
STEPS_MAX = 64
"""Of one filling; a gateway makes some six. Those with larger numbers are kept and not joined."""
_KEY = ("gateway", "spool", "stream", "seq", "record_index")
_RECORD = msgspec.json.Decoder(Fill)
Count = Callable[[str], None]
"""Is told of each record: its step, or `duplicate`; and of each cylinder: `unknown_cylinder`."""
Opening = tuple[str, str, int]
"""Gateway, gate and number of an opening."""


class FillKeeper:
    """What a `LogFollower` does with batches that hold records of fillings."""

    def __init__(self, clock: Clock, *, zone: ZoneInfo, count: Count) -> None:
        """Build it.

        Args:
            clock: for when the registry learned of it.
            zone: in which days are counted.
            count: for figures.

        """
        self._clock, self._zone, self._count = clock, zone, count

    def keep(self, connection: Connection, batches: Sequence[LoggedBatch]) -> None:
        """Keep the records of batches, join them, and tell the cylinders."""
        new = []
        for row in (row for one in batches for row in step_rows(one, self._zone)):
            is_new = _insert(connection, row)
            self._count(row["step"] if is_new else "duplicate")
            new += [row] if is_new else []
        told = {row["asset_id"]: row["gateway"] for row in new}
        for opening in dict.fromkeys(_opening(row) for row in new):
            if opening is not None:
                told[self._join(connection, opening)] = opening[0]
        for asset_id in sorted(told.keys() - {""}):
            self._settle(connection, asset_id, told[asset_id])

    def _join(self, connection: Connection, opening: Opening) -> str:
        """Write down what the steps of an opening say now; return its cylinder."""
        step, fill = cylinder_fill_step.c, cylinder_fill.c
        named = dict(zip(("gateway", "gate", "opening"), opening, strict=True))
        query = select(cylinder_fill_step).where(*(step[name] == named[name] for name in named))
        query = query.order_by(step.number, *(step[name] for name in _KEY)).limit(STEPS_MAX)
        columns = fold([_told(row) for row in connection.execute(query).mappings()], self._zone)
        columns["change"] = (connection.execute(select(func.max(fill.change))).scalar() or 0) + 1
        here = and_(*(fill[name] == named[name] for name in named))
        kept = connection.execute(select(fill.steps, fill.asset_id).where(here)).first()
        if kept is None:
            connection.execute(insert(cylinder_fill).values({**columns, **named}))
        elif kept.steps > columns["steps"]:  # its first ones went after their term
            return str(kept.asset_id)
        else:
            connection.execute(update(cylinder_fill).where(here).values(columns))
        return str(columns["asset_id"])

    def _settle(self, connection: Connection, asset_id: str, gateway: str) -> None:
        if find_row(connection, asset_id) is None:
            self._count("unknown_cylinder")
            return
        actor = Actor(f"gateway:{gateway}"[:BY_CHARS_MAX], "")
        with turn(connection, actor, self._clock.wall_ms()) as taken:
            settle_fillings(taken, asset_id)


def step_rows(batch: LoggedBatch, zone: ZoneInfo) -> Iterator[dict[str, Any]]:
    """Yield the steps in a batch as rows; one read a second time makes the same rows."""
    for index, record in batch.taken():
        if not isinstance(record, Fill):
            continue
        told = Told(
            record=record,
            observed_at=record.at + batch.offset_ms,
            received_at=batch.received_at,
            time_unknown=batch.placing == "unknown",
        )
        yield {
            "gateway": batch.gateway,
            "spool": batch.spool,
            "stream": batch.stream,
            "seq": batch.seq,
            "record_index": index,
            "gate": record.gate,
            "number": record.number,
            "opening": opening_of(record),
            "step": record.step,
            "asset_id": record.asset,
            "filler": record.filler[:NAME_MAX],
            "purged": told_purged(record),
            "day": day_of(told, zone),
            "observed_at": told.observed_at,
            "received_at": told.received_at,
            "time_unknown": told.time_unknown,
            "decision": record.decision if record.step == "decided" else None,
            "body": json_text(record),
        }


def _opening(row: dict[str, Any]) -> Opening | None:
    number = row["opening"]
    return None if number is None else (row["gateway"], row["gate"], number)


def _told(row: Row) -> Told:
    return Told(
        record=_RECORD.decode(row["body"]),
        observed_at=row["observed_at"],
        received_at=row["received_at"],
        time_unknown=row["time_unknown"],
    )


def _insert(connection: Connection, row: dict[str, Any]) -> bool:
    """Keep a step; tell whether it was not kept yet."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement: Any = dialect.insert(cylinder_fill_step)
    keeping = statement.values(row).on_conflict_do_nothing(index_elements=_KEY)
    kept = connection.execute(keeping.returning(cylinder_fill_step.c.seq))
    return kept.first() is not None
