"""Rows of capture jobs."""

from collections.abc import Sequence
from typing import Any

import msgspec
import zstandard
from sqlalchemy import Connection, Row, Select, func, insert, select, update

from cloud.model.principal import Scope
from cloud.model.trace_tables import trace_job as table
from cloud.model.visible import sees_organisation
from cloud.trace.base import FAULTS_MAX, Behaviour, Job
from cloud.trace.exchange.base import SENDER
from protocols.epcis.faults import CaptureFault

_LEVEL = 3


class Superseded(Exception):
    """The job has gone on, or has ended, elsewhere: what was to be done for it must not be."""


class Waiting(msgspec.Struct, frozen=True):
    """A job that has not ended."""

    number: int
    by: str
    organisation: str
    behaviour: Behaviour
    created_at_ms: int
    media_type: str
    done: int
    restarts: int
    document: bytes

    @property
    def sender(self) -> str:
        """By whose tolerances it is read: a partner's, otherwise an organisation's."""
        return self.by if self.by.startswith(SENDER) else self.organisation


class Progress(msgspec.Struct, kw_only=True):
    """How far a job has come; it only grows."""

    done: int = 0
    """Events looked at, from the start of the document."""
    stored: int = 0
    duplicates: int = 0
    refused: int = 0
    success: bool = True
    faults: list[CaptureFault] = []


def insert_job(connection: Connection, job: Job, media_type: str, document: bytes) -> None:
    """Write a new job and its document."""
    row = {
        "capture_id": job.capture_id,
        "by": job.by,
        "organisation": job.organisation,
        "behaviour": job.behaviour,
        "created_at_ms": job.created_at_ms,
        "success": True,
        "done": 0,
        "stored": 0,
        "duplicates": 0,
        "refused": 0,
        "faults": "[]",
        "restarts": 0,
        "media_type": media_type,
        "document": zstandard.compress(document, _LEVEL),
    }
    connection.execute(insert(table).values(row))


def count_waiting(connection: Connection, organisation: str) -> int:
    """Return how many jobs of an organisation have not ended."""
    here = (table.c.ended_at_ms.is_(None), table.c.organisation == organisation)
    return connection.scalar(select(func.count()).select_from(table).where(*here)) or 0


def note_restart(connection: Connection) -> None:
    """Count that a service has started while a job, the oldest that waits, was under way."""
    oldest = select(func.min(table.c.job)).where(table.c.ended_at_ms.is_(None)).scalar_subquery()
    change = update(table).where(table.c.job == oldest)
    connection.execute(change.values(restarts=table.c.restarts + 1))


def first_waiting(connection: Connection, after: int = 0) -> Waiting | None:
    """Return the oldest job that has not ended, of those behind number `after`."""
    waits = (table.c.ended_at_ms.is_(None), table.c.job > after)
    query = select(table).where(*waits).order_by(table.c.job).limit(1)
    row = connection.execute(query).first()
    if row is None:
        return None
    return Waiting(
        row.job,
        row.by,
        row.organisation,
        row.behaviour,
        row.created_at_ms,
        row.media_type,
        row.done,
        row.restarts,
        zstandard.decompress(row.document),
    )


def advance(
    connection: Connection, job: Waiting, seen: int, to: Progress, *, ended_at_ms: int | None
) -> None:
    """Write how far a job has come, and where it has ended forget its document.

    Args:
        connection: of the transaction that stores what it tells of.
        job: as it was taken up.
        seen: how many events were looked at before.
        to: what is true with this transaction.
        ended_at_ms: None: it goes on.

    Raises:
        Superseded: another has brought it further meanwhile.

    """
    here = (table.c.job == job.number, table.c.done == seen, table.c.ended_at_ms.is_(None))
    values: dict[str, Any] = {
        "done": to.done,
        "stored": to.stored,
        "duplicates": to.duplicates,
        "refused": to.refused,
        "success": to.success,
        "faults": msgspec.json.encode(_kept(to.faults)).decode(),
        "ended_at_ms": ended_at_ms,
    }
    if ended_at_ms is not None:
        values["document"] = None
    if connection.execute(update(table).where(*here).values(values)).rowcount != 1:
        raise Superseded


def _kept(faults: Sequence[CaptureFault]) -> list[CaptureFault]:
    """Return what is kept of them: errors before warnings, each in the document's order."""
    return sorted(faults, key=lambda one: one.severity == "warning")[:FAULTS_MAX]


def progress_of(connection: Connection, job: Waiting) -> Progress:
    """Return how far a job had come."""
    row = connection.execute(select(table).where(table.c.job == job.number)).one()
    return Progress(
        done=row.done,
        stored=row.stored,
        duplicates=row.duplicates,
        refused=row.refused,
        success=row.success,
        faults=msgspec.json.decode(row.faults, type=list[CaptureFault]),
    )


def find_job(connection: Connection, capture_id: str, scope: Scope) -> Job | None:
    """Return a job within the scope."""
    row = connection.execute(_seen(scope).where(table.c.capture_id == capture_id)).first()
    return _job(row) if row is not None else None


def list_jobs(
    connection: Connection, scope: Scope, before: int | None, limit: int
) -> list[tuple[int, Job]]:
    """Return jobs and their numbers, the newest first."""
    query = _seen(scope).order_by(table.c.job.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.job < before)
    return [(row.job, _job(row)) for row in connection.execute(query)]


def _seen(scope: Scope) -> Select[Any]:
    columns = [column for column in table.c if column.name != "document"]
    return select(*columns).where(sees_organisation(scope, table.c.organisation))


def _job(row: Row[Any]) -> Job:
    return Job(
        capture_id=row.capture_id,
        by=row.by,
        organisation=row.organisation,
        behaviour=row.behaviour,
        created_at_ms=row.created_at_ms,
        ended_at_ms=row.ended_at_ms,
        success=row.success,
        stored=row.stored,
        duplicates=row.duplicates,
        refused=row.refused,
        faults=msgspec.json.decode(row.faults),
    )
