"""Random rows for every table that a rule of data speaks of, and what must become of them."""

import json
import random
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from sqlalchemy import Boolean, Connection, Float, Integer, LargeBinary, Table, insert, select

from cloud.model.data_rule import DAY_MS, DataRule, DataRules, Step
from cloud.model.database import Database
from cloud.model.load_data_rules import METADATA
from cloud.retention.pseudonyms import Pseudonyms

ASSETS = [f"elevator:{n:017}" for n in range(6)] + ["cylinder:JL2B0001234", "gateway:gw-1"]
GATEWAYS = [f"gw-{n}" for n in range(5)]
ORGANISATIONS = [f"firm-{n}" for n in range(6)]
NAMES = ["", "王五", "op-7", "张三 (admin)", "account:3", "pseudonym:me", "'; DROP TABLE scan; --"]
STATES = ["normal", "unacknowledged", "left", "refused", "active", "gone", "done", "stopped"]
STATES += ["running", "replaced", "rolled_back", "applied", "waiting"]
IDS_MAX = 40
IN_KEYS = ("alert", "credit_code", "word", "sha256", "asset_id", "key", "number")
"""Columns that are one of several in a key: made by the row's number."""

Row = dict[str, Any]
Content = dict[tuple[str, str], list[Row]]
"""Rows by (database, table)."""


def fill(
    databases: Mapping[str, Database], rules: DataRules, now_ms: int, seed: int, rows: int = 40
) -> Content:
    """Put random rows into all tables; return them."""
    rng = random.Random(seed)
    for name, table in _tables(databases):
        if table.name == "retention_run":
            continue
        made = [_row(table, number, now_ms, rng) for number in range(1, rows)]
        _place_on_the_edge(rules, table, made, now_ms)
        databases[name].write_now(partial(_insert, table=table, rows=made))
    return read_all(databases)


def _insert(connection: Connection, *, table: Table, rows: list[Row]) -> None:
    connection.execute(insert(table), rows)


def read_all(databases: Mapping[str, Database]) -> Content:
    """Read every row, in the order of keys."""
    return {
        (name, table.name): databases[name].read_now(partial(_select, table=table))
        for name, table in _tables(databases)
        if table.name != "retention_run"
    }


def _select(connection: Connection, *, table: Table) -> list[Row]:
    query = select(table).order_by(*table.primary_key)
    return [dict(row) for row in connection.execute(query).mappings()]


def expected(
    before: Content, rules: DataRules, now_ms: int, holds: Collection[str], key: Pseudonyms
) -> Content:
    """Tell row by row what a run at `now_ms` must leave, in the plainest way."""
    after: Content = {}
    for place, rows in before.items():
        rule = next(
            one for one in rules.rules if place in [(k.database, k.name) for k in one.table]
        )
        steps = [step for step in rule.step if step.table == place[1] and step.by == "job"]
        largest = max((tuple(row[k] for k in _keys(place)) for row in rows), default=())
        left = []
        for row in rows:
            newest = tuple(row[k] for k in _keys(place)) == largest
            due = [
                step
                for step in steps
                if _is_due(row, step, place, before, rules, now_ms)
                and not (step.newest_stays and newest)
                and not _on_hold(row, rule, place, holds)
                and not (place[1] in ("alarm", "incident") and row["open"] is not None)
            ]
            if not any(step.do == "delete" for step in due):
                left.append(_changed(row, due, rules, key))
        after[place] = left
    return after


def _is_due(
    row: Row, step: Step, place: tuple[str, str], before: Content, rules: DataRules, now_ms: int
) -> bool:
    for column, parent in step.of.items():
        (key,) = _keys((place[0], parent))
        of = [one for one in before[place[0], parent] if one[key] == row[column]]
        if not of:
            return False
        row = of[0]
    if any(row[column] not in wanted for column, wanted in step.where.items()):
        return False
    return row[step.since] is not None and row[step.since] < now_ms - rules.term_ms(step)


def _on_hold(row: Row, rule: DataRule, place: tuple[str, str], holds: Collection[str]) -> bool:
    kept = next(one for one in rule.table if one.name == place[1])
    for column, how in kept.subjects.items():
        if how == "asset_in_json":
            held = f"asset:{json.loads(row[column])['asset']}" in holds
        elif how == "code_in_json":
            codes = json.loads(row[column])
            held = any(f"asset:{one['scheme']}:{one['value']}" in holds for one in codes)
        else:
            held = f"{how}:{row[column]}" in holds
        if held:
            return True
    return False


def _changed(row: Row, due: list[Step], rules: DataRules, key: Pseudonyms) -> Row:
    row = dict(row)
    for step in due:
        for column in step.columns:
            if step.do == "empty":
                row[column] = step.into.get(column)
            elif row[column] and not _is_hex_pseudonym(row[column]):
                row[column] = key.of(row[column], row[step.since], rules.term_ms(step))
    return row


def _is_hex_pseudonym(text: str) -> bool:
    head, digits = text[:10], text[10:]
    return head == "pseudonym:" and len(digits) == 16 and set(digits) <= set("0123456789abcdef")


def _tables(databases: Mapping[str, Database]) -> list[tuple[str, Table]]:
    return [(name, table) for name in databases for table in METADATA[name].tables.values()]


def _keys(place: tuple[str, str]) -> list[str]:
    return [column.name for column in METADATA[place[0]].tables[place[1]].primary_key]


def _row(table: Table, number: int, now_ms: int, rng: random.Random) -> Row:
    return {
        column.name: None
        if column.nullable and rng.random() < 0.3
        else _value(table, column, number, now_ms, rng)
        for column in table.c
    }


def _value(table: Table, column: Any, number: int, now_ms: int, rng: random.Random) -> Any:
    """Return something fit for the column; keys and unique columns by the row's number."""
    by_name: dict[str, Callable[[], Any]] = {
        "state": lambda: rng.choice(STATES),
        "asset": lambda: _asset(table, number, rng),
        "gateway": lambda: rng.choice(GATEWAYS),
        "gateway_id": lambda: rng.choice(GATEWAYS),
        "organisation": lambda: rng.choice(ORGANISATIONS),
        "account": lambda: rng.randint(1, IDS_MAX),
        "rollout_id": lambda: number,
        "open": lambda: None if rng.random() < 0.7 and column.nullable else "y",
        "data": lambda: json.dumps({"asset": rng.choice(ASSETS)}, separators=(",", ":")),
        "codes": lambda: _codes(rng),
    }
    if isinstance(column.type, LargeBinary):
        return rng.randbytes(8)
    if isinstance(column.type, Float):
        return rng.random()
    name, whole = column.name, isinstance(column.type, Integer)
    single = len(table.primary_key) == 1 and column.primary_key
    if name in by_name and not (single or column.unique or (name == "organisation" and whole)):
        return by_name[name]()
    if name.endswith("_at") or name in ("until", "locked_until"):
        return now_ms - rng.randint(-30, 4_500) * DAY_MS + rng.randint(0, DAY_MS)
    if isinstance(column.type, Boolean):
        return rng.random() < 0.5
    if whole:
        return number
    if single or column.unique or column.primary_key or name in IN_KEYS:
        return f"{name[:4]}-{number}"
    length = getattr(column.type, "length", None) or 99
    return rng.choice(NAMES)[:length]


def _asset(table: Table, number: int, rng: random.Random) -> str:
    """Return one of a few; of a table that has each only once, one by the row's number."""
    once = table.name in ("out_of_service", "incident")
    return f"elevator:{number:017}" if once else rng.choice(ASSETS)


def _codes(rng: random.Random) -> str:
    scheme, _, value = rng.choice(ASSETS).partition(":")
    codes = [{"scheme": "tag_uid", "value": "04A1"}, {"scheme": scheme, "value": value}]
    return json.dumps(codes, separators=(",", ":"))


def _place_on_the_edge(rules: DataRules, table: Table, rows: list[Row], now_ms: int) -> None:
    """Let some rows be exactly of their term, one ms older, and one younger."""
    steps = [step for rule in rules.rules for step in rule.step if step.table == table.name]
    for number, step in enumerate(one for one in steps if not one.of):
        for offset, row in enumerate(rows[number * 3 : number * 3 + 3]):
            row[step.since] = now_ms - rules.term_ms(step) + offset - 1
            row.update({column: words[0] for column, words in step.where.items()})
