"""Verifies the stores of a stopped service: every page, every group, every account."""

import sqlite3
from pathlib import Path

import msgspec
import zstandard
from sqlalchemy import Connection, func, inspect, select

from cloud.commands_audit import verify_audit
from cloud.ingest.account import read_accounts
from cloud.lifts.check import check_lifts
from cloud.model import tables
from cloud.model.database import Database
from cloud.model.logged import LoggedBatch, Positions
from cloud.settings import Settings, TelemetrySettings
from cloud.telemetry.open import open_store
from cloud.trust import signing
from cloud.trust.setup import has_authority
from protocols.clock import SystemClock
from protocols.errors import StopService, SuyuanError
from protocols.lifts.records import load_kinds


class Report(msgspec.Struct, frozen=True):
    """What was verified, a line each, and how many faults were found."""

    lines: list[str]
    faults: int


def check_stores(data: Path, settings: Settings) -> Report:
    """Verify the databases in `data`; nothing is changed but a damaged telemetry tail set aside.

    Where they are in PostgreSQL, that looks after its own pages; log and ledger are read all the
    same.
    """
    lines: list[str] = []
    faults = 0
    names = [] if settings.database.log_url else ["log.db", "state.db"]
    if has_authority(data):
        names.append("ca/trust.db")
    for name in names:
        found = _integrity(data / name)
        faults += found != "ok"
        lines.append(f"{name}: {found}")
    if faults:
        return Report(lines, faults)
    url = settings.database.log_url or f"sqlite:///{data / 'log.db'}"
    database = Database(url, name="check")
    try:
        heads, log_lines, log_faults = database.read_now(_check_log)
        lines += log_lines
        faults += log_faults
        lines.append(database.read_now(_check_accounts))
    finally:
        database.close()
    audit_lines, audit_faults = _check_audit(data, settings)
    lift_lines, lift_faults = _check_lifts(data, settings)
    line, telemetry_faults = _check_telemetry(data / "telemetry", heads, settings.telemetry)
    lines += [*audit_lines, *lift_lines, line]
    return Report(lines, faults + audit_faults + lift_faults + telemetry_faults)


def _integrity(file: Path) -> str:
    if not file.exists():
        return "missing"
    try:
        with sqlite3.connect(file) as connection:
            return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return str(error)


def _check_log(connection: Connection) -> tuple[Positions, list[str], int]:
    lines, faults, heads = [], 0, {}
    log = tables.log.c
    query = select(log.partition, func.min(log.position), func.max(log.position), func.count())
    for partition, low, high, count in connection.execute(query.group_by(log.partition)):
        heads[partition] = high
        holes = high - low + 1 - count
        damaged = _damaged_groups(connection, partition)
        faults += (holes > 0) + len(damaged)
        lines.append(
            f"log {partition}: positions {low} to {high}, {holes} missing, {len(damaged)} damaged"
        )
    return heads, lines, faults


def _damaged_groups(connection: Connection, partition: str) -> list[int]:
    damaged = []
    log = tables.log.c
    query = select(log.position, log.body).where(log.partition == partition)
    for position, body in connection.execution_options(yield_per=100).execute(query):
        try:
            batches = msgspec.msgpack.decode(
                zstandard.decompress(body), type=tuple[LoggedBatch, ...]
            )
            for batch in batches:
                batch.readings()
        except (zstandard.ZstdError, msgspec.DecodeError):
            damaged.append(position)
    return damaged


def _check_accounts(connection: Connection) -> str:
    return f"ledger: {len(read_accounts(connection, lambda _: True))} accounts readable"


def _check_audit(data: Path, settings: Settings) -> tuple[list[str], int]:
    url = settings.database.state_url or f"sqlite:///{data / 'state.db'}"
    database = Database(url, name="check")
    try:
        return verify_audit(database, data, settings)
    except StopService as error:
        return [str(error)], 1
    finally:
        database.close()


def _check_lifts(data: Path, settings: Settings) -> tuple[list[str], int]:
    """Look at the signed records of all lifts."""
    url = settings.database.state_url or f"sqlite:///{data / 'state.db'}"
    database = Database(url, name="check")
    try:
        if not database.read_now(lambda c: inspect(c).has_table("lift")):
            return ["lifts: none yet"], 0
        overlay = Path(settings.rules_overlay) if settings.rules_overlay else None
        kinds, keys = load_kinds(overlay), signing.known_keys(data)
        return database.read_now(lambda c: check_lifts(c, kinds, keys, signing.verify))
    except SuyuanError as error:
        return [f"lifts: {error}"], 1
    finally:
        database.close()


def _check_telemetry(
    folder: Path, heads: Positions, settings: TelemetrySettings
) -> tuple[str, int]:
    if not settings.url and not folder.exists():
        return "telemetry: nothing stored yet", 0
    try:
        store = open_store(
            settings.url,
            folder=folder,
            clock=SystemClock(),
            retention_days=settings.retention_days,
            memory_limit_mb=settings.memory_limit_mb,
        )
        positions = store.positions()
        store.close()
    except SuyuanError as error:
        return f"telemetry: {error}", 1
    ahead = [name for name, position in positions.items() if position > heads.get(name, position)]
    if ahead:
        return f"telemetry: ahead of the log in {', '.join(ahead)}", 1
    return f"telemetry: readable, applied {positions or 'nothing yet'}", 0
