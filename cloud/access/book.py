"""Who comes in: by the administrator's token, by an account's session, by an API key."""

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import Connection, insert, select, update

from cloud.access.accounts import AccountBook
from cloud.access.admin_token import ADMIN, AdminTokens
from cloud.access.keys import KeyBook
from cloud.access.limiter import FailureLimiter
from cloud.access.passwords import Verifier
from cloud.access.principals import principal_of
from cloud.access.second_factor import SecondFactor, open_second_factor, without
from cloud.access.sessions import ID_CHARS, Kept, SessionBook
from cloud.model import tables
from cloud.model.account import Account
from cloud.model.audit import Entry
from cloud.model.database import Database, Work, take_turn
from cloud.model.organisation import Organisation
from cloud.model.people_tables import session as session_table
from cloud.model.permissions import administrator
from cloud.model.principal import Principal
from cloud.model.session import Pending, Session
from protocols.clock import Clock
from protocols.errors import RefuseInput

SECRET_NAME = "session"  # noqa: S105  # the name of the row, not what is in it
PENDING_MS = 5 * 60_000
"""So long a password that was right waits for its code."""
LOCKED_FROM = 5
"""Wrong passwords or codes of an account, from browsers that it never came in by."""
LOCK_MS, LOCK_MS_MAX = 30_000, 15 * 60_000
BY_CHARS_MAX = 64


_Known = tuple[Account, Organisation | None, Principal]
"""A principal, and what it was worked out from."""


def _unnoted(_entry: Entry) -> Work:
    return lambda _connection: None


class AccessBook:
    """Who may come in. Not thread-safe: it lives on the event loop, but for what only looks."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        admin_token: str | None = None,
        data: Path | None = None,
        organisations: Callable[[str], Organisation | None] = lambda _: None,
    ) -> None:
        self._database, self._clock, self._data = database, clock, data
        self._given, self._organisation = admin_token, organisations
        self.accounts = AccountBook(database, clock)
        self.sessions = SessionBook(database, clock)
        self.keys = KeyBook(database, clock)
        self.verifier = Verifier()
        self.second_factor: SecondFactor = open_second_factor(data)
        self.noted: Callable[[Entry], Work] = _unnoted
        """Writes into the audit; the composition root sets it."""
        self._tokens, self._limiter = AdminTokens(), FailureLimiter()
        self._signer = _signer(secrets.token_bytes(32))
        self._principals: dict[tuple[int, bool], _Known] = {}

    async def load(self) -> None:
        """Read everything, and make what the first start needs; call once."""
        now_ms = self._clock.wall_ms()

        def work(connection: Connection) -> bytes:
            take_turn(connection, "access")  # all processes of a service start together
            if self._tokens.load(connection, self._given, self._data, now_ms):
                opened_by_it = session_table.c.account == 0, session_table.c.ended_at.is_(None)
                ended = update(session_table).where(*opened_by_it).values(ended_at=now_ms)
                connection.execute(ended)
            return _secret(connection)

        self._signer = _signer(await self._database.write(work))
        for part in (self.accounts, self.sessions, self.keys):
            await part.load()

    async def refresh(self) -> None:
        """Read what other parts and processes wrote since the last call."""
        for part in (self.accounts, self.sessions, self.keys):
            await part.refresh()

    async def flush(self) -> None:
        """Write when sessions and keys were last seen, where it is worth it."""
        await self.sessions.flush()
        await self.keys.flush()

    def bearer(self, token: str) -> Principal | None:
        """Return whose token it is, None when it is nobody's or no longer good."""
        name = self._tokens.find(token)
        if name is not None:
            return administrator("token", f"token:{name}", name)
        key = self.keys.find(token)
        account = self.accounts.get(key.account) if key else None
        principal = self._principal(account, second_factor=True) if account else None
        if key is None or principal is None:
            return None
        return principal.as_key(f"key:{key.id}", f"{key.name} ({principal.by})", key.calls)

    def session(self, cookie: str) -> Session | None:
        """Return the session of a cookie that is open, in time, and of somebody who may come in."""
        kept = self.sessions.find(cookie)
        return None if kept is None else self._session(cookie, kept)

    async def log_in(
        self, username: str, password: str, *, address: str, known: str = ""
    ) -> Session | Pending | None:
        """Open a session, or ask for the second factor; None: name or password is wrong.

        `known`: the cookie of a browser by which the account came in before. Who guesses from
        elsewhere can lock the account for others like it, but not for this browser.

        Raises:
            RefuseInput: `too_many_attempts`; `detail` is the seconds to wait.
            RetryLater: too many sign in at once.

        """
        self._check_limit(address)
        account = self.accounts.named(username)
        right = await self.verifier.verify(password, account.password if account else None)
        if account is None or not self._may_try(account, known) or not right:
            await self._failed(account, address, known)
            return None
        if self._principal(account, second_factor=True) is None:
            return None
        if account.second_factor is not None:
            return Pending(self._sign("pending", account, at_ms=self._clock.wall_ms()))
        return await self._come_in(account, address, second_factor=False)

    async def log_in_second(
        self, pending: str, code: str, *, address: str, known: str = ""
    ) -> Session | None:
        """Open a session by the code that was asked for: of the telephone, or one for recovery.

        None: the code is wrong, or the password was shown too long ago. Errors as of `log_in`.
        """
        self._check_limit(address)
        account = self._signed("pending", pending, PENDING_MS)
        if account is None or account.second_factor is None:
            return None
        if not self._may_try(account, known):
            return None
        now_ms = self._clock.wall_ms()
        step = self.second_factor.step_of(
            account.second_factor, code, now_ms, after=account.second_factor_step
        )
        left = without(account.recovery, code)
        if step is not None:
            account = await self.accounts.change(account.id, second_factor_step=step)
        elif left is not None:
            account = await self.accounts.change(account.id, recovery=left)
        else:
            await self._failed(account, address, known)
            return None
        return await self._come_in(account, address, second_factor=True)

    async def log_in_token(self, token: str, *, person: str, address: str) -> Session | None:
        """Open a session for `person` (free text) by the administrator's token; as `log_in`."""
        self._check_limit(address)
        name = self._tokens.find(token)
        if name is None:
            self._limiter.failed(address, self._clock.boot_ms())
            return None
        self._limiter.succeeded(address)
        also = self._note(f"token:{name}", "platform", f"token:{name}", "signed in")
        cookie, kept = await self.sessions.open(
            0, by=_by(person, name), second_factor=True, also=also
        )
        return self._session(cookie, kept)

    async def open_session(self, account_id: int, *, second_factor: bool) -> Session:
        """Open a session of an account that was proven elsewhere.

        Raises:
            RefuseInput: `forbidden`: it may not come in.

        """
        await self.accounts.refresh()  # it may have been made just now
        account = self.accounts.get(account_id)
        if account is None or self._principal(account, second_factor=second_factor) is None:
            raise RefuseInput("forbidden", "the account may not come in")
        return await self._come_in(account, "", second_factor=second_factor)

    async def log_out(self, session: Session) -> None:
        """End a session."""
        await self.sessions.end(account=session.principal.account or 0, only=session.id)

    def known(self, account_id: int) -> str:
        """Return the cookie that a browser keeps after an account came in by it."""
        account = self.accounts.get(account_id)
        return "" if account is None else self._sign("known", account, at_ms=0)

    def principal(self, account_id: int) -> Principal | None:
        """Return whom an account stands for, None when it may not come in."""
        account = self.accounts.get(account_id)
        return None if account is None else self._principal(account, second_factor=True)

    def _session(self, cookie: str, kept: Kept) -> Session | None:
        if kept.account == 0:
            principal: Principal | None = administrator("token", f"token:{ADMIN}", kept.by)
        else:
            account = self.accounts.get(kept.account)
            shown = kept.second_factor
            principal = self._principal(account, second_factor=shown) if account else None
        if principal is None:
            return None
        return Session(
            id=kept.sha256[:ID_CHARS],
            cookie=cookie,
            principal=principal,
            csrf=kept.csrf,
            opened_at=kept.opened_at,
        )

    def _principal(self, account: Account, *, second_factor: bool) -> Principal | None:
        """Work it out once for as long as account and organisation stay what they are."""
        organisation, key = self._organisation(account.organisation), (account.id, second_factor)
        cached = self._principals.get(key)
        if cached is not None and cached[0] is account and cached[1] is organisation:
            return cached[2]
        principal = principal_of(account, organisation, second_factor=second_factor)
        if principal is not None:
            self._principals[key] = account, organisation, principal
        return principal

    async def _come_in(self, account: Account, address: str, *, second_factor: bool) -> Session:
        self._limiter.succeeded(address)
        now_ms = self._clock.wall_ms()
        account = await self.accounts.change(
            account.id, failures=0, locked_until=None, last_in_at=now_ms
        )
        who = f"account:{account.id}"
        also = self._note(who, account.organisation, who, "signed in")
        cookie, kept = await self.sessions.open(account.id, second_factor=second_factor, also=also)
        session = self._session(cookie, kept)
        if session is None:
            raise RefuseInput("no_token", "the account was closed just now")
        return session

    def _check_limit(self, address: str) -> None:
        wait_ms = self._limiter.wait_ms(address, self._clock.boot_ms())
        if wait_ms > 0:
            raise RefuseInput("too_many_attempts", str(-(-wait_ms // 1000)))

    def _may_try(self, account: Account, known: str) -> bool:
        locked = (account.locked_until or 0) > self._clock.wall_ms()
        return not locked or self._signed("known", known, None) is account

    async def _failed(self, account: Account | None, address: str, known: str) -> None:
        """Count a failure of the address and of the account."""
        self._limiter.failed(address, self._clock.boot_ms())
        if account is None or self._signed("known", known, None) is account:
            return
        failures, now_ms = account.failures + 1, self._clock.wall_ms()
        who, until = f"account:{account.id}", None
        if failures >= LOCKED_FROM:
            until = now_ms + min(LOCK_MS_MAX, LOCK_MS * 2 ** min(20, failures - LOCKED_FROM))
        also = self._note("stranger", account.organisation, who, "failed to sign in")
        await self.accounts.change(account.id, also, failures=failures, locked_until=until)

    def _note(self, by: str, organisation: str, subject: str, what: str) -> Work:
        return self.noted(
            Entry(
                recorded_at=self._clock.wall_ms(),
                by=by,
                organisation=organisation,
                call="account.sign_in",
                subject=subject,
                detail={"what": what},
            )
        )

    def _sign(self, what: str, account: Account, *, at_ms: int) -> str:
        signed = self._signer.dumps([what, account.id, _mark(account), at_ms])
        return signed if isinstance(signed, str) else signed.decode()

    def _signed(self, what: str, text: str, within_ms: int | None) -> Account | None:
        """Return the account of a text that we signed, whose password has not changed since."""
        try:
            found, account_id, mark, at_ms = self._signer.loads(text[:1_000])
        except (BadData, ValueError, TypeError):
            return None
        account = self.accounts.get(account_id) if found == what else None
        if account is None or mark != _mark(account):
            return None
        if within_ms is not None and not 0 <= self._clock.wall_ms() - at_ms < within_ms:
            return None
        return account


def _mark(account: Account) -> str:
    """Return what changes with the password and the second factor."""
    proven = f"{account.password} {account.second_factor}"
    return hashlib.sha256(proven.encode()).hexdigest()[:16]


def _by(person: str, name: str) -> str:
    """Write both: what the person calls itself, and the token that proves the right to."""
    person = " ".join(person.split())[: BY_CHARS_MAX - len(name) - 3]
    return f"{person} ({name})" if person else name


def _signer(secret: bytes) -> URLSafeSerializer:
    return URLSafeSerializer(
        secret,
        salt="suyuan.sign-in",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )


def _secret(connection: Connection) -> bytes:
    """Return the signing secret; made here when there is none."""
    secret = tables.secret
    row = connection.execute(select(secret.c.value).where(secret.c.name == SECRET_NAME)).first()
    if row is not None:
        return bytes(row.value)
    value = secrets.token_bytes(32)
    connection.execute(insert(secret).values(name=SECRET_NAME, value=value))
    return value
