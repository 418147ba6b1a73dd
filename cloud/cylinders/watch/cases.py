"""Cases as rows: each raised once for ever by its key, ended, opened again where it holds again."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.model.cylinder import json_text
from cloud.model.watch_tables import cylinder_case as table
from protocols.cylinders.watch import CaseKind, Entry

ASSET, GATEWAY = "cylinder:", "gateway:"
"""How subjects begin: of a cylinder's asset id, and of a gateway of a station."""


class Raised(Struct, frozen=True):
    """What should stand on a list."""

    subject: str
    entry: Entry
    station: str = ""
    facts: Mapping[str, Any] = {}
    alarm: bool = False

    @property
    def key(self) -> tuple[str, CaseKind, str]:
        """Return what it is told by."""
        return self.subject, self.entry.kind, self.entry.key


def raise_cases(connection: Connection, raised: Sequence[Raised], now_ms: int) -> None:
    """Put cases on their lists; those that were raised before stay as they are."""
    if raised:
        statement: Any = _insert(connection).on_conflict_do_nothing(
            index_elements=("subject", "kind", "key")
        )
        connection.execute(statement, [_row(one, now_ms) for one in raised])


def raise_again(connection: Connection, raised: Sequence[Raised], now_ms: int) -> None:
    """As `raise_cases`; one that had ended by itself is open again, under its number."""
    if raised:
        again = {"open": "y", "ended_at": None}
        statement: Any = _insert(connection).on_conflict_do_update(
            index_elements=("subject", "kind", "key"), set_=again, where=table.c.ended_by == ""
        )
        connection.execute(statement, [_row(one, now_ms) for one in raised])


def known(connection: Connection, raised: Sequence[Raised]) -> set[tuple[str, CaseKind, str]]:
    """Return which of them were ever raised."""
    subjects = sorted({one.subject for one in raised})
    query = select(table.c.subject, table.c.kind, table.c.key)
    query = query.where(table.c.subject.in_(subjects))
    return {(row.subject, row.kind, row.key) for row in connection.execute(query)}


def end_cases(
    connection: Connection,
    which: ColumnElement[bool],
    now_ms: int,
    *,
    by: str = "",
    note: str = "",
) -> int:
    """End open cases; returns how many there were."""
    ended = {"open": None, "ended_at": now_ms, "ended_by": by, "note": note}
    return connection.execute(
        update(table).where(table.c.open == "y", which).values(ended)
    ).rowcount


def _insert(connection: Connection) -> Any:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def _row(one: Raised, now_ms: int) -> dict[str, Any]:
    entry = one.entry
    return {
        "kind": entry.kind,
        "subject": one.subject,
        "key": entry.key,
        "day": entry.day.isoformat(),
        "stage_days": entry.stage_days,
        "station": one.station,
        "facts": json_text(one.facts) if one.facts else "{}",
        "raised_at": now_ms,
        "alarm": one.alarm,
        "ended_by": "",
        "note": "",
        "open": "y",
    }


facts_of = msgspec.json.Decoder(dict[str, Any]).decode
