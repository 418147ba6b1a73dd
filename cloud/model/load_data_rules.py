"""Reading the rules of data, and finding what does not fit together in them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import Integer, MetaData, String, Table

from cloud.model.data_rule import DataRule, DataRules, Kept, Open, Step
from cloud.model.permissions import load_calls
from cloud.model.state_tables import state_metadata
from cloud.model.tables import log_metadata
from cloud.model.trust_tables import trust_metadata
from protocols.border import load_toml
from protocols.catalog.files import data_files
from protocols.errors import Fault, FixConfiguration

FOLDER = "data_rules"
METADATA: Mapping[str, MetaData] = {
    "log": log_metadata,
    "state": state_metadata,
    "trust": trust_metadata,
}
PSEUDONYM_CHARS = 26
"""See cloud/retention/pseudonyms.py."""


def load_data_rules(settings: Mapping[str, float], overlay: Path | None = None) -> DataRules:
    """Read the shipped rules and a site's own; `settings`: days by key of the settings file.

    Raises:
        FixConfiguration: with every fault.

    """
    faults: list[Fault] = []
    rules: list[DataRule] = []
    for path, _ in data_files(FOLDER, overlay):
        try:
            rule = load_toml(path, DataRule)
        except FixConfiguration as error:
            faults += error.faults
            continue
        rules.append(rule)
        if rule.id != path.stem:
            faults.append(Fault(str(path), "id", path.stem, rule.id))
        faults += [Fault(str(path), *words) for words in _faults_of(rule, settings)]
    faults += _doubles(rules)
    if faults:
        raise FixConfiguration(faults)
    return DataRules(tuple(rules), dict(settings))


def tables_of(rule: DataRule) -> dict[str, Table]:
    """Return the tables of a rule by name; those of the telemetry store are not SQL's."""
    found = {kept.name: _table(kept) for kept in rule.table}
    return {name: table for name, table in found.items() if table is not None}


def _table(kept: Kept) -> Table | None:
    metadata = METADATA.get(kept.database)
    return None if metadata is None else metadata.tables.get(kept.name)


def _doubles(rules: list[DataRule]) -> Iterator[Fault]:
    names = [(str(kept.database), kept.name, rule.id) for rule in rules for kept in rule.table]
    names += [("open data", one.id, rule.id) for rule in rules for one in rule.open]
    seen: dict[tuple[str, str], str] = {}
    for where, name, rule_id in names:
        if (where, name) in seen:
            yield Fault(FOLDER, f"{where} {name}", f"only {seen[where, name]}", rule_id)
        seen[where, name] = rule_id


Words = tuple[str, str, str]
"""Key, expected, found."""


def _faults_of(rule: DataRule, settings: Mapping[str, float]) -> Iterator[Words]:
    known_calls = load_calls()
    for call in rule.calls:
        if call not in known_calls:
            yield "calls", "calls of calls.toml", call
    tables = tables_of(rule)
    for kept in rule.table:
        if kept.database != "telemetry" and kept.name not in tables:
            yield f"table {kept.name}", f"a table of database {kept.database}", "none of that name"
        elif (table := tables.get(kept.name)) is not None:
            named = (*kept.personal, *kept.subjects)
            yield from _unknown(f"table {kept.name}", table, named)
            yield from _forgotten(rule, kept)
    for step in rule.step:
        yield from _step_faults(step, rule, settings)
    for one in rule.open:
        yield from _open_faults(one, rule)


def _forgotten(rule: DataRule, kept: Kept) -> Iterator[Words]:
    """Find what tells of a person and never ends."""
    steps = [step for step in rule.step if step.table == kept.name]
    ended = {column for step in steps for column in step.columns}
    if not any(step.do == "delete" for step in steps) and not rule.stays:
        for column in sorted(set(kept.personal) - ended):
            yield f"table {kept.name}", f"a step that ends {column}", "none"


def _step_faults(step: Step, rule: DataRule, settings: Mapping[str, float]) -> Iterator[Words]:
    key = f"step {step.do} {step.table}"
    if step.setting is not None and step.setting not in settings:
        yield key, f"a setting, one of {', '.join(sorted(settings))}", step.setting
    if step.setting is None and step.days == 0:
        yield key, "a term: days or setting", "neither"
    if (step.do == "delete") == bool(step.columns):
        yield key, "columns where it does not delete, and only there", repr(step.columns)
    if step.table not in {kept.name for kept in rule.table}:
        yield key, "a table of this rule", step.table
    table = tables_of(rule).get(step.table)
    if table is None:
        return
    yield from _unknown(key, table, (*step.columns, *step.into, *step.of))
    aged = table if not step.of else table.metadata.tables.get(next(iter(step.of.values())))
    if len(step.of) > 1 or aged is None:
        yield key, "of: one column and a table of the same database", str(dict(step.of))
        return
    yield from _unknown(key, aged, (step.since, *step.where))
    moment = aged.c.get(step.since)
    if moment is not None and not isinstance(moment.type, Integer):
        yield key, "since: a column of ms since 1970", step.since
    for name in step.columns:
        yield from _column_faults(key, table, step, name)


def _column_faults(key: str, table: Table, step: Step, name: str) -> Iterator[Words]:
    column = table.c.get(name)
    if column is None:
        return
    if step.do == "pseudonymise":
        impl = getattr(column.type, "impl", column.type)
        length = impl.length if isinstance(impl, String) else 0
        if length is not None and length < PSEUDONYM_CHARS:
            yield key, f"columns of text of {PSEUDONYM_CHARS} characters and more", name
    elif not column.nullable and name not in step.into:
        yield key, f"into: what {name} holds when it is empty", "nothing, and it takes no NULL"


def _open_faults(one: Open, rule: DataRule) -> Iterator[Words]:
    """Refuse to publish what tells of a person or names a single thing."""
    key, kept = f"open {one.id}", {kept.name: kept for kept in rule.table}.get(one.table)
    table = tables_of(rule).get(one.table)
    if kept is None or table is None:
        yield key, "a table of this rule", one.table
        return
    means = [name for mean in one.mean for name in (mean.since, mean.until)]
    yield from _unknown(key, table, (*(cell.column for cell in one.cell), *means))
    names = {column.name for column in table.primary_key} | set(kept.subjects)
    for cell in one.cell:
        if cell.column in kept.personal:
            yield key, "no column that tells of a person", cell.column
        if cell.coarse == "itself" and cell.column in names:
            yield key, "no column that names a single thing", cell.column
        if cell.coarse == "itself" and cell.column.endswith("_at"):
            yield key, "a moment only as its day", cell.column


def _unknown(key: str, table: Table, names: tuple[str, ...]) -> Iterator[Words]:
    for name in names:
        if name not in table.c:
            yield key, f"a column of {table.name}", name
