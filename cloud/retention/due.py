"""Which rows a step concerns, as SQL, and what it does to some of them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    true,
    tuple_,
    update,
)

from cloud.model.data_rule import DataRule, Kept, Step
from cloud.model.incident_tables import incident
from cloud.model.load_data_rules import METADATA
from cloud.model.tables import alarm
from cloud.retention.holds import Holds, not_held
from cloud.retention.pseudonyms import Pseudonyms, is_pseudonym

Key = tuple[Any, ...]


class Due:
    """A step of a rule, bound to its table and to the moment before which rows are due."""

    def __init__(self, rule: DataRule, step: Step, *, term_ms: int, before: int, holds: Holds):
        self.rule, self.step, self.before = rule, step, before
        self.kept = next(one for one in rule.table if one.name == step.table)
        self._term_ms = term_ms
        self.table = METADATA[self.kept.database].tables[step.table]
        self._keys = list(self.table.primary_key)
        self._is_due = and_(true(), *_conditions(self.table, self.kept, step, before, holds))

    def count(self, connection: Connection) -> int:
        """Count the rows that are due."""
        query = select(func.count()).select_from(self.table).where(self._is_due)
        return int(connection.execute(query).scalar_one())

    def find(self, connection: Connection, most: int) -> list[Key]:
        """Return the keys of rows that are due, the oldest first."""
        order = [] if self.step.of else [self.table.c[self.step.since]]
        query = select(*self._keys).where(self._is_due).order_by(*order, *self._keys).limit(most)
        return [tuple(row) for row in connection.execute(query)]

    def carry_out(self, connection: Connection, keys: Sequence[Key], pseudonyms: Pseudonyms) -> int:
        """Do to these rows what the step says, to those that are still due; returns how many."""
        chosen = and_(self._among(keys), self._is_due)
        if self.step.do == "delete":
            return connection.execute(delete(self.table).where(chosen)).rowcount
        if self.step.do == "empty":
            into: dict[str, Any] = {name: self.step.into.get(name) for name in self.step.columns}
            return connection.execute(update(self.table).where(chosen).values(into)).rowcount
        return self._pseudonymise(connection, chosen, pseudonyms)

    def _pseudonymise(
        self, connection: Connection, chosen: ColumnElement[bool], pseudonyms: Pseudonyms
    ) -> int:
        columns = self.step.columns
        since = self.table.c[self.step.since].label("since_ms")
        named = [self.table.c[name] for name in columns]
        marks = [is_pseudonym(one).label(f"done_{one.name}") for one in named]
        query: Select[Any] = select(*self._keys, since, *named, *marks).where(chosen)
        rows = connection.execute(query.with_for_update()).mappings().all()
        changed = [
            {f"key_{one.name}": row[one.name] for one in self._keys}
            | {
                name: row[name]
                if not row[name] or row[f"done_{name}"]
                else pseudonyms.of(row[name], row["since_ms"], self._term_ms)
                for name in columns
            }
            for row in rows
        ]
        if changed:
            one_row = and_(*(key == bindparam(f"key_{key.name}") for key in self._keys))
            values: dict[str, Any] = {name: bindparam(name) for name in columns}
            connection.execute(update(self.table).where(one_row).values(values), changed)
        return len(changed)

    def _among(self, keys: Sequence[Key]) -> ColumnElement[bool]:
        if len(self._keys) == 1:
            return self._keys[0].in_([key[0] for key in keys])
        return tuple_(*self._keys).in_(keys)


def _conditions(
    table: Table, kept: Kept, step: Step, before: int, holds: Holds
) -> list[ColumnElement[bool]]:
    found = [*not_held(table, kept.subjects, holds)]
    if table in (alarm, incident):  # whatever a rule says: somebody may be waiting for help
        found.append(table.c.open.is_(None))
    if step.of:
        column, parent_name = next(iter(step.of.items()))
        parent = table.metadata.tables[parent_name]
        (parent_key,) = parent.primary_key
        aged = _aged(parent, step, before)
        found.append(exists(select(parent_key).where(parent_key == table.c[column], *aged)))
    else:
        found += _aged(table, step, before)
    if step.newest_stays:
        (key,) = table.primary_key
        same = table.alias()
        found.append(key < select(func.max(same.c[key.name])).scalar_subquery())
    if step.do == "pseudonymise":
        columns = [table.c[name] for name in step.columns]
        found.append(or_(*(and_(one != "", not_(is_pseudonym(one))) for one in columns)))
    elif step.do == "empty":
        empty = ((table.c[name], step.into.get(name)) for name in step.columns)
        found.append(or_(*(one.is_distinct_from(value) for one, value in empty)))
    return found


def _aged(table: Table, step: Step, before: int) -> list[ColumnElement[bool]]:
    held = [table.c[name].in_(values) for name, values in step.where.items()]
    return [table.c[step.since] < before, *held]
