"""One's own account: password, second factor, sessions."""

from cloud.access.book import AccessBook
from cloud.access.principals import needs_second_factor
from cloud.access.second_factor import address_of, new_recovery_codes
from cloud.model.account import Account, NewFactor, OpenSession
from cloud.model.database import Work
from cloud.model.session import Browser, Session
from protocols.clock import Clock
from protocols.errors import RefuseInput


class OwnAccount:
    """What somebody does about the own account; RefuseInput `forbidden` without one."""

    def __init__(self, clock: Clock, access: AccessBook) -> None:
        self._clock, self._access = clock, access

    def get(self, account_id: int | None) -> Account:
        """Return it."""
        account = self._access.accounts.get(account_id) if account_id else None
        if account is None:
            raise RefuseInput("forbidden", "the access token is no account")
        return account

    def sessions(self, session: Session) -> list[OpenSession]:
        """Return the open sessions, the newest first."""
        return self._access.sessions.of(session.principal.account or 0, session.id)

    async def end_session(self, session: Session, session_id: str) -> None:
        """End one of the own sessions."""
        await self._access.sessions.end(account=session.principal.account or 0, only=session_id)

    async def change_password(
        self, session: Session, old: str, new: str, *, browser: Browser, also: Work
    ) -> None:
        """Change the password; every other session ends.

        Raises:
            RefuseInput: `wrong_password`, `too_many_attempts`, `weak_password`.
            RetryLater: too many passwords are looked at.

        """
        account = self.get(session.principal.account)
        await self._access.check_password(account, old, browser)
        hashed = await self._access.verifier.hash(new, own=self._access.names(account))
        ending = self._access.sessions.ending(account=account.id, but=session.id)
        await self._access.accounts.change(account.id, ending, also, password=hashed)

    def begin_factor(self, session: Session) -> NewFactor:
        """Make a secret; nothing is kept until its first code was shown."""
        account = self.get(session.principal.account)
        secret, sealed = self._access.second_factor.new_secret()
        return NewFactor(secret, address_of(secret, account.username), sealed)

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
        """Keep a second factor after its first code; returns recovery codes, shown once.

        Every session ends, this one too: who comes in now shows both.

        Raises:
            RefuseInput: `wrong_code`, `wrong_password`, `too_many_attempts`.
            RetryLater: too many passwords are looked at.

        """
        account = self.get(session.principal.account)
        await self._access.check_password(account, password, browser)
        now_ms = self._clock.wall_ms()
        step = self._access.second_factor.step_of(sealed, code, now_ms, after=None)
        if step is None:
            raise RefuseInput("wrong_code", "the code is not right")
        codes, hashes = new_recovery_codes()
        await self._access.accounts.change(
            account.id,
            self._access.sessions.ending(account=account.id),
            also,
            second_factor=sealed,
            second_factor_step=step,
            recovery=tuple(hashes),
        )
        return codes

    async def drop_factor(
        self, session: Session, password: str, *, browser: Browser, also: Work
    ) -> None:
        """Give the second factor up, where no role asks for one.

        Raises:
            RefuseInput: `wrong_password`, `too_many_attempts`, `forbidden`.
            RetryLater: too many passwords are looked at.

        """
        account = self.get(session.principal.account)
        if needs_second_factor(account.roles):
            raise RefuseInput("forbidden", "the account's role asks for a second factor")
        await self._access.check_password(account, password, browser)
        await self._access.accounts.change(
            account.id, also, second_factor=None, second_factor_step=None, recovery=()
        )
