"""What others ask of enterprise platforms, as a small Protocol."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from cloud.model.audit import Entry
from cloud.model.database import Work
from cloud.model.platform import (
    BatchOutcome,
    NewPlatform,
    Platform,
    PlatformChange,
    Token,
    UnknownSeen,
)
from cloud.model.principal import Granted, Scope
from protocols.lifts.dialect import Dialects
from protocols.lifts.gbt24476 import Batch, Kind

Noting = Callable[[str], Work]
"""Writes a call into the audit; the argument is its subject, such as `platform:acme`."""


class Failures(Protocol):
    """Counts failures to come in, by who tries; times are ms of one steady clock."""

    def wait_ms(self, address: str, now_ms: int) -> int:
        """Return how long to wait before the next try, 0 when it may be now."""
        ...

    def failed(self, address: str, now_ms: int) -> None:
        """Count a failure."""
        ...


class Platforms(Protocol):
    """Platforms; RefuseInput `not_found` outside the scope."""

    @property
    def dialects(self) -> Dialects:
        """Return all that this service knows."""
        ...

    async def find(self, scope: Scope) -> Sequence[Platform]:
        """Return the platforms of the organisations in scope, by id."""
        ...

    async def get(self, platform_id: str, scope: Scope) -> Platform:
        """Return one."""
        ...

    async def register(
        self, new: NewPlatform, granted: Granted, note: Noting
    ) -> tuple[Platform, str]:
        """Register one; returns its secret, too, which is shown once."""
        ...

    async def change(
        self, platform_id: str, asked: PlatformChange, granted: Granted, note: Noting
    ) -> Platform:
        """Change one."""
        ...

    async def rotate(
        self, platform_id: str, granted: Granted, note: Noting
    ) -> tuple[Platform, str]:
        """Give one a new secret; the old one and every token end at once."""
        ...

    async def revoke(self, platform_id: str, granted: Granted, note: Noting) -> Platform:
        """Shut one out, at once and for ever."""
        ...

    async def unknown(self, scope: Scope, limit: int) -> Sequence[UnknownSeen]:
        """Return what dialects do not have, of the platforms in scope, the newest first."""
        ...

    async def declared(self, platform_id: str, asset: str) -> tuple[str, dict[str, Any]] | None:
        """Return what a platform declares of a lift, and by which operation; None: nothing."""
        ...

    async def token(
        self, client: str, secret: str, scope: str, *, address: str, noted: Callable[[Entry], Work]
    ) -> Token:
        """Give a platform that proves itself a token.

        RefuseInput `invalid_client`, `invalid_scope`, `too_many_attempts`.
        """
        ...

    async def end_token(
        self, client: str, secret: str, token: str, *, address: str, noted: Callable[[Entry], Work]
    ) -> None:
        """End a token of a platform; one that is none is ended already. Errors as of `token`."""
        ...


class Intake(Protocol):
    """Takes what platforms send."""

    async def take(
        self, platform_id: str, kind: Kind, batch: Batch, granted: Granted
    ) -> BatchOutcome:
        """Take what a platform sends; durable on return, and on its way to the log."""
        ...
