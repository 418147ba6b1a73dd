"""Who comes in: by the administrator's token, by an account's session, by an API key."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import Connection, insert, select, update

from cloud.access.accounts import AccountBook
from cloud.access.admin_token import ADMIN, AdminTokens
from cloud.access.attempts import Attempts
from cloud.access.devices import PREFIX as DEVICE_PREFIX
from cloud.access.devices import TERMS, DeviceBook, Terms
from cloud.access.keys import KeyBook
from cloud.access.passwords import Verifier
from cloud.access.principals import principal_of
from cloud.access.second_factor import SecondFactor, is_the_key, open_second_factor, without
from cloud.access.sessions import ID_CHARS, Kept, SessionBook
from cloud.access.shown_once import ShownOnce
from cloud.model import tables
from cloud.model.account import Account, by_text
from cloud.model.audit import Entry
from cloud.model.database import Database, Work, take_turn
from cloud.model.organisation import Organisation
from cloud.model.people_tables import session as session_table
from cloud.model.permissions import administrator, load_calls
from cloud.model.principal import Principal
from cloud.model.session import Browser, Pending, Session
from protocols.clock import Clock
from protocols.errors import RefuseInput, StopService

SECRET_NAME = "session"  # noqa: S105  # the name of the row, not what is in it
PENDING_MS = 5 * 60_000
"""So long a password that was right waits for its code."""

Proof = Callable[[Account], Mapping[str, Any] | None]
"""Tells what of an account is used up by coming in; None: nothing is proven."""
PLATFORM_PREFIX = "pt_"
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
        terms: Terms = TERMS,
    ) -> None:
        self._database, self._clock, self._data = database, clock, data
        self._given, self._organisation = admin_token, organisations
        self.accounts = AccountBook(database, clock)
        self.sessions = SessionBook(database, clock)
        self.keys = KeyBook(database, clock)
        self.devices = DeviceBook(database, clock, terms)
        self.verifier = Verifier()
        self.second_factor = SecondFactor(Fernet.generate_key())
        """Good for a process long, until `open_key`."""
        self.machine: Callable[[str], Principal | None] = lambda _token: None
        """Tells which platform a token is of; the composition root sets it."""
        self.noted: Callable[[Entry], Work] = _unnoted
        """Writes into the audit; the composition root sets it."""
        self._tokens, self.attempts = AdminTokens(), Attempts(self.accounts, clock)
        self._signer = _signer(secrets.token_bytes(32))
        self._shown_once = ShownOnce(secrets.token_bytes(32))
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

        secret = await self._database.write(work)
        self._signer, self._shown_once = _signer(secret), ShownOnce(secret)
        for part in (self.accounts, self.sessions, self.keys):
            await part.load()
        await self.devices.refresh()

    async def open_key(self, file: Path) -> None:
        """Open the key of the second factors, made at the first start, before anybody comes in.

        Raises:
            StopService: it is damaged, or another one than second factors were sealed with.

        """
        self.second_factor = factor = open_second_factor(file)
        if not await self._database.write(lambda connection: is_the_key(connection, factor)):
            raise StopService(_OTHER_KEY.format(file=file))

    async def refresh(self) -> None:
        """Read what other parts and processes wrote since the last call."""
        for part in (self.accounts, self.sessions, self.keys, self.devices):
            await part.refresh()

    async def flush(self) -> None:
        """Write when sessions, keys and handhelds were last seen, where it is worth it."""
        await self.sessions.flush()
        await self.keys.flush()
        await self.devices.flush()

    def bearer(self, token: str) -> Principal | None:
        """Return whose token it is, None when it is nobody's or no longer good."""
        name = self._tokens.find(token)
        if name is not None:
            return administrator("token", f"token:{name}", name)
        if token.startswith(DEVICE_PREFIX):
            return self._handheld(token)
        if token.startswith(PLATFORM_PREFIX):
            return self.machine(token)
        key = self.keys.find(token)
        account = self.accounts.get(key.account) if key else None
        principal = self._principal(account, second_factor=True) if account else None
        if key is None or principal is None:
            return None
        return principal.acting(
            "api_key", f"key:{key.id}", f"{key.name} ({principal.by})", key.calls
        )

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
        self.attempts.check(address)
        account = self.accounts.named(username)
        is_known = account is not None and self._is_known(account, known)
        may, right = await asyncio.gather(
            self._count(account, known=is_known),
            self.verifier.verify(password, account.password if account else None),
        )
        session: Session | Pending | None = None
        if account is not None and may and right and self.principal(account.id) is not None:
            if account.second_factor is None:
                session = await self._come_in(account, lambda _: {}, second_factor=False)
            else:
                await self.attempts.take_back(account, known=is_known)
                session = Pending(self._sign("pending", account, at_ms=self._clock.wall_ms()))
        if session is None:
            self.attempts.failed(address)
        return session

    async def log_in_second(
        self, pending: str, code: str, *, address: str, known: str = ""
    ) -> Session | None:
        """Open a session by the code that was asked for: of the telephone, or one for recovery.

        None: the code is wrong. Errors as of `log_in`, and `begin_again`: the password was shown
        too long ago, or changed since.
        """
        self.attempts.check(address)
        account = self._signed("pending", pending, PENDING_MS)
        if account is None:
            raise RefuseInput("begin_again", "show the password again")
        session = None
        if await self._count(account, known=self._is_known(account, known)):
            session = await self._come_in(
                account, lambda one: self._proof(one, code), second_factor=True
            )
        if session is None:
            self.attempts.failed(address)
        return session

    async def log_in_token(self, token: str, *, person: str, address: str) -> Session | None:
        """Open a session for `person` (free text) by the administrator's token; as `log_in`."""
        self.attempts.check(address)
        name = self._tokens.find(token)
        if name is None:
            self.attempts.failed(address)
            return None
        also = self._note(f"token:{name}", "platform", f"token:{name}", "signed in")
        cookie, kept = self.sessions.make(0, by=by_text(person, name), second_factor=True)
        await self._database.write(self.sessions.opening(kept), also)
        self.sessions.remember(kept)
        return self._session(cookie, kept)

    async def open_session(self, account_id: int, *, second_factor: bool) -> Session:
        """Open a session of an account that was proven elsewhere.

        Raises:
            RefuseInput: `forbidden`: it may not come in.

        """
        await self.accounts.refresh()  # it may have been made just now
        account, session = self.accounts.get(account_id), None
        if account is not None and self.principal(account_id) is not None:
            session = await self._come_in(account, lambda _: {}, second_factor=second_factor)
        if session is None:
            raise RefuseInput("forbidden", "the account may not come in")
        return session

    async def log_out(self, session: Session) -> None:
        """End a session."""
        await self.sessions.end(account=session.principal.account or 0, only=session.id)

    def known(self, account_id: int) -> str:
        """Return the cookie that a browser keeps after an account came in by it."""
        account = self.accounts.get(account_id)
        return "" if account is None else self._sign("known", account, at_ms=0)

    def seal(self, page: str, content: Mapping[str, str], *, session: str) -> str:
        """Seal what a page will show once."""
        now_ms = self._clock.wall_ms()
        return self._shown_once.seal(page, content, session=session, now_ms=now_ms)

    def unseal(self, page: str, sealed: str, *, session: str) -> Mapping[str, str] | None:
        """Return it, None when it is not for this page and session, or no longer."""
        now_ms = self._clock.wall_ms()
        return self._shown_once.unseal(page, sealed, session=session, now_ms=now_ms)

    def principal(self, account_id: int) -> Principal | None:
        """Return whom an account stands for, None when it may not come in."""
        account = self.accounts.get(account_id)
        return None if account is None else self._principal(account, second_factor=True)

    def _handheld(self, token: str) -> Principal | None:
        held = self.devices.find(token)
        account = self.accounts.get(held.account) if held else None
        principal = self._principal(account, second_factor=True) if account else None
        if held is None or principal is None:
            return None
        calls = [call.id for call in load_calls().values() if call.handheld]
        by = f"{held.name} ({principal.by})"
        return principal.acting("device", f"device:{held.id}", by, calls)

    def names(self, account: Account) -> list[str]:
        """Return the names that must not stand in the password of an account."""
        organisation = self._organisation(account.organisation)
        return [account.username, account.name, *([organisation.name] if organisation else [])]

    async def check_password(self, account: Account, password: str, browser: Browser) -> None:
        """Refuse somebody signed in who does not know the password.

        It counts as an attempt to come in does: a session that was stolen is no way to guess on.

        Raises:
            RefuseInput: `wrong_password`; `too_many_attempts` as of `log_in`.
            RetryLater: too many passwords are looked at.

        """
        self.attempts.check(browser.address)
        known = self._is_known(account, browser.known)
        may, right = await asyncio.gather(
            self._count(account, known=known), self.verifier.verify(password, account.password)
        )
        if not (may and right):
            self.attempts.failed(browser.address)
            raise RefuseInput("wrong_password", "the present password is not right")
        await self.attempts.take_back(account, known=known)
        self.attempts.forgive(account)

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

    async def _come_in(
        self, account: Account, proof: Proof, *, second_factor: bool
    ) -> Session | None:
        """Open a session if the proof holds, and the account is still what was looked at."""
        now_ms, who = self._clock.wall_ms(), f"account:{account.id}"
        cookie, kept = self.sessions.make(account.id, second_factor=second_factor)

        def decision(one: Account) -> Mapping[str, Any]:
            same = one.state == "active" and _mark(one) == _mark(account)
            proven = proof(one) if same else None
            cleared = {"failures": 0, "locked_until": None, "last_in_at": now_ms}
            return {} if proven is None else {**proven, **cleared}

        _, came_in = await self.accounts.decide(
            account.id,
            decision,
            self.sessions.opening(kept),
            self._note(who, account.organisation, who, "signed in"),
        )
        if not came_in:
            return None
        self.attempts.forgive(account)
        self.sessions.remember(kept)
        return self._session(cookie, kept)

    def _proof(self, one: Account, code: str) -> Mapping[str, Any] | None:
        """Return what the use of a right code changes: none counts twice."""
        if one.second_factor is None:
            return None
        step = self.second_factor.step_of(
            one.second_factor, code, self._clock.wall_ms(), after=one.second_factor_step
        )
        if step is not None:
            return {"second_factor_step": step}
        left = without(one.recovery, code)
        return None if left is None else {"recovery": left}

    async def _count(self, account: Account | None, *, known: bool) -> bool:
        organisation = account.organisation if account else ""
        who = f"account:{account.id}" if account else ""

        def locking(failures: int, left_out: int) -> Work:
            more = {"left_out": left_out} if left_out else {}
            return self._note("stranger", organisation, who, "locked", failures=failures, **more)

        return await self.attempts.count(account, known=known, locking=locking)

    def _is_known(self, account: Account, known: str) -> bool:
        """Tell whether it is a cookie of a browser by which the account came in before."""
        found = self._signed("known", known, None)
        return found is not None and found.id == account.id

    def _note(self, by: str, organisation: str, subject: str, what: str, **detail: object) -> Work:
        return self.noted(
            Entry(
                recorded_at=self._clock.wall_ms(),
                by=by,
                organisation=organisation,
                call="account.sign_in",
                subject=subject,
                detail={"what": what, **detail},
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


_OTHER_KEY = (
    "{file} is not the key that second factors were sealed with: put the right one back, or copy "
    "it from another process of this service, see accounts.key_file"
)
