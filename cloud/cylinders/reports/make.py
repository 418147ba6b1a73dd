"""Makes messages of what is new in the registry, in the transaction in which its cursor moves.

Each has a key that depends on its step alone, so a registry that is read again makes none twice.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from cloud.cylinders.reports.mapping import From, MessageKind, Scalar, body_of, moment
from cloud.cylinders.rows import Row, find_row
from cloud.cylinders.steps import told_by
from cloud.model.cursors import load_positions, save_positions
from cloud.model.cylinder import SCHEME, FurtherCode
from cloud.model.cylinder_tables import cylinder_change
from cloud.model.fill_tables import cylinder_fill
from cloud.model.report_tables import cylinder_report
from cloud.model.tables import scan
from protocols.records import Code

NAME = "cylinder report"
"""Of the cursor; its partitions are `change`, `fill` and `scan`."""
ENTRIES_A_TURN = 200
SCANNED = ("receiving", "dispatching", "shipping", "dispatch", "delivery", "delivering")
"""Words of readers for steps of which a message is made, where a file asks for them."""
ON_SPOT = "inspected_on_spot"
_MADE_OF: dict[str, From] = {
    "registered": "registered",
    "inspected": "inspected",
    ON_SPOT: "inspected",
}
"""By word of the history; of an inspection on the spot the inspectors' office is the body."""
_KEYS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:suyuan:cylinder-report:")
_CODES = msgspec.json.Decoder(list[Code])
Facts = dict[str, Scalar]


class Step(NamedTuple):
    """What a message may be made of."""

    asset_id: str
    made_of: From
    key: str
    """Tells it from every other step."""
    facts: Facts


def make_reports(
    connection: Connection, kinds: Sequence[MessageKind], now_ms: int, count: Callable[[str], None]
) -> bool:
    """Make the messages of what is new, at most so much in one turn; tell whether there is more."""
    done = load_positions(connection, NAME)
    found = {
        "change": list(_changes(connection, done.get("change", 0))),
        "fill": list(_fills(connection, done.get("fill", 0))),
        "scan": list(_scans(connection, done.get("scan", 0))),
    }
    if not any(found.values()):
        return False
    for step in (step for steps in found.values() for _, one in steps for step in one):
        for kind in kinds:
            if kind.fits(step.made_of, step.facts):
                count(_insert(connection, kind, step, now_ms))
    done |= {name: steps[-1][0] for name, steps in found.items() if steps}
    save_positions(connection, NAME, done)
    return any(len(steps) == ENTRIES_A_TURN for steps in found.values())


def _insert(connection: Connection, kind: MessageKind, step: Step, now_ms: int) -> str:
    key = str(uuid.uuid5(_KEYS, f"{kind.id}/{step.key}"))
    fields, lacking = kind.message(step.facts)
    state = "lacking" if lacking else "waiting"
    row = {
        "key": key,
        "kind": kind.id,
        "version": kind.version,
        "asset_id": step.asset_id,
        "filler": str(step.facts.get("filler") or "")[:128],
        "body": body_of(kind, fields, key),
        "state": state,
        "made_at": now_ms,
        "tries": 0,
        "answer": ", ".join(lacking)[:500],
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement: Any = dialect.insert(cylinder_report)
    keeping = statement.values(row).on_conflict_do_nothing(index_elements=("key",))
    made = connection.execute(keeping.returning(cylinder_report.c.key)).first()
    return "known" if made is None else state


def _changes(connection: Connection, after: int) -> Iterator[tuple[int, list[Step]]]:
    entry = cylinder_change.c
    query = select(cylinder_change).where(entry.change > after).order_by(entry.change)
    for row in connection.execute(query.limit(ENTRIES_A_TURN)).mappings():
        made_of = _MADE_OF.get(row["what"])
        if made_of is None:
            yield row["change"], []
            continue
        told: Facts = {**_file(connection, row["asset_id"]), **_scalars(row["after"])}
        told |= {"at": moment(row["recorded_at"]), **_named(row["asset_id"])}
        if row["what"] == ON_SPOT:
            told |= {"inspection": "on_the_spot", "body": row["organisation"]}
        key = f"{row['asset_id']}/{row['change']}/{row['recorded_at']}"
        yield row["change"], [Step(row["asset_id"], made_of, key, told)]


def _fills(connection: Connection, after: int) -> Iterator[tuple[int, list[Step]]]:
    fill = cylinder_fill.c
    query = select(cylinder_fill).where(fill.change > after).order_by(fill.change)
    for row in connection.execute(query.limit(ENTRIES_A_TURN)).mappings():
        whole = row["state"] == "filled" and row["released_at"] is not None
        if not whole or not row["asset_id"] or row["time_unknown"]:
            yield row["change"], []
            continue
        told: Facts = {**_file(connection, row["asset_id"])}
        names = ("filler", "gas", "operator", "before_kg", "after_kg", "net_kg", "decision", "gate")
        told |= {name: row[name] for name in names}
        told |= {"at": moment(row["released_at"]), **_named(row["asset_id"])}
        told["ended"] = moment(row["ended_at"]) if row["ended_at"] else None
        key = f"{row['gateway']}/{row['gate']}/{row['opening']}"
        yield row["change"], [Step(row["asset_id"], "filled", key, told)]


def _scans(connection: Connection, after: int) -> Iterator[tuple[int, list[Step]]]:
    query = select(scan).where(scan.c.id > after).order_by(scan.c.id)
    for row in connection.execute(query.limit(ENTRIES_A_TURN)).mappings():
        if row["step"] not in SCANNED or row["time_unknown"]:
            yield row["id"], []
            continue
        yield row["id"], [_scanned(connection, row, one) for one in _cylinders(connection, row)]


def _scanned(connection: Connection, row: Row, asset_id: str) -> Step:
    told: Facts = {**_file(connection, asset_id), **_named(asset_id)}
    told |= {"at": moment(row["observed_at"]), "step": row["step"], "operator": row["operator"]}
    told |= {"reader": f"{row['gateway']}/{row['reader']}"}
    record = [str(row[name]) for name in ("gateway", "spool", "stream", "seq", "record_index")]
    return Step(asset_id, "scanned", "/".join([*record, asset_id]), told)


def _cylinders(connection: Connection, row: Row) -> list[str]:
    codes = [
        FurtherCode(one.scheme, one.value.upper() if one.scheme == "tag_uid" else one.value)
        for one in _CODES.decode(row["codes"])
        if len(one.value) <= 128
    ]
    found = list(told_by(connection, codes))
    return found if len(found) == 1 else []  # codes that disagree tell of nothing


def _file(connection: Connection, asset_id: str) -> Facts:
    row = find_row(connection, asset_id)
    names = ("filler", "kind", "gas", "maker", "serial_number", "manufactured_on", "tare_kg")
    more = ("standard", "water_capacity_l", "working_pressure_mpa", "use_registration")
    return {name: row[name] for name in (*names, *more)} if row is not None else {}


def _named(asset_id: str) -> Facts:
    return {"asset_id": asset_id, "code": asset_id.removeprefix(f"{SCHEME}:")}


def _scalars(text: str) -> Facts:
    told = msgspec.json.decode(text, type=dict[str, Any])
    plain = {name: one for name, one in told.items() if not isinstance(one, list | dict)}
    lists = {name: ", ".join(map(str, one)) for name, one in told.items() if isinstance(one, list)}
    return {**plain, **lists}
