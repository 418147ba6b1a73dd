"""The authority's own database: who is invited, which certificates there are, what was refused.

It lies beside the authority's key, one SQLite file, so that one copy of the folder keeps all that
belongs together. The service and the command line write to it at the same time.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, delete, false, func, select, update

from cloud.migrations import migrate
from cloud.model.database import Database
from cloud.model.refusal import Refusal
from cloud.model.rows import replace_rows
from cloud.model.trust_tables import certificate, invite, log_place, refusal

T = TypeVar("T")
REFUSALS_MAX = 1_000
"""Beyond it the rows that were quiet longest go; their number stays in the counters."""


class Invite(NamedTuple):
    """A row of the table of that name."""

    gateway: str
    key: bytes
    created_at: int
    expires_at: int
    tries_left: int
    serial: str | None


class Issued(NamedTuple):
    """A row of the table of certificates."""

    serial: str
    gateway: str
    public_key: str
    pem: str
    issued_at: int
    until: int
    renews: str | None
    revoked_at: int | None
    reason: str | None


def open_book(folder: Path) -> Database:
    """Open the database of an authority's folder; made if missing."""
    database = Database(f"sqlite:///{folder / 'trust.db'}", name="trust")
    migrate(database.engine, "trust")
    return database


def in_turn(work: Callable[[Connection], T]) -> Callable[[Connection], T]:
    """Let `work` read what it is going to change, with nobody else writing in between."""

    def whole(connection: Connection) -> T:
        connection.execute(update(invite).where(false()).values(tries_left=0))
        return work(connection)

    return whole


def read_invite(connection: Connection, gateway: str) -> Invite | None:
    """Return a gateway's invitation."""
    row = connection.execute(select(invite).where(invite.c.gateway == gateway)).first()
    return None if row is None else Invite(*row)


def read_invites(connection: Connection) -> list[Invite]:
    """Return all invitations, by gateway."""
    return [Invite(*row) for row in connection.execute(select(invite).order_by(invite.c.gateway))]


def write_invite(connection: Connection, one: Invite) -> None:
    """Write an invitation in place of an earlier one of the same gateway."""
    replace_rows(connection, invite, [one._asdict()])


def read_certificate(connection: Connection, serial: str) -> Issued | None:
    """Return a certificate."""
    row = connection.execute(select(certificate).where(certificate.c.serial == serial)).first()
    return None if row is None else Issued(*row)


def read_certificates(connection: Connection, gateway: str | None = None) -> list[Issued]:
    """Return the certificates of one or all gateways, newest first."""
    query = select(certificate).order_by(
        certificate.c.gateway, certificate.c.issued_at.desc(), certificate.c.until.desc()
    )
    if gateway is not None:
        query = query.where(certificate.c.gateway == gateway)
    return [Issued(*row) for row in connection.execute(query)]


def add_certificate(connection: Connection, one: Issued) -> None:
    """Write a new certificate."""
    replace_rows(connection, certificate, [one._asdict()])


def revoke(connection: Connection, serials: Iterable[str], at: int, reason: str) -> int:
    """Mark certificates as revoked, those that are not already; returns how many."""
    return connection.execute(
        update(certificate)
        .where(certificate.c.serial.in_(list(serials)), certificate.c.revoked_at.is_(None))
        .values(revoked_at=at, reason=reason)
    ).rowcount


def forget_certificates(connection: Connection, ended_before: int) -> None:
    """Drop certificates that are over and too old to be renewed."""
    connection.execute(delete(certificate).where(certificate.c.until < ended_before))


def add_refusals(connection: Connection, found: Sequence[Refusal]) -> None:
    """Count refusals onto the rows of the same kind, person and thing; keep the table bounded."""
    rows = []
    for one in found:
        where = [
            refusal.c.kind == one.kind,
            refusal.c.who == one.who,
            refusal.c.what == one.what,
        ]
        known = connection.execute(select(refusal).where(*where)).first()
        row = {
            "kind": one.kind,
            "who": one.who,
            "what": one.what,
            "first_at": one.first_at if known is None else known.first_at,
            "last_at": one.last_at if known is None else max(one.last_at, known.last_at),
            "count": one.count if known is None else one.count + known[-1],
        }
        rows.append(row)
    replace_rows(connection, refusal, rows)
    _bound_refusals(connection)


def read_refusals(connection: Connection, limit: int) -> list[Refusal]:
    """Return refusals, the latest first."""
    query = select(refusal).order_by(refusal.c.last_at.desc(), refusal.c.who).limit(limit)
    return [Refusal(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001


def read_place(connection: Connection, file: str) -> tuple[int, int] | None:
    """Return (inode, offset) up to which a log file was read."""
    row = connection.execute(select(log_place).where(log_place.c.file == file)).first()
    return None if row is None else (row.inode, row.offset)


def write_place(connection: Connection, file: str, inode: int, offset: int) -> None:
    """Remember how far a log file was read."""
    replace_rows(connection, log_place, [{"file": file, "inode": inode, "offset": offset}])


def _bound_refusals(connection: Connection) -> None:
    count = connection.execute(select(func.count()).select_from(refusal)).scalar_one()
    if count > REFUSALS_MAX:
        oldest = (
            connection.execute(
                select(refusal.c.last_at)
                .order_by(refusal.c.last_at)
                .offset(count - REFUSALS_MAX - 1)
            )
            .scalars()
            .first()
        )
        connection.execute(delete(refusal).where(refusal.c.last_at <= oldest))
