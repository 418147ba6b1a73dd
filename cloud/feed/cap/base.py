"""What others need of the CAP messages."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from cloud.model.principal import Scope

CapKind = Literal["Alert", "Update", "Cancel", "Ack"]


class CapEntry(Struct, frozen=True, kw_only=True):
    """One message in a list."""

    offset: int
    identifier: str
    kind: CapKind
    sent_at: int
    title: str
    title_zh: str
    asset: str
    references: tuple[str, ...] = ()
    """Identifiers."""


class CapDocuments(Protocol):
    """The documents."""

    async def document(self, offset: int, scope: Scope | None = None) -> bytes | None:
        """Return the signed document of an item; None: the item is none, or not for this scope.

        Raises:
            RetryLater: it was not issued yet.

        """
        ...

    async def test(self, now_ms: int) -> bytes:
        """Return a signed document that only tries a way."""
        ...


class CapFeed(CapDocuments, Protocol):
    """What the HTTP side shows."""

    sender: str

    async def entries(self, scope: Scope, before: int | None, limit: int) -> Sequence[CapEntry]:
        """Return messages that the scope admits, newest first, with offset < `before`."""
        ...

    async def certificate(self) -> bytes:
        """Return the certificate of the key that signs, PEM."""
        ...
