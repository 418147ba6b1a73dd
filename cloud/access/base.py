"""What others may ask of those who come in, as small Protocols."""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from cloud.model.account import (
    Account,
    AccountChange,
    ApiKey,
    Handheld,
    Issued,
    NewAccount,
    NewFactor,
    OpenSession,
)
from cloud.model.audit import Entry
from cloud.model.database import Work
from cloud.model.principal import Granted, Principal, Scope
from cloud.model.session import Browser, Pending, Session

Noting = Callable[[str], Work]
"""Writes a call into the audit; the argument is its subject, such as `account:12`."""


class Access(Protocol):
    """Who may come in."""

    def bearer(self, token: str) -> Principal | None:
        """Return whose token it is, None when it is nobody's or no longer good."""
        ...

    def session(self, cookie: str) -> Session | None:
        """Return the session of a cookie that is open and in time."""
        ...

    async def log_in(
        self, username: str, password: str, *, address: str, known: str = ""
    ) -> Session | Pending | None:
        """Open a session or ask for the second factor; RefuseInput `too_many_attempts`."""
        ...

    async def log_in_second(
        self, pending: str, code: str, *, address: str, known: str = ""
    ) -> Session | None:
        """Open the session that waited for its second factor.

        RefuseInput also `begin_again`: the password was shown too long ago.
        """
        ...

    async def log_in_token(self, token: str, *, person: str, address: str) -> Session | None:
        """Open a session by the administrator's token."""
        ...

    async def log_out(self, session: Session) -> None:
        """End a session."""
        ...

    def known(self, account_id: int) -> str:
        """Return the cookie of a browser by which this account came in."""
        ...

    def seal(self, page: str, content: Mapping[str, str], *, session: str) -> str:
        """Seal what a page of a session will show once, for a cookie; empty: of no session."""
        ...

    def unseal(self, page: str, sealed: str, *, session: str) -> Mapping[str, str] | None:
        """Return it, None when it is not for this page and session, or too old."""
        ...


class Accounts(Protocol):
    """Accounts and keys, as managers change them; RefuseInput `not_found` outside the scope."""

    def find(self, scope: Scope) -> list[Account]:
        """Return the accounts that a scope admits, by id."""
        ...

    def get(self, account_id: int, scope: Scope) -> Account:
        """Return one."""
        ...

    async def open(self, new: NewAccount, granted: Granted, note: Noting) -> tuple[Account, str]:
        """Let somebody in; returns a one-time code, too."""
        ...

    async def change(
        self, account_id: int, asked: AccountChange, granted: Granted, note: Noting
    ) -> Account:
        """Change an account."""
        ...

    async def reset(self, account_id: int, granted: Granted, note: Noting) -> str:
        """Take password and second factor away; returns a one-time code for new ones."""
        ...

    async def hand_over(self, from_id: int, to_id: int, granted: Granted, note: Noting) -> None:
        """Hand what one looks after to another of the same organisation."""
        ...

    async def redeem(self, code: str, password: str, note: Noting) -> Account:
        """Set a password by a one-time code."""
        ...

    def keys(self, scope: Scope) -> list[ApiKey]:
        """Return the keys that a scope admits."""
        ...

    async def make_key(
        self, name: str, calls: Collection[str], days: int, granted: Granted, note: Noting
    ) -> tuple[str, ApiKey]:
        """Make a key; returns its token, which is shown once."""
        ...

    async def revoke_key(self, key_id: int, granted: Granted, note: Noting) -> ApiKey:
        """Revoke a key, at once."""
        ...


class Devices(Protocol):
    """Handhelds; RefuseInput `not_found` outside the scope."""

    def find(self, scope: Scope) -> list[Handheld]:
        """Return those that a scope admits, the newest first."""
        ...

    async def invite(
        self, account_id: int | None, granted: Granted, note: Noting
    ) -> tuple[str, int]:
        """Return a one-time code for a handheld of an account, and until when it is good."""
        ...

    async def issue(self, code: str, name: str, noted: Callable[[Entry], Work]) -> Issued:
        """Give a handheld its first token; `noted` builds the entry in the audit.

        RefuseInput `bad_code`, `quota_reached`.
        """
        ...

    async def renew(self, token: str) -> Issued:
        """Give a handheld its next token; RefuseInput `no_token`, `device_revoked`."""
        ...

    async def revoke(self, device_id: str, granted: Granted, note: Noting) -> Handheld:
        """Revoke one that was lost, at once."""
        ...


class OwnAccount(Protocol):
    """What somebody does about the own account; RefuseInput `forbidden` without one."""

    def get(self, account_id: int | None) -> Account:
        """Return it."""
        ...

    def sessions(self, session: Session) -> list[OpenSession]:
        """Return the open sessions, the newest first."""
        ...

    async def end_session(self, session: Session, session_id: str) -> None:
        """End one of the own sessions."""
        ...

    async def change_password(
        self, session: Session, old: str, new: str, *, browser: Browser, also: Work
    ) -> None:
        """Change the password; every other session ends."""
        ...

    def begin_factor(self, session: Session) -> NewFactor:
        """Make a secret; nothing is kept until its first code was shown."""
        ...

    async def confirm_factor(
        self,
        session: Session,
        sealed: str,
        code: str,
        *,
        password: str,
        browser: Browser,
        also: Work,
    ) -> list[str]:
        """Keep a second factor; returns recovery codes, shown once."""
        ...

    async def drop_factor(
        self, session: Session, password: str, *, browser: Browser, also: Work
    ) -> None:
        """Give the second factor up, where no role asks for one."""
        ...
