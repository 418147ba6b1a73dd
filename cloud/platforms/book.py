"""The platforms that are registered, their secrets and tokens."""

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from cloud.model.audit import Entry
from cloud.model.database import Database, Work, take_turn
from cloud.model.organisation import Organisation
from cloud.model.platform import (
    SCOPES,
    SEND,
    NewPlatform,
    Platform,
    PlatformChange,
    Token,
    UnknownSeen,
    clock_offset,
)
from cloud.model.platform_tables import (
    dialect_unknown,
    lift_platform,
    lift_platform_account,
    lift_platform_inbox,
    lift_platform_lift,
)
from cloud.model.principal import BY_CHARS_MAX, Granted, Principal, Scope
from cloud.model.visible import sees_organisation
from cloud.platforms.base import Failures, Noting
from cloud.platforms.tokens import GOOD_S, PREFIX, TokenBook, digest_of, new_token
from protocols.clock import Clock
from protocols.errors import RefuseInput
from protocols.lifts.dialect import Dialects

SECRET_PREFIX = "ps_"  # noqa: S105  # what a secret begins with, not one
PLATFORMS_MAX = 1_000
NO_SECRET = digest_of("")


class PlatformBook:
    """All platforms. `bearer` may be asked from any thread; changed on the event loop."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        dialects: Dialects,
        organisation: Callable[[str], Organisation | None],
        failures: Failures,
    ) -> None:
        self._database, self._clock = database, clock
        self.dialects, self._organisation = dialects, organisation
        self._tokens = TokenBook(database, clock)
        self._failures = failures
        self._rows: dict[str, Any] = {}

    async def refresh(self) -> None:
        """Read what this and other processes wrote."""
        await self._database.read(self._read)

    def bearer(self, token: str) -> Principal | None:
        """Return whose token it is, None when it is nobody's or no longer good."""
        issued = self._tokens.find(digest_of(token)) if token.startswith(PREFIX) else None
        row = self._row(issued.platform) if issued else None
        if issued is None or row is None or not self._is_active(row):
            return None
        own = Scope(organisations=frozenset({row.organisation}))
        return Principal(
            kind="platform",
            id=f"platform:{row.id}",
            by=row.name[:BY_CHARS_MAX],
            organisation=row.organisation,
            may=dict.fromkeys(issued.scope, own),
        )

    def known(self, platform_id: str) -> Platform | None:
        """Return an active platform at once, without its account."""
        row = self._row(platform_id)
        return self._platform(row._mapping) if row and self._is_active(row) else None  # noqa: SLF001

    async def find(self, scope: Scope) -> Sequence[Platform]:
        """Return the platforms of the organisations in scope, by id."""
        return await self._database.read(lambda c: self._find(c, scope))

    async def get(self, platform_id: str, scope: Scope) -> Platform:
        """Return one; RefuseInput `not_found`."""
        found = await self._database.read(lambda c: self._find(c, scope, platform_id))
        if not found:
            raise RefuseInput("not_found", f"no platform {platform_id[:40]!r}")
        return found[0]

    async def register(
        self, new: NewPlatform, granted: Granted, note: Noting
    ) -> tuple[Platform, str]:
        """Register one; returns its secret, too.

        Raises:
            RefuseInput: `not_found`: no such organisation in the scope; `unknown_dialect`,
                `name_taken`, `quota_reached`.

        """
        organisation = new.organisation or granted.principal.organisation or ""
        self._check_dialect(new.dialect, new.dialect_version)
        known, scope = self._organisation(organisation), granted.scope
        if known is None or not (scope.everything or organisation in scope.organisations):
            raise RefuseInput("not_found", f"no organisation {organisation[:40]!r}")
        secret, now_ms = _new_secret(), self._clock.wall_ms()
        row = {
            "id": new.id,
            "name": " ".join(new.name.split()),
            "organisation": organisation,
            "dialect": new.dialect,
            "dialect_version": new.dialect_version,
            "secret_sha256": digest_of(secret),
            "secret_at": now_ms,
            "state": "active",
            "created_at": now_ms,
            "updated_at": now_ms,
        }
        await self._write(lambda c: _add(c, row), note(f"platform:{new.id}"))
        return await self.get(new.id, scope), secret

    async def change(
        self, platform_id: str, asked: PlatformChange, granted: Granted, note: Noting
    ) -> Platform:
        """Change one; RefuseInput `not_found`, `unknown_dialect`, `finished`."""
        before = await self._active(platform_id, granted.scope)
        dialect = asked.dialect or before.dialect
        version = asked.dialect_version or before.dialect_version
        if asked.dialect or asked.dialect_version:
            self._check_dialect(dialect, version)
        fields = {"dialect": dialect, "dialect_version": version}
        if asked.name is not None:
            fields["name"] = " ".join(asked.name.split())
        await self._write(self._changing(platform_id, fields), note(f"platform:{platform_id}"))
        return await self.get(platform_id, granted.scope)

    async def rotate(
        self, platform_id: str, granted: Granted, note: Noting
    ) -> tuple[Platform, str]:
        """Give one a new secret; RefuseInput `not_found`, `finished`."""
        await self._active(platform_id, granted.scope)
        secret, now_ms = _new_secret(), self._clock.wall_ms()
        fields = {"secret_sha256": digest_of(secret), "secret_at": now_ms}
        await self._end(platform_id, fields, note)
        return await self.get(platform_id, granted.scope), secret

    async def revoke(self, platform_id: str, granted: Granted, note: Noting) -> Platform:
        """Shut one out for ever; RefuseInput `not_found`, `finished`."""
        await self._active(platform_id, granted.scope)
        await self._end(platform_id, {"secret_sha256": NO_SECRET, "state": "revoked"}, note)
        return await self.get(platform_id, granted.scope)

    async def unknown(self, scope: Scope, limit: int) -> Sequence[UnknownSeen]:
        """Return what dialects do not have, of the platforms in scope, the newest first."""
        table, mine = dialect_unknown, lift_platform
        sees = sees_organisation(scope, mine.c.organisation)
        query = select(table).join(mine, mine.c.id == table.c.platform).where(sees)
        query = query.order_by(table.c.last_at.desc(), table.c.raw).limit(limit)
        rows = await self._database.read(lambda c: c.execute(query).mappings().all())
        return [UnknownSeen(**row) for row in rows]

    async def declared(self, platform_id: str, asset: str) -> tuple[str, dict[str, Any]] | None:
        """Return what a platform declares of a lift, and by which operation; None: nothing."""
        table = lift_platform_lift
        query = select(table.c.basic_operation, table.c.basic)
        query = query.where(table.c.platform == platform_id, table.c.asset == asset)
        row = await self._database.read(lambda c: c.execute(query).first())
        if row is None or not row.basic_operation:
            return None
        return row.basic_operation, msgspec.json.decode(row.basic, type=dict[str, Any])

    async def token(
        self, client: str, secret: str, scope: str, *, address: str, noted: Callable[[Entry], Work]
    ) -> Token:
        """Give a platform a token."""
        row = self._prove(client, secret, address)
        asked = scope.split() or [SEND]
        if not set(asked) <= set(SCOPES):
            raise RefuseInput("invalid_scope", f"expected some of {' '.join(SCOPES)}")
        given = " ".join(dict.fromkeys(asked))
        token, digest = new_token(), ""
        digest = digest_of(token)
        await self._write(
            lambda c: self._tokens.give(c, digest, row.id, given),
            noted(self._entry(row, "token given")),
        )
        return Token(access_token=token, expires_in=GOOD_S, scope=given)

    async def end_token(
        self, client: str, secret: str, token: str, *, address: str, noted: Callable[[Entry], Work]
    ) -> None:
        """End a token of a platform (RFC 7009)."""
        row, digest = self._prove(client, secret, address), digest_of(token)
        await self._write(
            lambda c: self._tokens.end(c, row.id, digest), noted(self._entry(row, "token ended"))
        )

    def _prove(self, client: str, secret: str, address: str) -> Any:
        key, now_ms = f"{address} {client[:40]}", self._clock.boot_ms()
        if wait_ms := self._failures.wait_ms(key, now_ms):
            raise RefuseInput("too_many_attempts", str(-(-wait_ms // 1000)))
        row = self._row(client)
        kept = row.secret_sha256 if row else NO_SECRET
        right = hmac.compare_digest(digest_of(secret), kept)
        if row is None or not right or not self._is_active(row) or kept == NO_SECRET:
            self._failures.failed(key, now_ms)
            raise RefuseInput("invalid_client", "client id or secret is not right")
        return row

    def _entry(self, row: Any, what: str) -> Entry:
        return Entry(
            recorded_at=self._clock.wall_ms(),
            by=f"platform:{row.id}",
            organisation=row.organisation,
            call=SEND,
            subject=f"platform:{row.id}",
            detail={"what": what},
        )

    def _is_active(self, row: Any) -> bool:
        firm = self._organisation(row.organisation)
        return row.state == "active" and firm is not None and firm.state == "active"

    def _row(self, platform_id: str) -> Any:
        row = self._rows.get(platform_id)
        if row is None and self._database.shared:  # another process may have made it just now
            query = select(lift_platform).where(lift_platform.c.id == platform_id[:32])
            row = self._database.read_now(lambda c: c.execute(query).first())
        return row

    def _read(self, connection: Connection) -> None:
        self._rows = {row.id: row for row in connection.execute(select(lift_platform))}
        self._tokens.read(connection)

    async def _write(self, *work: Work) -> None:
        await self._database.write(*work)
        await self.refresh()

    async def _end(self, platform_id: str, fields: Mapping[str, Any], note: Noting) -> None:
        await self._write(
            self._changing(platform_id, fields),
            lambda c: self._tokens.end(c, platform_id),
            note(f"platform:{platform_id}"),
        )

    def _changing(self, platform_id: str, fields: Mapping[str, Any]) -> Work:
        change = update(lift_platform).where(lift_platform.c.id == platform_id)
        changed = change.values(**fields, updated_at=self._clock.wall_ms())
        return lambda connection: connection.execute(changed)

    async def _active(self, platform_id: str, scope: Scope) -> Platform:
        found = await self.get(platform_id, scope)
        if found.state != "active":
            raise RefuseInput("finished", f"the platform is {found.state}")
        return found

    def _check_dialect(self, dialect: str, version: str) -> None:
        if (dialect, version) not in self.dialects:
            known = ", ".join(sorted(one.name for one in self.dialects.values()))
            found = f"{dialect[:32]}@{version[:16]}"
            raise RefuseInput("unknown_dialect", f"expected one of {known}, found {found!r}")

    def _find(
        self, connection: Connection, scope: Scope, only: str | None = None
    ) -> list[Platform]:
        table, account = lift_platform, lift_platform_account
        query = select(table, account).outerjoin(account, account.c.platform == table.c.id)
        query = query.where(sees_organisation(scope, table.c.organisation)).order_by(table.c.id)
        if only is not None:
            query = query.where(table.c.id == only)
        lifts = _counts(connection, lift_platform_lift, only)
        waiting = _counts(connection, lift_platform_inbox, only)
        return [
            self._platform(row, lifts=lifts.get(row["id"], 0), waiting=waiting.get(row["id"], 0))
            for row in connection.execute(query).mappings()
        ]

    def _platform(self, row: Mapping[Any, Any], **more: Any) -> Platform:
        fields = {name: row[name] for name in Platform.__struct_fields__ if name in row}
        given = {name: value for name, value in fields.items() if value is not None}
        offsets = msgspec.json.decode(row.get("offsets") or "[]", type=list[int])
        return Platform(
            **given,
            **more,
            dialect_known=(row["dialect"], row["dialect_version"]) in self.dialects,
            clock_offset=clock_offset(offsets),
        )


def _add(connection: Connection, row: Mapping[str, Any]) -> None:
    take_turn(connection, "lift platforms")
    ids = connection.execute(select(lift_platform.c.id)).scalars().all()
    if row["id"] in ids:
        raise RefuseInput("name_taken", f"a platform is called {row['id']!r} already")
    if len(ids) >= PLATFORMS_MAX:
        raise RefuseInput("quota_reached", f"at most {PLATFORMS_MAX} platforms")
    connection.execute(insert(lift_platform), dict(row))
    fresh = {
        "platform": row["id"],
        "spool": secrets.token_hex(16),
        **dict.fromkeys(("alarm_seq", "data_seq", "taken", "duplicate", "refused", "placed"), 0),
        "offsets": "[]",
        "last_refusal": "",
    }
    connection.execute(insert(lift_platform_account), fresh)


def _counts(connection: Connection, table: Any, only: str | None) -> dict[str, int]:
    query = select(table.c.platform, func.count()).group_by(table.c.platform)
    if only is not None:
        query = query.where(table.c.platform == only)
    return {row[0]: row[1] for row in connection.execute(query)}


def _new_secret() -> str:
    return SECRET_PREFIX + secrets.token_urlsafe(32)
