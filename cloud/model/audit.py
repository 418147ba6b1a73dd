"""The audit: what was done and what was looked at, each entry bound to the one before it.

An entry's hash is HMAC-SHA-256 over the hash before it and its own content, under a key that is
not in the database: who can write rows but has not the key cannot make an entry that fits.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from cloud.model.database import take_turn
from cloud.model.people_tables import audit
from cloud.model.principal import Granted

FIRST_HASH = "0" * 64
"""Stands before the first entry."""
TURN = "audit"
DETAIL_CHARS_MAX = 4_000


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did or looked at; no name of a person, no secret."""

    recorded_at: int
    """ms since 1970."""
    by: str
    """Id of the principal, such as `account:12`; `system` for what the service does itself."""
    organisation: str = ""
    call: str
    """As in calls.toml."""
    subject: str
    """What it was about: `asset:elevator:3110…`, `account:12`, `organisation:…`."""
    detail: Mapping[str, Any] = {}
    """What changed, as JSON."""


def entry_of(granted: Granted, now_ms: int, subject: str, **detail: Any) -> Entry:
    """Return the entry of a call that was granted."""
    return Entry(
        recorded_at=now_ms,
        by=granted.principal.id,
        organisation=granted.principal.organisation or "",
        call=granted.call,
        subject=subject,
        detail=detail,
    )


def append(connection: Connection, key: bytes, entry: Entry) -> None:
    """Write an entry inside the caller's transaction, after all that are committed."""
    take_turn(connection, TURN)
    newest = select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
    row = connection.execute(newest).first()
    seq, before = (row.seq + 1, row.hash) if row else (1, FIRST_HASH)
    fields = {
        "seq": seq,
        "recorded_at": entry.recorded_at,
        "by": entry.by[:64],
        "organisation": entry.organisation[:32],
        "call": entry.call[:48],
        "subject": entry.subject[:128],
        "detail": msgspec.json.encode(entry.detail, order="sorted").decode()[:DETAIL_CHARS_MAX],
    }
    connection.execute(insert(audit).values(**fields, hash=entry_hash(key, before, fields)))


def entry_hash(key: bytes, before: str, fields: Mapping[str, Any]) -> str:
    """Return the hash of an entry, by its columns but the hash, that follows the hash `before`."""
    names = ("seq", "recorded_at", "by", "organisation", "call", "subject", "detail")
    content = msgspec.json.encode([before, *(fields[name] for name in names)])
    return hmac.new(key, content, hashlib.sha256).hexdigest()
