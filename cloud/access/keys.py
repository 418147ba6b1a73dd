"""API keys: of programs that act for an account, with no more than some of its calls."""

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from cloud.access.digest import digest_of
from cloud.model.account import ApiKey
from cloud.model.database import Database, Work
from cloud.model.people_tables import api_key
from protocols.clock import Clock
from protocols.errors import RefuseInput

PREFIX = "sk_"
DAY_MS = 24 * 3600 * 1000
DAYS_MAX = 400
USED_WRITTEN_EACH_MS = 3600 * 1000


class KeyBook:
    """All keys. Found from any thread, changed on the event loop."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._keys: dict[str, ApiKey] = {}  # by SHA-256
        self._used: dict[int, int] = {}

    async def load(self) -> None:
        """Read all that were not revoked."""
        await self._database.read(self._read)

    async def refresh(self) -> None:
        """Read what other processes made and revoked."""
        await self._database.read(self._read)

    async def flush(self) -> None:
        """Write when keys were last used, where it is worth it."""
        used, self._used = self._used, {}
        if used:
            await self._database.write(lambda c: _write_used(c, used))

    def find(self, token: str) -> ApiKey | None:
        """Return the key of a token that is in force."""
        if not token.startswith(PREFIX):
            return None
        digest, now_ms = digest_of(token), self._clock.wall_ms()
        key = self._keys.get(digest)
        if key is None and self._database.shared:  # another process may have made it just now
            key = self._database.read_now(lambda c: _read_one(c, digest))
            if key is not None:
                self._keys[digest] = key
        if key is None or key.revoked_at is not None or key.expires_at <= now_ms:
            return None
        if now_ms - (self._used.get(key.id) or key.last_used_at or 0) > USED_WRITTEN_EACH_MS:
            self._used[key.id] = now_ms
        return key

    def of(self, organisation: str | None) -> list[ApiKey]:
        """Return the keys of an organisation, or all, by id."""
        found = [one for one in self._keys.values() if organisation in (None, one.organisation)]
        return sorted(found, key=lambda one: one.id)

    async def make(
        self,
        *,
        name: str,
        account: int,
        organisation: str,
        calls: Sequence[str],
        days: int,
        room: Work,
        note: Callable[[int], Work],
    ) -> tuple[str, ApiKey]:
        """Make a key if there is room; returns its token, too, which is shown once, kept nowhere.

        `note` is told the key's id, and comes last in the transaction.
        """
        token, now_ms = PREFIX + secrets.token_urlsafe(32), self._clock.wall_ms()
        row: dict[str, Any] = {
            "name": name,
            "account": account,
            "organisation": organisation,
            "calls": msgspec.json.encode(list(calls)).decode(),
            "created_at": now_ms,
            "expires_at": now_ms + days * DAY_MS,
        }

        def work(connection: Connection) -> int:
            made = connection.execute(insert(api_key).values(sha256=digest_of(token), **row))
            key_id = int(made.inserted_primary_key[0])  # type: ignore[index]  # an insert has one
            for more in (room, note(key_id)):
                more(connection)
            return key_id

        key_id = await self._database.write(work)
        key = ApiKey(**(row | {"id": key_id, "calls": tuple(calls)}))
        self._keys[digest_of(token)] = key
        return token, key

    async def revoke(self, key_id: int, *, also: Sequence[Work]) -> ApiKey:
        """Revoke a key, at once. RefuseInput `not_found`."""
        found = [(digest, key) for digest, key in self._keys.items() if key.id == key_id]
        if not found:
            raise RefuseInput("not_found", f"no key {key_id}")
        digest, key = found[0]
        now_ms = self._clock.wall_ms()
        change = update(api_key).where(api_key.c.id == key_id, api_key.c.revoked_at.is_(None))
        await self._database.write(lambda c: c.execute(change.values(revoked_at=now_ms)), *also)
        revoked = msgspec.structs.replace(key, revoked_at=key.revoked_at or now_ms)
        self._keys[digest] = revoked
        return revoked

    def _read(self, connection: Connection) -> None:
        recent = self._clock.wall_ms() - DAYS_MAX * DAY_MS
        query = select(api_key).where(api_key.c.created_at >= recent)
        self._keys = {row["sha256"]: _from(row) for row in connection.execute(query).mappings()}


def _write_used(connection: Connection, used: dict[int, int]) -> None:
    for key_id, at in used.items():
        change = update(api_key).where(api_key.c.id == key_id)
        connection.execute(change.values(last_used_at=at))


def _read_one(connection: Connection, digest: str) -> ApiKey | None:
    query = select(api_key).where(api_key.c.sha256 == digest)
    row = connection.execute(query).mappings().first()
    return None if row is None else _from(row)


def _from(row: Any) -> ApiKey:
    fields = {name: row[name] for name in ApiKey.__struct_fields__}
    return ApiKey(**(fields | {"calls": tuple(msgspec.json.decode(row["calls"]))}))
