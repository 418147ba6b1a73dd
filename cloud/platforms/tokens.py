"""Access tokens of platforms (RFC 6749, 4.4): opaque, short-lived, found by their digest."""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from cloud.model.database import Database
from cloud.model.platform_tables import lift_platform_token as table
from protocols.clock import Clock

PREFIX = "pt_"
GOOD_S = 3600
TOKENS_MAX = 100
"""Good ones of a platform at a time; the oldest ends when one more is given."""


class Issued(msgspec.Struct, frozen=True):
    """A token as it is kept."""

    platform: str
    scope: tuple[str, ...]
    expires_at: int
    revoked_at: int | None = None


class TokenBook:
    """All tokens that may still be good. Found from any thread, changed on the event loop."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._tokens: dict[str, Issued] = {}

    def read(self, connection: Connection) -> None:
        """Read what this and other processes gave and ended."""
        good = select(table).where(table.c.expires_at > self._clock.wall_ms())
        self._tokens = {row["sha256"]: _from(row) for row in connection.execute(good).mappings()}

    def find(self, digest: str) -> Issued | None:
        """Return a token that is good, by its digest."""
        one = self._tokens.get(digest)
        if one is None and self._database.shared:  # another process may have given it just now
            one = self._database.read_now(lambda c: _one(c, digest))
            if one is not None:
                self._tokens[digest] = one
        if one is None or one.revoked_at is not None or one.expires_at <= self._clock.wall_ms():
            return None
        return one

    def give(self, connection: Connection, digest: str, platform: str, scope: str) -> int:
        """Keep a new one inside the caller's transaction; returns when it expires."""
        now_ms = self._clock.wall_ms()
        row: dict[str, Any] = {
            "sha256": digest,
            "platform": platform,
            "scope": scope,
            "issued_at": now_ms,
            "expires_at": now_ms + GOOD_S * 1000,
        }
        good = (
            table.c.platform == platform,
            table.c.expires_at > now_ms,
            table.c.revoked_at.is_(None),
        )
        newest = select(table.c.sha256).where(*good).order_by(table.c.issued_at.desc())
        beyond = newest.offset(TOKENS_MAX - 1)
        for sha256 in connection.execute(beyond).scalars().all():
            self.end(connection, platform, sha256)
        connection.execute(insert(table), row)
        return int(row["expires_at"])

    def end(self, connection: Connection, platform: str, digest: str | None = None) -> None:
        """End one token of a platform, or all, inside the caller's transaction."""
        change = update(table).where(table.c.platform == platform, table.c.revoked_at.is_(None))
        if digest is not None:
            change = change.where(table.c.sha256 == digest)
        connection.execute(change.values(revoked_at=self._clock.wall_ms()))


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a random secret, in hexadecimal; it has bits enough without salt."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_token() -> str:
    """Make one."""
    return PREFIX + secrets.token_urlsafe(32)


def _one(connection: Connection, digest: str) -> Issued | None:
    row = connection.execute(select(table).where(table.c.sha256 == digest)).mappings().first()
    return None if row is None else _from(row)


def _from(row: Mapping[Any, Any]) -> Issued:
    return Issued(
        row["platform"], tuple(row["scope"].split()), row["expires_at"], row["revoked_at"]
    )
