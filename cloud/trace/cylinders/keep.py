"""Reads on in the registry's history and its fillings, and captures the events of what is new.

The cursor moves in the transaction of the events, and an event's id depends on its entry alone, so
each is captured once, however often the process ends and the registry is read again.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, func, select

from cloud.model.cursors import load_positions, save_positions
from cloud.model.cylinder_tables import cylinder, cylinder_change
from cloud.model.database import Database
from cloud.model.fill_tables import cylinder_fill, cylinder_fill_step
from cloud.trace.cylinders.event import CylinderMapper, Source
from cloud.trace.cylinders.steps import FILLED, Told
from cloud.trace.field.names import RecordKey
from cloud.trace.insert import Insertion
from cloud.trace.numbers import Memory
from cloud.trace.prepare import prepare
from protocols.clock import Clock
from protocols.epcis.event import Event
from protocols.epcis.standard import Standard
from protocols.errors import RetryLater

NAME = "cylinder events"
"""Of the cursor; its partitions are `change` and `fill`."""
CHANGE, FILL = "change", "fill"
ENTRIES_A_TURN = 200
POLL_S, BACKOFF_S = 1.0, 2.0
Count = Callable[[str], None]
"""Is told what became of each entry: `stored`, `duplicate`, or why there is no event."""
Entry = tuple[Told, Source]
logger = logging.getLogger("suyuan.cloud")


class CylinderEvents:
    """Captures; `run` until cancelled, by one process at a time."""

    def __init__(
        self,
        database: Database,
        mapper: CylinderMapper,
        *,
        standard: Standard,
        clock: Clock,
        count: Count,
    ) -> None:
        """Build it.

        Args:
            database: of the registry and the events.
            mapper: makes the events.
            standard: as the repository's.
            clock: for the time of record.
            count: for figures.

        """
        self._database, self._mapper, self._standard = database, mapper, standard
        self._clock, self._count = clock, count

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            try:
                behind = await self._database.read(is_behind)
                more = behind and await self._database.write(self.take)
            except RetryLater as error:
                logger.warning("%s wait %.0f s: %s", NAME, BACKOFF_S, error)
                await asyncio.sleep(BACKOFF_S)
            else:
                if not more:
                    await asyncio.sleep(POLL_S)

    def take(self, connection: Connection) -> bool:
        """Capture what is new, at most so much in one turn; tell whether there may be more."""
        done = load_positions(connection, NAME)
        changes = list(_changes(connection, done.get(CHANGE, 0)))
        fills = list(_fills(connection, done.get(FILL, 0)))
        if not changes and not fills:
            return False
        by_firm: dict[str, list[Event]] = {}
        for told, source in (entry for _, entry in (*changes, *fills) if entry is not None):
            made = self._mapper.event_of(told, source, now_ms=self._clock.wall_ms())
            if made.event is None:
                self._count(made.left_out)
            else:
                by_firm.setdefault(told.organisation, []).append(made.event)
        for organisation, events in by_firm.items():
            self._capture(connection, organisation, events)
        for name, found in ((CHANGE, changes), (FILL, fills)):
            done |= {name: found[-1][0]} if found else {}
        save_positions(connection, NAME, done)
        return ENTRIES_A_TURN in (len(changes), len(fills))

    def _capture(self, connection: Connection, organisation: str, events: list[Event]) -> None:
        insertion = Insertion(connection, Memory(), organisation)
        outcomes = insertion.write(
            prepare(events, self._standard),
            at_us=self._clock.wall_ms() * 1000,
            behaviour="proceed",
            job=None,
        )
        for one in outcomes:
            self._count("event_id_taken" if one.outcome == "conflict" else one.outcome)


def is_behind(connection: Connection) -> bool:
    """Tell whether there is anything new; it is asked once a second, and writes nothing."""
    done = load_positions(connection, NAME)
    heads = ((CHANGE, cylinder_change.c.change), (FILL, cylinder_fill.c.change))
    return any(
        (connection.execute(select(func.max(column))).scalar() or 0) > done.get(name, 0)
        for name, column in heads
    )


def _changes(connection: Connection, after: int) -> Iterator[tuple[int, Entry | None]]:
    """Yield entries of the history behind a number; their event is the filler's of the cylinder."""
    entry = cylinder_change.c
    joined = cylinder_change.outerjoin(cylinder, cylinder.c.asset_id == entry.asset_id)
    query = select(cylinder_change, cylinder.c.filler).select_from(joined)
    query = query.where(entry.change > after).order_by(entry.change).limit(ENTRIES_A_TURN)
    for row in connection.execute(query).mappings():
        told = Told(
            asset_id=row["asset_id"],
            what=row["what"],
            after=msgspec.json.decode(row["after"], type=dict[str, Any]),
            at_ms=row["recorded_at"],
            organisation=row["organisation"] or row["filler"] or "",
        )
        yield row["change"], (told, Source(change=row["change"]))


def _fills(connection: Connection, after: int) -> Iterator[tuple[int, Entry | None]]:
    """Yield fillings that changed behind a number; None: none, or nobody knows when it was."""
    fill, step = cylinder_fill.c, cylinder_fill_step.c
    weighed = and_(
        step.gateway == fill.gateway,
        step.gate == fill.gate,
        step.opening == fill.opening,
        step.step == "weighed",
    )
    names = ("state", "asset_id", "filler", "gas", "net_kg", "rules_version")
    told = [fill[name].label(f"of_{name}") for name in names]
    query = select(fill.change, *told, cylinder_fill_step)
    query = query.select_from(cylinder_fill.outerjoin(cylinder_fill_step, weighed))
    query = query.where(fill.change > after).order_by(fill.change, step.number)
    last = 0
    for row in connection.execute(query.limit(ENTRIES_A_TURN)).mappings():
        if row["change"] == last:
            continue  # weighed twice: the first counts
        last = row["change"]
        known = row["of_state"] == "filled" and row["of_asset_id"] and not row["time_unknown"]
        yield last, _filled(row, names) if known else None


def _filled(row: Any, names: tuple[str, ...]) -> Entry:
    key = RecordKey(row["gateway"], row["spool"], row["stream"], row["seq"], row["record_index"])
    told = Told(
        asset_id=row["of_asset_id"],
        what=FILLED,
        after={name: row[f"of_{name}"] for name in names},
        at_ms=row["observed_at"],
        organisation=row["of_filler"],
    )
    return told, Source(record=key, gate=row["gate"])
