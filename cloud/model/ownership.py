"""Who owns what: one row each, with an epoch that rises whenever the owner changes.

A process writes for what it owns only in transactions that look at the epoch (`check`), so one
that was replaced while it slept can do no harm, whatever it believes. Whether an owner lives is
told by its `beat`, which each observer times by its own clock: no two clocks are ever compared.
"""

from collections.abc import Collection, Iterable, Mapping

import msgspec
from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.model import tables
from protocols.errors import SuyuanError


class Holding(msgspec.Struct, frozen=True):
    """One thing that has one owner."""

    name: str
    owner: str | None
    epoch: int
    beat: int
    wanted: str | None
    """Where a person wants it; None: wherever there is room."""


class LetGo(SuyuanError):
    """Another process owns these now: forget what was not committed of them."""

    def __init__(self, names: Collection[str]) -> None:
        super().__init__(f"owned by another process now: {', '.join(sorted(names))}")
        self.names = frozenset(names)


def ensure(connection: Connection, names: Iterable[str]) -> None:
    """Make the rows that are not there yet, without an owner."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = [{"name": name, "epoch": 0, "beat": 0} for name in names]
    connection.execute(dialect.insert(tables.ownership).on_conflict_do_nothing(), rows)


def read_all(connection: Connection) -> list[Holding]:
    """Return all rows by name."""
    query = select(tables.ownership).order_by(tables.ownership.c.name)
    return [Holding(**row) for row in connection.execute(query).mappings()]


def claim(connection: Connection, seen: Holding, owner: str) -> int | None:
    """Take a thing over from whoever had it; None when somebody else was quicker.

    Returns:
        The new epoch.

    """
    table = tables.ownership
    done = connection.execute(
        update(table)
        .where(table.c.name == seen.name, table.c.epoch == seen.epoch)
        .values(owner=owner, epoch=seen.epoch + 1, beat=table.c.beat + 1)
    )
    return seen.epoch + 1 if done.rowcount else None


def beat(connection: Connection, held: Mapping[str, int]) -> None:
    """Tell that the owner of `held` (name -> epoch) lives."""
    table = tables.ownership
    for name, epoch in held.items():
        connection.execute(
            update(table)
            .where(table.c.name == name, table.c.epoch == epoch)
            .values(beat=table.c.beat + 1)
        )


def release(connection: Connection, held: Mapping[str, int]) -> None:
    """Give up `held`, so that another need not wait."""
    table = tables.ownership
    for name, epoch in held.items():
        connection.execute(
            update(table)
            .where(table.c.name == name, table.c.epoch == epoch)
            .values(owner=None, epoch=epoch + 1)
        )


def want(connection: Connection, name: str, owner: str | None) -> bool:
    """Note where a thing is wanted; False when there is no such thing."""
    table = tables.ownership
    done = connection.execute(update(table).where(table.c.name == name).values(wanted=owner))
    return bool(done.rowcount)


_EPOCHS = (
    select(tables.ownership.c.name, tables.ownership.c.epoch)
    .where(tables.ownership.c.name.in_(bindparam("names", expanding=True)))
    .with_for_update(read=True)
)


def check(connection: Connection, held: Mapping[str, int]) -> None:
    """Make sure, until the end of the caller's transaction, that `held` is still owned.

    Raises:
        LetGo: some of it is not.

    """
    found = {row[0]: row[1] for row in connection.execute(_EPOCHS, {"names": list(held)})}
    lost = [name for name, epoch in held.items() if found.get(name) != epoch]
    if lost:
        raise LetGo(lost)


class Watch:
    """Tells which owners seem to be gone: their beat stands still."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._looked_s = -lease_s
        self._seen: dict[str, tuple[int, int, float]] = {}

    def stale(self, rows: Iterable[Holding], now_s: float) -> set[str]:
        """Return the names of things whose owner gave no sign for the length of a lease.

        Time in which nobody could look, because the database was away, does not count.
        `now_s`: of a clock that never steps.
        """
        if now_s - self._looked_s > self._lease_s / 2:
            self._seen.clear()
        self._looked_s = now_s
        stale = set()
        for row in rows:
            known = self._seen.get(row.name)
            if known is None or known[:2] != (row.epoch, row.beat):
                self._seen[row.name] = row.epoch, row.beat, now_s
            elif row.owner is not None and now_s - known[2] >= self._lease_s:
                stale.add(row.name)
        return stale
