"""Handhelds as people deal with them: who may have one, who takes it away."""

from collections.abc import Callable

from cloud.access.base import Noting
from cloud.access.book import AccessBook
from cloud.access.codes import DEVICE_CODE_MS, Purpose, keep_code, look_at_code, new_code, use_code
from cloud.access.desk import admits
from cloud.access.devices import new_device_id
from cloud.model.account import Handheld, Issued
from cloud.model.audit import Entry
from cloud.model.database import Database, Work
from cloud.model.principal import Granted, Scope
from cloud.organisations.base import Organisations
from protocols.clock import Clock
from protocols.errors import RefuseInput

PURPOSE: tuple[Purpose, ...] = ("device",)
CALL = "devices.write"


class DeviceDesk:
    """All of it is durable on return. RefuseInput `not_found` for what is outside the scope."""

    def __init__(
        self, database: Database, clock: Clock, access: AccessBook, organisations: Organisations
    ) -> None:
        self._database, self._clock = database, clock
        self._access, self._organisations = access, organisations

    def find(self, scope: Scope) -> list[Handheld]:
        """Return the handhelds that a scope admits, the newest first."""
        return [one for one in self._access.devices.all() if _admits(scope, one)]

    async def invite(
        self, account_id: int | None, granted: Granted, note: Noting
    ) -> tuple[str, int]:
        """Return a one-time code that makes a handheld one of an account, and until when it does.

        `account_id`: None: the caller's own. RefuseInput also `forbidden` for an account that may
        not come in.
        """
        number = granted.principal.account if account_id is None else account_id
        account = self._access.accounts.get(number or 0)
        if account is None or not admits(granted.scope, account):
            raise RefuseInput("not_found", f"no account {number}")
        if self._access.principal(account.id) is None:
            raise RefuseInput("forbidden", "the account is not active")
        code, now_ms = new_code(), self._clock.wall_ms()
        await self._database.write(
            lambda c: keep_code(c, code, "device", account.id, now_ms),
            note(f"account:{account.id}"),
        )
        return code, now_ms + DEVICE_CODE_MS

    async def issue(self, code: str, name: str, noted: Callable[[Entry], Work]) -> Issued:
        """Give a handheld its first token; RefuseInput `bad_code`, `quota_reached`."""
        now_ms, device_id = self._clock.wall_ms(), new_device_id()
        account_id = await self._database.read(lambda c: look_at_code(c, code, PURPOSE, now_ms))
        account = self._access.accounts.get(account_id)
        if account is None or self._access.principal(account_id) is None:
            raise RefuseInput("bad_code", "the code is not good, or no longer")
        entry = Entry(
            recorded_at=now_ms,
            by=f"account:{account_id}",
            organisation=account.organisation,
            call=CALL,
            subject=f"device:{device_id}",
            detail={"what": "issued"},
        )
        return await self._access.devices.issue(
            name=name,
            account=account_id,
            organisation=account.organisation,
            device_id=device_id,
            also=[
                lambda c: use_code(c, code, PURPOSE, now_ms),
                self._organisations.room(account.organisation, "devices_max"),
                noted(entry),
            ],
        )

    async def renew(self, token: str) -> Issued:
        """Give a handheld its next token; RefuseInput `no_token`, `device_revoked`."""
        if self._access.bearer(token) is None:
            raise RefuseInput("no_token", "the token is not known here")
        return await self._access.devices.renew(token)

    async def revoke(self, device_id: str, granted: Granted, note: Noting) -> Handheld:
        """Revoke one that was lost, at once."""
        if not any(one.id == device_id for one in self.find(granted.scope)):
            raise RefuseInput("not_found", f"no handheld {device_id[:32]!r}")
        return await self._access.devices.revoke(
            device_id, granted.principal.id, note(f"device:{device_id}")
        )


def _admits(scope: Scope, one: Handheld) -> bool:
    own = one.organisation in scope.organisations or one.account == scope.account
    return scope.everything or own
