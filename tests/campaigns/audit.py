"""What must hold after a campaign: every batch accounted for, every value and alarm once."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import msgspec
import zstandard
from sqlalchemy import select

from cloud.model import tables
from cloud.model.database import Database
from cloud.model.logged import LoggedBatch
from cloud.telemetry.duckdb import DuckDbStore
from edge.status import read_status
from protocols.clock import SystemClock
from tests.support.fleet import HandFleet
from tests.support.stack import Stack, wait_until


class Audit(msgspec.Struct):
    """The figures of a campaign; `faults` says what does not add up."""

    produced: int = 0
    stored: int = 0
    declared_lost: int = 0
    duplicates_dropped: int = 0
    unknown_tails: int = 0
    values_logged: int = 0
    values_stored: int = 0
    values_doubled: int = 0
    alarms: int = 0
    faults: list[str] = []

    def print(self) -> None:
        """Show the ledger."""
        for name, value in msgspec.structs.asdict(self).items():
            if name != "faults":
                print(f"  {name.replace('_', ' '):20} {value}")
        for fault in self.faults:
            print(f"  FAULT: {fault}")
        lost = self.produced - self.stored - self.declared_lost
        print(f"  lost without a word  {lost}")
        print(f"  doubled              {self.values_doubled}")


def edge_last_seqs(state: Path) -> dict[tuple[str, str], int]:
    """Read from the card the last seq that each (spool, stream) gave out."""
    with sqlite3.connect(f"file:{state / 'spool.db'}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT spool, stream, last_seq FROM spool_history").fetchall()
    return {(spool, stream): last for spool, stream, last in rows}


def wait_drained(stack: Stack, timeout_s: float = 90) -> None:
    """Wait until the gateway holds nothing that is not settled."""

    def drained() -> bool:
        status = read_status(stack.edge_state)
        return status is not None and status["running"] and not status["spool"]["waiting"]

    wait_until(drained, timeout_s=timeout_s, what="the gateway's card drained", every_s=0.2)


def audit_ledger(stack: Stack, audit: Audit, last_seqs: dict[tuple[str, str], int]) -> None:
    """Compare what the gateway gave out with what the cloud settled."""
    ledger = {(row["spool"], row["stream"]): row for row in stack.ledger()}
    for key, last in last_seqs.items():
        audit.produced += last
        row = ledger.get(key)
        if row is None:
            if last:
                audit.faults.append(f"{key}: {last} batches given out, none known to the cloud")
            continue
        audit.stored += row["batches"]
        audit.declared_lost += row["declared_lost"]
        audit.duplicates_dropped += row["duplicates"]
        audit.unknown_tails += row["unknown_tail"]
        if row["through"] != last:
            audit.faults.append(f"{key}: given out to {last}, settled through {row['through']}")


def audit_fleet(stack: Stack, audit: Audit, fleet: HandFleet) -> None:
    """The same for gateways made by hand."""
    for gateway in fleet.gateways:
        rows = stack.get(f"/api/v1/gateways/{gateway.id}")["spools"]
        audit.produced += gateway.produced
        audit.stored += sum(row["batches"] for row in rows)
        audit.declared_lost += sum(row["declared_lost"] for row in rows)
        audit.duplicates_dropped += sum(row["duplicates"] for row in rows)


def audit_values(data: Path, audit: Audit, log_url: str = "") -> None:
    """Compare log and telemetry value by value; the service must be stopped."""
    logged = _logged_values(log_url or f"sqlite:///{data / 'log.db'}")
    stored = _stored_values(data / "telemetry", logged)
    audit.values_logged = sum(logged.values())
    audit.values_stored = sum(stored.values())
    audit.values_doubled = sum(count - 1 for count in stored.values() if count > 1)
    if logged != stored:
        missing, extra = logged - stored, stored - logged
        audit.faults.append(
            f"telemetry differs from the log: {sum(missing.values())} missing, "
            f"{sum(extra.values())} too many; e.g. {[*missing, *extra][:3]}"
        )


Value = tuple[str, str, int]


def logged_batches(url: str) -> Iterator[LoggedBatch]:
    """Return all batches of a cloud's log; the service may be running."""
    database = Database(url, name="audit")
    bodies = database.read_now(lambda c: c.execute(select(tables.log.c.body)).scalars().all())
    database.close()
    for body in bodies:
        yield from msgspec.msgpack.decode(zstandard.decompress(body), type=tuple[LoggedBatch, ...])


def _logged_values(url: str) -> Counter[Value]:
    values: Counter[Value] = Counter()
    for one in chain.from_iterable(batch.readings() for batch in logged_batches(url)):
        for name, column in one.columns().items():
            values.update(
                (one.asset, name, at)
                for at, value in zip(one.at, column, strict=True)
                if value is not None
            )
    return values


def _stored_values(folder: Path, logged: Counter[Value]) -> Counter[Value]:
    values: Counter[Value] = Counter()
    store = DuckDbStore(folder, clock=SystemClock())
    for asset in {asset for asset, _, _ in logged}:
        start: int | None = 0
        while start is not None:
            series = store.readings(asset, [], start, 2**53, 100_000)
            for name, pairs in series.points.items():
                values.update((asset, name, at) for at, _ in pairs)
            start = series.next
    store.close()
    return values
