"""Handhelds: issued against a one-time code, renewed by themselves, revoked when one is lost.

A token is `dv_ID_SECRET`. Renewing it is safe to repeat: the token before stays good until the new
one was used, so an answer that was lost does no harm. Once it was used, the one before is nothing.
"""

import hmac
import secrets
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, or_, select, update

from cloud.access.digest import digest_of
from cloud.model.account import Handheld, Issued
from cloud.model.database import Database, Work
from cloud.model.people_tables import device
from protocols.clock import Clock
from protocols.errors import RefuseInput

PREFIX = "dv_"
DAY_MS = 24 * 3600 * 1000
ID_CHARS = 16
TOKEN_CHARS_MAX = 128
SEEN_WRITTEN_EACH_MS = 10 * 60_000
SKEW_MS = 60_000
"""So far the clocks of several processes may be apart."""


class Terms(msgspec.Struct, frozen=True):
    """For how long a handheld is trusted, as the settings say."""

    days: int = 90
    offline_grace_s: int = 3 * 86_400


TERMS = Terms()


class _Kept(Handheld, frozen=True, kw_only=True):
    sha256: str
    previous_sha256: str | None = None


class DeviceBook:
    """All handhelds. Found from any thread, changed on the event loop."""

    def __init__(self, database: Database, clock: Clock, terms: Terms) -> None:
        self._database, self._clock, self._terms = database, clock, terms
        self._devices: dict[str, _Kept] = {}
        self._dirty: dict[str, str] = {}  # hash of the token that was shown, by id
        self._read_at = 0

    async def refresh(self) -> None:
        """Read what other processes issued, renewed and revoked."""
        since_ms, self._read_at = self._read_at - SKEW_MS, self._clock.wall_ms()
        at = (device.c.renewed_at, device.c.seen_at, device.c.revoked_at)
        query = select(device).where(or_(*(column >= since_ms for column in at)))
        found = await self._database.read(lambda c: c.execute(query).mappings().all())
        unwritten = set(self._dirty)
        for row in found:
            if row["id"] not in unwritten:
                self._devices[row["id"]] = _from(row)

    async def flush(self) -> None:
        """Write which handhelds were seen, and that the tokens before theirs are nothing now."""
        dirty, now_ms = dict(self._dirty), self._clock.wall_ms()
        if not dirty:
            return

        def work(connection: Connection) -> None:
            for id_, sha256 in dirty.items():
                mine = device.c.id == id_
                connection.execute(update(device).where(mine).values(seen_at=now_ms))
                used = mine & (device.c.sha256 == sha256)
                connection.execute(update(device).where(used).values(previous_sha256=None))

        await self._database.write(work)
        for id_, sha256 in dirty.items():
            if self._dirty.get(id_) == sha256:
                del self._dirty[id_]

    def find(self, token: str) -> Handheld | None:
        """Return the handheld of a token that is in force, and note that it was seen.

        Raises:
            RefuseInput: `device_revoked`: it was reported lost, and should wipe what it holds.

        """
        id_, sha256 = _parts(token)
        kept = self._devices.get(id_)
        if id_ and self._database.shared and not _fits(kept, sha256):
            kept = self._read(id_)  # another process may have issued or renewed it just now
        if kept is None or not _fits(kept, sha256):
            return None
        if kept.revoked_at is not None:
            raise RefuseInput("device_revoked", "this handheld was revoked")
        now_ms = self._clock.wall_ms()
        if kept.expires_at <= now_ms:
            return None
        is_new = hmac.compare_digest(kept.sha256, sha256)
        first_use = is_new and kept.previous_sha256 is not None
        if first_use or now_ms - (kept.seen_at or 0) >= SEEN_WRITTEN_EACH_MS:
            before = None if is_new else kept.previous_sha256
            seen = msgspec.structs.replace(kept, seen_at=now_ms, previous_sha256=before)
            self._devices[id_], self._dirty[id_] = seen, sha256
        return kept

    def all(self) -> list[Handheld]:
        """Return all, the newest first."""
        found = sorted(self._devices.values(), key=lambda one: (-one.issued_at, one.id))
        return [_shown(one) for one in found]

    async def issue(
        self, *, name: str, account: int, organisation: str, device_id: str, also: list[Work]
    ) -> Issued:
        """Issue one; `also` may refuse it, as when the code is not good."""
        now_ms, secret = self._clock.wall_ms(), secrets.token_urlsafe(32)
        token = f"{PREFIX}{device_id}_{secret}"
        kept = _Kept(
            id=device_id,
            name=name,
            account=account,
            organisation=organisation,
            issued_at=now_ms,
            renewed_at=now_ms,
            expires_at=now_ms + self._terms.days * DAY_MS,
            sha256=digest_of(token),
        )
        row = msgspec.structs.asdict(kept)
        await self._database.write(lambda c: c.execute(insert(device).values(**row)), *also)
        self._devices[kept.id] = kept
        return self._told(kept, token)

    async def renew(self, token: str) -> Issued:
        """Give a handheld its next token. Errors of `find`; `no_token` for one not in force."""
        if self.find(token) is None:
            raise RefuseInput("no_token", "the token is not known here")
        id_, sha256 = _parts(token)
        new, now_ms = f"{PREFIX}{id_}_{secrets.token_urlsafe(32)}", self._clock.wall_ms()

        def work(connection: Connection) -> _Kept:
            query = select(device).where(device.c.id == id_).with_for_update()
            kept = _from(connection.execute(query).mappings().one())
            if kept.revoked_at is not None or not _fits(kept, sha256):
                raise RefuseInput("no_token", "the token is not known here")
            after: dict[str, Any] = {
                "sha256": digest_of(new),
                "previous_sha256": sha256,
                "renewed_at": now_ms,
                "seen_at": now_ms,
                "expires_at": now_ms + self._terms.days * DAY_MS,
            }
            connection.execute(update(device).where(device.c.id == id_).values(**after))
            return msgspec.structs.replace(kept, **after)

        kept = await self._database.write(work)
        self._dirty.pop(id_, None)
        self._devices[id_] = kept
        return self._told(kept, new)

    async def revoke(self, device_id: str, by: str, *also: Work) -> Handheld:
        """Revoke one, at once; one that was revoked stays as it is. RefuseInput `not_found`."""
        kept = self._devices.get(device_id)
        if kept is None:
            raise RefuseInput("not_found", f"no handheld {device_id[:32]!r}")
        now_ms, here = self._clock.wall_ms(), device.c.id == device_id
        change = update(device).where(here, device.c.revoked_at.is_(None))
        revoking = change.values(revoked_at=now_ms, revoked_by=by)
        await self._database.write(lambda c: c.execute(revoking), *also)
        if kept.revoked_at is None:
            kept = msgspec.structs.replace(
                self._devices[device_id], revoked_at=now_ms, revoked_by=by
            )
            self._devices[device_id] = kept
        return _shown(kept)

    def _read(self, id_: str) -> _Kept | None:
        query = select(device).where(device.c.id == id_)
        row = self._database.read_now(lambda c: c.execute(query).mappings().first())
        if row is None:
            return None
        kept = _from(row)
        if self._dirty.get(id_) == kept.sha256:  # used here, which is not written yet
            kept = msgspec.structs.replace(kept, previous_sha256=None)
        self._devices[id_] = kept
        return kept

    def _told(self, kept: _Kept, token: str) -> Issued:
        return Issued(
            id=kept.id,
            token=token,
            expires_at=kept.expires_at,
            renew_at=kept.renewed_at + self._terms.days * DAY_MS // 2,
            offline_grace_s=self._terms.offline_grace_s,
        )


def new_device_id() -> str:
    """Make an id up."""
    return secrets.token_hex(ID_CHARS // 2)


def _fits(kept: _Kept | None, sha256: str) -> bool:
    """Tell whether it is the hash of the token, or of the one before that still holds."""
    if kept is None:
        return False
    previous = kept.previous_sha256 or ""
    return hmac.compare_digest(kept.sha256, sha256) or hmac.compare_digest(previous, sha256)


def _parts(token: str) -> tuple[str, str]:
    """Return id and hash; an empty id for what is no token of a handheld."""
    if not token.startswith(PREFIX) or len(token) > TOKEN_CHARS_MAX or not token.isascii():
        return "", ""
    return token.removeprefix(PREFIX)[:ID_CHARS], digest_of(token)


def _shown(kept: _Kept) -> Handheld:
    """Return it without what it is proven by."""
    return Handheld(**{name: getattr(kept, name) for name in Handheld.__struct_fields__})


def _from(row: Any) -> _Kept:
    return _Kept(**{name: row[name] for name in _Kept.__struct_fields__})
