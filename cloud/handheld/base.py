"""What the HTTP side and the composition root need of the records of handhelds."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from cloud.model.database import Work
from cloud.model.handheld import HandheldRecord
from cloud.model.principal import Granted, Scope
from protocols.handheld import Answer, Batch, Contact, Record, Settled

Noting = Callable[[str, Mapping[str, int]], Work]
"""Makes the audit's entry of a batch from its subject and how many records became what."""


class Sender(Protocol):
    """Who did the work that a record tells of, as the service knows the person."""

    @property
    def id(self) -> str:
        """Of the handheld."""
        ...

    @property
    def account(self) -> int | None:
        """Whose it is."""
        ...

    @property
    def organisation(self) -> str:
        """Of the account."""
        ...

    @property
    def store(self) -> str:
        """Of the device."""
        ...


Judge = Callable[[Connection, Record, Sender], Settled | None]
"""Carries a record out elsewhere, in the transaction that keeps it; a word when it cannot be."""


class Handhelds(Protocol):
    """The records, kept once."""

    async def contact(self, granted: Granted) -> Contact:
        """Tell a handheld who it is and what time it is."""
        ...

    def rules(self) -> tuple[bytes, str]:
        """Return the bytes of the rule book, and its version; RefuseInput `not_found`."""
        ...

    @property
    def fills(self) -> Callable[[str], bool]:
        """Tells whether an organisation is a filling unit."""
        ...

    def forms(self) -> Mapping[str, object]:
        """Return the forms of inspections and the calendar."""
        ...

    async def take(self, batch: Batch, granted: Granted, noting: Noting) -> Answer:
        """Settle each record of a batch; durable on return."""
        ...

    async def find(
        self,
        scope: Scope,
        *,
        asset: str | None = None,
        outcome: str | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> Sequence[HandheldRecord]:
        """Return records of the organisations in scope, the latest received first."""
        ...


class KeptPhoto(Protocol):
    """A photo that is here."""

    @property
    def path(self) -> Path:
        """Of its file."""
        ...

    @property
    def media_type(self) -> str:
        """`image/jpeg`, `image/png`."""
        ...


class Photos(Protocol):
    """The photos that records name."""

    async def take(self, granted: Granted, sha256: str, raw: bytes) -> bool:
        """Keep a photo, tell whether it is new; RefuseInput `not_found`, `bad_hash`, …."""
        ...

    async def find(self, scope: Scope, sha256: str) -> KeptPhoto:
        """Return a photo of the organisations in scope; RefuseInput `not_found`."""
        ...
