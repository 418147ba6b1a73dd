"""Tokens and sessions.

A token is kept as its SHA-256 only. A session is a signed cookie: nothing of it is kept here but
the secret that signs it, so it survives a restart, and it ends with the token that opened it.
"""

import hashlib
import hmac
import logging
import secrets
from pathlib import Path

import msgspec
from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import Connection, delete, insert, select

from cloud.access.limiter import FailureLimiter
from cloud.model import tables
from cloud.model.database import Database, take_turn
from cloud.model.permissions import administrator
from cloud.model.principal import Principal
from cloud.model.session import Session
from protocols.clock import Clock
from protocols.errors import RefuseInput

ADMIN = "admin"
SECRET_NAME = "session"  # noqa: S105  # the name of the row, not what is in it
TOKEN_CHARS_SAFE = 16
TOKEN_CHARS_MAX = 512
COOKIE_CHARS_MAX = 2_000
SESSION_IDLE_MS = 12 * 3600 * 1000
"""An open page asks every few seconds and so stays in: a screen on the wall never drops out."""
SESSION_MS = 30 * 24 * 3600 * 1000
RENEW_EACH_MS = 10 * 60_000
BY_CHARS_MAX = 64

_log = logging.getLogger(__name__)


class Cookie(msgspec.Struct, frozen=True, kw_only=True):
    """What a session's cookie says, signed."""

    token: str
    """First 16 hex digits of the SHA-256 of the token that opened it: gone with the token."""
    by: str
    csrf: str
    opened_at: int
    renewed_at: int


class AccessBook:
    """Who may come in, by token or by session. Not thread-safe: it lives on the event loop."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        admin_token: str | None = None,
        data: Path | None = None,
    ) -> None:
        self._database, self._clock = database, clock
        self._admin_token, self._data = admin_token, data
        self._names: dict[str, str] = {}  # SHA-256 of a token -> its name
        self._limiter = FailureLimiter()
        self._signer = _signer(secrets.token_bytes(32))

    async def load(self) -> None:
        """Read tokens and the signing secret, made at the first start; call once.

        `admin_token` (of the environment) becomes the admin's token instead of an earlier one.
        Without it the earlier one stays; where there is none, one is made up and written to the
        file `admin_token` in `data`, for its owner's eyes only.
        """
        given = self._admin_token
        if given and len(given) < TOKEN_CHARS_SAFE:
            _log.warning("the admin token is shorter than %d characters", TOKEN_CHARS_SAFE)
        now_ms = self._clock.wall_ms()

        def work(connection: Connection) -> tuple[bytes, dict[str, str]]:
            take_turn(connection, "access")  # all processes of a service start together
            if given:
                _set_token(connection, ADMIN, _digest(given), now_ms)
            elif self._data and connection.execute(select(tables.token)).first() is None:
                _set_token(connection, ADMIN, _digest(_make_up(self._data)), now_ms)
            names = {row.sha256: row.name for row in connection.execute(select(tables.token))}
            return _secret(connection), names

        secret, self._names = await self._database.write(work)
        self._signer = _signer(secret)

    def bearer(self, token: str) -> Principal | None:
        """Return whose token it is, None when it is nobody's; compares in constant time."""
        digest = self._match(token)
        return None if digest is None else _holder(self._names[digest], self._names[digest])

    def log_in(self, token: str, *, person: str, address: str) -> Session | None:
        """Open a session for `person` (free text, may be empty), None for a wrong token.

        Raises:
            RefuseInput: `too_many_attempts`; `detail` is the seconds to wait.

        """
        steady_ms = self._clock.boot_ms()
        wait_ms = self._limiter.wait_ms(address, steady_ms)
        if wait_ms > 0:
            raise RefuseInput("too_many_attempts", str(-(-wait_ms // 1000)))
        digest = self._match(token)
        if digest is None:
            self._limiter.failed(address, steady_ms)
            return None
        self._limiter.succeeded(address)
        now_ms = self._clock.wall_ms()
        name = self._names[digest]
        return Session(
            token=digest[:16],
            principal=_holder(name, _by(person, name)),
            csrf=secrets.token_urlsafe(24),
            opened_at=now_ms,
            renewed_at=now_ms,
        )

    def seal(self, session: Session) -> str:
        """Write a session as signed cookie text."""
        cookie = Cookie(
            token=session.token,
            by=session.by,
            csrf=session.csrf,
            opened_at=session.opened_at,
            renewed_at=session.renewed_at,
        )
        sealed = self._signer.dumps(msgspec.to_builtins(cookie))
        return sealed if isinstance(sealed, str) else sealed.decode()

    def session(self, cookie: str) -> Session | None:
        """Return the session of a cookie that we signed, that is in time, whose token stands."""
        if len(cookie) > COOKIE_CHARS_MAX:
            return None
        try:
            said = msgspec.convert(self._signer.loads(cookie), Cookie)
        except (BadData, msgspec.ValidationError):
            return None
        now_ms = self._clock.wall_ms()
        in_time = (
            now_ms - said.renewed_at < SESSION_IDLE_MS and now_ms - said.opened_at < SESSION_MS
        )
        names = [name for digest, name in self._names.items() if digest.startswith(said.token)]
        if not in_time or not names:
            return None
        return Session(
            token=said.token,
            principal=_holder(names[0], said.by),
            csrf=said.csrf,
            opened_at=said.opened_at,
            renewed_at=said.renewed_at,
        )

    def renewed(self, session: Session) -> Session | None:
        """Return the session with a new date when its cookie is due to be written again."""
        now_ms = self._clock.wall_ms()
        if now_ms - session.renewed_at < RENEW_EACH_MS:
            return None
        return msgspec.structs.replace(session, renewed_at=now_ms)

    def _match(self, token: str) -> str | None:
        if not 0 < len(token) <= TOKEN_CHARS_MAX:
            return None
        given, found = _digest(token), None
        for digest in self._names:  # all of them, so that time tells nothing
            if hmac.compare_digest(digest, given):
                found = digest
        return found


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _holder(name: str, by: str) -> Principal:
    return administrator("token", f"token:{name}", by)


def _by(person: str, name: str) -> str:
    """Write both: what the person calls itself, and the token that proves the right to."""
    person = " ".join(person.split())[: BY_CHARS_MAX - len(name) - 3]
    return f"{person} ({name})" if person else name


def _signer(secret: bytes) -> URLSafeSerializer:
    return URLSafeSerializer(
        secret,
        salt="suyuan.session",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )


def _make_up(folder: Path) -> str:
    """Make a token up and write it where only the service's user can read it."""
    token, file = secrets.token_urlsafe(24), folder / "admin_token"
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(token + "\n")
    _log.warning("no admin token was given: one was made up, see %s", file)
    return token


def _set_token(connection: Connection, name: str, digest: str, now_ms: int) -> None:
    token = tables.token
    connection.execute(delete(token).where(token.c.name == name, token.c.sha256 != digest))
    if connection.execute(select(token).where(token.c.sha256 == digest)).first() is None:
        connection.execute(insert(token).values(sha256=digest, name=name, created_at=now_ms))


def _secret(connection: Connection) -> bytes:
    """Return the signing secret; made here when there is none."""
    secret = tables.secret
    row = connection.execute(select(secret.c.value).where(secret.c.name == SECRET_NAME)).first()
    if row is not None:
        return bytes(row.value)
    value = secrets.token_bytes(32)
    connection.execute(insert(secret).values(name=SECRET_NAME, value=value))
    return value
