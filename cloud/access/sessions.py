"""Sessions of pages: a random token in a cookie, its hash and the rest kept here."""

import secrets
from collections.abc import Callable

import msgspec
from sqlalchemy import Connection, insert, select, update

from cloud.access.digest import digest_of
from cloud.model.account import OpenSession
from cloud.model.database import Database, Work
from cloud.model.people_tables import session
from protocols.clock import Clock

SESSION_IDLE_MS = 12 * 3600 * 1000
"""An open page asks every few seconds and so stays in: a screen on the wall never drops out."""
SESSION_MS = 30 * 24 * 3600 * 1000
SEEN_WRITTEN_EACH_MS = 10 * 60_000
COOKIE_CHARS_MAX = 128
SKEW_MS = 60_000


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A session as it is kept."""

    sha256: str
    account: int
    """0: opened by the administrator's token."""
    by: str = ""
    """Of such a one: what the person calls itself."""
    csrf: str
    second_factor: bool
    opened_at: int
    seen_at: int
    ended_at: int | None = None


class SessionBook:
    """All open sessions. Found from any thread, changed on the event loop."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._open: dict[str, Kept] = {}
        self._dirty: set[str] = set()
        self._read_at = 0

    async def load(self) -> None:
        """Read those that are open."""
        self._read_at = now_ms = self._clock.wall_ms()
        await self._database.read(lambda c: self._read(c, now_ms - SESSION_IDLE_MS))

    async def refresh(self) -> None:
        """Read what other processes opened and ended since the last call."""
        since_ms, self._read_at = self._read_at - SKEW_MS, self._clock.wall_ms()
        await self._database.read(lambda c: self._read(c, since_ms))

    async def flush(self) -> None:
        """Write when sessions were last seen, where it is worth it."""
        rows = [msgspec.structs.asdict(self._open[key]) for key in self._dirty if key in self._open]
        self._dirty.clear()
        if rows:
            await self._database.write(lambda c: _write_seen(c, rows))

    def make(self, account: int, *, by: str = "", second_factor: bool) -> tuple[str, Kept]:
        """Make a session up; returns its cookie, too. `opening` opens it."""
        cookie, now_ms = secrets.token_urlsafe(32), self._clock.wall_ms()
        kept = Kept(
            sha256=digest_of(cookie),
            account=account,
            by=by,
            csrf=secrets.token_urlsafe(24),
            second_factor=second_factor,
            opened_at=now_ms,
            seen_at=now_ms,
        )
        return cookie, kept

    def opening(self, kept: Kept) -> Work:
        """Return what opens a session inside another transaction."""
        row = msgspec.structs.asdict(kept)
        return lambda connection: connection.execute(insert(session).values(**row))

    def remember(self, kept: Kept) -> None:
        """Take in one that was opened."""
        self._open[kept.sha256] = kept

    def find(self, cookie: str) -> Kept | None:
        """Return the session of a cookie that is open and in time, and note that it was seen."""
        if not 0 < len(cookie) <= COOKIE_CHARS_MAX:
            return None
        key, now_ms = digest_of(cookie), self._clock.wall_ms()
        kept = self._open.get(key)
        if kept is None and self._database.shared:  # another process may have opened it just now
            kept = self._database.read_now(lambda c: _read_one(c, key))
            if kept is not None:
                self._open[key] = kept
        if kept is None or kept.ended_at is not None:
            return None
        idle_ms = now_ms - kept.seen_at
        if idle_ms >= SESSION_IDLE_MS or now_ms - kept.opened_at >= SESSION_MS:
            return None
        if idle_ms >= SEEN_WRITTEN_EACH_MS:
            kept = self._open[key] = msgspec.structs.replace(kept, seen_at=now_ms)
            self._dirty.add(key)
        return kept

    async def end(self, *, account: int, only: str | None = None, but: str | None = None) -> int:
        """End sessions of an account: all, `only` the one, or all `but` one (beginnings of ids)."""
        return await self._database.write(self.ending(account=account, only=only, but=but))

    def ending(
        self, *, account: int, only: str | None = None, but: str | None = None
    ) -> Callable[[Connection], int]:
        """Return what ends them inside another transaction, in memory, too, when it is their turn.

        What was refused before ends nobody's session; should the commit itself fail, somebody
        signs in once more.
        """
        now_ms = self._clock.wall_ms()

        def work(connection: Connection) -> int:
            found = [session.c.account == account, session.c.ended_at.is_(None)]
            if only is not None:
                found.append(session.c.sha256.startswith(only, autoescape=True))
            if but is not None:
                found.append(~session.c.sha256.startswith(but, autoescape=True))
            connection.execute(update(session).where(*found).values(ended_at=now_ms))
            return self._end_here(account, only, but, now_ms)

        return work

    def _end_here(self, account: int, only: str | None, but: str | None, now_ms: int) -> int:
        ended = 0
        for key, kept in list(self._open.items()):  # a copy: the loop may open one meanwhile
            named = key[:ID_CHARS]
            wanted = kept.account == account and kept.ended_at is None
            if wanted and (only is None or named == only) and (but is None or named != but):
                self._open[key] = msgspec.structs.replace(kept, ended_at=now_ms)
                ended += 1
        return ended

    def of(self, account: int, here: str = "") -> list[OpenSession]:
        """Return the open sessions of an account, the newest first."""
        now_ms = self._clock.wall_ms()
        found = [
            OpenSession(
                id=one.sha256[:ID_CHARS],
                opened_at=one.opened_at,
                seen_at=one.seen_at,
                here=one.sha256[:ID_CHARS] == here,
            )
            for one in self._open.values()
            if one.account == account
            and one.ended_at is None
            and now_ms - one.seen_at < SESSION_IDLE_MS
        ]
        return sorted(found, key=lambda one: -one.opened_at)

    def _read(self, connection: Connection, since_ms: int) -> None:
        changed = (session.c.seen_at >= since_ms) | (session.c.ended_at >= since_ms)
        for row in connection.execute(select(session).where(changed)).mappings():
            if row["sha256"] not in self._dirty:
                self._open[row["sha256"]] = Kept(**row)
        over = self._clock.wall_ms() - SESSION_MS
        self._open = {key: kept for key, kept in self._open.items() if kept.opened_at >= over}


ID_CHARS = 16
"""A session is named to its owner by so many characters of its hash."""


def _write_seen(connection: Connection, rows: list[dict[str, object]]) -> None:
    for row in rows:  # an ended one stays ended
        open_ = session.c.sha256 == row["sha256"], session.c.ended_at.is_(None)
        connection.execute(update(session).where(*open_).values(seen_at=row["seen_at"]))


def _read_one(connection: Connection, key: str) -> Kept | None:
    row = connection.execute(select(session).where(session.c.sha256 == key)).mappings().first()
    return None if row is None else Kept(**row)
