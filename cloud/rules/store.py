"""What the rules remember across restarts, as rows of the state database."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, and_, bindparam, delete, select

from cloud.model import tables
from cloud.model.cursors import save_positions
from cloud.model.rows import replace_rows
from cloud.rules.evaluate import IDLE, AlertState, ProofState
from cloud.rules.judge import AlertKey
from cloud.rules.rule import Rule
from protocols.errors import StopService

RULES = "rules"
"""Cursor: groups up to it were judged, and what came of them is stored."""
VALUES = "rules_values"
"""Cursor: the stored values of all assets hold at least the groups up to it."""

REIGN = 2**32
"""The transactions of one process are counted from a multiple of this; never so many are made."""

RECORD_FAULTS = (
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
)
"""What a record that nobody foresaw may raise; it goes to the dead letters."""
_Stored = tuple[list[str | None], AlertState]
_COUNT = (
    select(tables.cursor.c.position)
    .where(tables.cursor.c.consumer == RULES, tables.cursor.c.partition == bindparam("name"))
    .with_for_update()
)
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[_Stored] = msgspec.msgpack.Decoder(_Stored)


def begin_reign(connection: Connection, name: str) -> int:
    """Take the place of whatever process judged before; return where commits count from now on."""
    reign = (_read_count(connection, name) // REIGN + 1) * REIGN
    save_positions(connection, RULES, {name: reign})
    return reign


def count_commit(connection: Connection, name: str, number: int) -> bool:
    """Count a transaction of the rules, the one after `number`, within itself.

    Returns:
        False: that very transaction was counted, so it is done already.

    Raises:
        StopService: others were counted: another process judges now.

    """
    found = _read_count(connection, name)
    if found == number + 1:
        return False
    if found != number:
        raise StopService(f"another process judges by the rules: commit {found}, not {number}")
    save_positions(connection, RULES, {name: number + 1})
    return True


def _read_count(connection: Connection, name: str) -> int:
    return connection.execute(_COUNT, {"name": name}).scalar() or 0


def load_values(connection: Connection) -> list[tuple[str, bytes]]:
    """Read (asset, packed values) of all assets."""
    query = select(tables.asset_state.c.asset, tables.asset_state.c.state)
    return [(row[0], row[1]) for row in connection.execute(query)]


def save_values(connection: Connection, packed: Sequence[tuple[str, bytes]]) -> None:
    """Write (asset, packed values)."""
    rows = [{"asset": asset, "state": state} for asset, state in packed]
    replace_rows(connection, tables.asset_state, rows)


def load_alerts(connection: Connection) -> list[tuple[AlertKey, bytes]]:
    """Read all alerts that are not idle; see `unpack_alert`."""
    table = tables.rule_state
    query = select(table.c.asset, table.c.rule, table.c.state)
    return [((row[0], row[1]), row[2]) for row in connection.execute(query)]


def save_alerts(connection: Connection, alerts: Mapping[AlertKey, bytes | None]) -> None:
    """Write packed alerts; None: idle, nothing to remember."""
    rows = [
        {"asset": asset, "rule": alert, "state": state}
        for (asset, alert), state in alerts.items()
        if state is not None
    ]
    _forget(connection, (key for key, state in alerts.items() if state is None))
    replace_rows(connection, tables.rule_state, rows)


def pack_alert(rule: Rule, state: AlertState) -> bytes:
    """Write an alert as bytes, its proofs by name."""
    return _encoder.encode(([proof.name for proof in rule.proofs], state))


def unpack_alert(rule: Rule, raw: bytes) -> AlertState:
    """Take an alert back; proofs that the rule has no longer are forgotten."""
    names, state = _decoder.decode(raw)
    known = [proof.name for proof in rule.proofs]
    if names == known:
        return state
    by_name: dict[str | None, ProofState] = dict(zip(names, state.proofs, strict=True))
    proofs = tuple(by_name.get(name, IDLE) for name in known)
    was = names[state.evidence] if state.firing else None
    evidence = known.index(was) if was in known else 0
    return msgspec.structs.replace(state, proofs=proofs, evidence=evidence if state.firing else -1)


def evidence_of(raw: bytes) -> tuple[bool, str | None]:
    """Tell of a packed alert, without its rule, whether it fires and by which proof."""
    names, state = _decoder.decode(raw)
    return state.firing, names[state.evidence] if state.firing else None


def _forget(connection: Connection, keys: Iterable[AlertKey]) -> None:
    table = tables.rule_state
    rows = [{"key_asset": asset, "key_rule": alert} for asset, alert in keys]
    if rows:
        matches = and_(
            table.c.asset == bindparam("key_asset"), table.c.rule == bindparam("key_rule")
        )
        connection.execute(delete(table).where(matches), rows)
