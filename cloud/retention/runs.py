"""Runs as rows: claimed by one process at a time, kept up with each slice, read for people."""

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from cloud.model.database import take_turn
from cloud.model.people_tables import retention_run
from cloud.model.retention import RetentionRun, StepReport
from protocols.errors import SuyuanError

TURN = "retention"
_report = msgspec.json.Decoder(tuple[StepReport, ...])


class TakenOver(SuyuanError):
    """Another process carries the run out now: leave it alone."""


def last_run(connection: Connection) -> RetentionRun | None:
    """Return the newest run."""
    return next(iter(read_runs(connection, 1)), None)


def read_runs(connection: Connection, limit: int) -> list[RetentionRun]:
    """Return runs, newest first."""
    query = select(retention_run).order_by(retention_run.c.id.desc()).limit(limit)
    return [_run(row) for row in connection.execute(query)]


def claim(connection: Connection, runner: str, now_ms: int) -> RetentionRun:
    """Begin a run, or go on with one that did not end; whoever carried it out notices."""
    take_turn(connection, TURN)
    table, last = retention_run, last_run(connection)
    if last is not None and not last.ended_at:
        mine = update(table).where(table.c.id == last.id).values(runner=runner)
        connection.execute(mine)
        return last
    row = {"started_at": now_ms, "ended_at": 0, "runner": runner, "report": "[]"}
    result = connection.execute(insert(table).values(row))
    run_id = int(result.inserted_primary_key[0])  # type: ignore[index]  # an insert has one
    return RetentionRun(id=run_id, started_at=now_ms, ended_at=0, report=())


def save(connection: Connection, run: RetentionRun, runner: str) -> None:
    """Write how far a run is.

    Raises:
        TakenOver: it is no longer this runner's.

    """
    table = retention_run
    mine = update(table).where(table.c.id == run.id, table.c.runner == runner)
    report = msgspec.json.encode(run.report).decode()
    if not connection.execute(mine.values(ended_at=run.ended_at, report=report)).rowcount:
        raise TakenOver(f"run {run.id} of the retention job was taken over by another process")


def _run(row: Row[tuple[object, ...]]) -> RetentionRun:
    return RetentionRun(
        id=row.id,
        started_at=row.started_at,
        ended_at=row.ended_at,
        report=_report.decode(row.report),
    )
