"""Changes of cylinders, numbered without holes in the order in which they are committed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, delete, insert, select, update

from cloud.cylinders.rows import Row, find_row
from cloud.model.cylinder import json_text
from cloud.model.cylinder_tables import (
    cylinder,
    cylinder_change,
    cylinder_gone,
    cylinder_head,
)
from cloud.model.database import take_turn
from cloud.model.principal import Granted
from cloud.model.rows import insert_rows, replace_rows
from protocols.errors import RefuseInput

TURN = "cylinders"


class Actor(Struct, frozen=True):
    """Who changes something."""

    by: str
    """Id of a principal."""
    organisation: str


def actor_of(granted: Granted) -> Actor:
    """Return who makes a call."""
    return Actor(granted.principal.id, granted.principal.organisation or "")


class Turn:
    """The changes of one transaction."""

    def __init__(self, connection: Connection, actor: Actor, now_ms: int, head: int) -> None:
        self.connection, self.actor, self.now_ms = connection, actor, now_ms
        self._head, self._history = head, list[dict[str, Any]]()

    def note(
        self,
        asset_id: str,
        what: str,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        reason: str = "",
    ) -> int:
        """Add an entry to the history of a cylinder; return its number."""
        self._head += 1
        self._history.append(
            {
                "change": self._head,
                "asset_id": asset_id,
                "recorded_at": self.now_ms,
                "by": self.actor.by,
                "organisation": self.actor.organisation,
                "what": what,
                "before": json_text(before),
                "after": json_text(after),
                "reason": reason,
            }
        )
        return self._head

    def change(
        self,
        asset_id: str,
        what: str,
        columns: Mapping[str, Any],
        *,
        told: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None,
        reason: str = "",
    ) -> int:
        """Write columns of a cylinder's row, and what they held before into its history.

        `told`: before and after as the history says it, where that is not the columns as they are.
        """
        here = cylinder.c.asset_id == asset_id
        if told is None:
            row = self.connection.execute(select(cylinder).where(here)).mappings().one()
            told = {name: row[name] for name in columns}, columns
        number = self.note(asset_id, what, *told, reason=reason)
        values = {**columns, "change": number, "updated_at": self.now_ms}
        self.connection.execute(update(cylinder).where(here).values(values))
        return number

    def moved(self, asset_id: str, before: str, after: str, change: int) -> None:
        """Keep for the filler before that it is gone, and forget that it ever left the next."""
        if before:
            row = {"filler": before, "asset_id": asset_id, "change": change}
            replace_rows(self.connection, cylinder_gone, [row])
        gone = cylinder_gone.c
        here = (gone.filler == after, gone.asset_id == asset_id)
        self.connection.execute(delete(cylinder_gone).where(*here))

    def close(self) -> None:
        """Write the history and where it ends."""
        if self._history:
            insert_rows(self.connection, cylinder_change, self._history)
            self.connection.execute(update(cylinder_head).values(change=self._head))


@contextmanager
def turn(connection: Connection, actor: Actor, now_ms: int) -> Iterator[Turn]:
    """Take the turn of changing cylinders; it ends with the transaction."""
    take_turn(connection, TURN)
    head = connection.execute(select(cylinder_head.c.change)).scalar()
    if head is None:
        connection.execute(insert(cylinder_head).values(id=1, change=0))
    taken = Turn(connection, actor, now_ms, head or 0)
    yield taken
    taken.close()


def existing(turn: Turn, asset_id: str) -> Row:
    """Return the row of a cylinder that is not scrapped; RefuseInput `not_found`, `wrong_state`."""
    row = find_row(turn.connection, asset_id)
    if row is None:
        raise RefuseInput("not_found", f"{asset_id} has no file")
    if row["state"] == "scrapped":
        raise RefuseInput("wrong_state", f"{asset_id} is scrapped")
    return row
