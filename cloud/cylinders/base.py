"""What the registry of cylinders needs of others, and what others may ask of it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct
from sqlalchemy import Connection

from cloud.model.asset import Asset
from cloud.model.database import Work
from cloud.model.organisation import Organisation, Quota


class Registry(Protocol):
    """The assets: a cylinder is one of them."""

    def peek(self, asset_id: str) -> Asset | None:
        """Return a registered asset at once."""
        ...

    async def put_all(self, work: Callable[[Connection], Sequence[Asset]], *also: Work) -> None:
        """Register the assets that `work` returns, in its transaction."""
        ...

    def add_finding(self, asset_id: str, reason: str, detail: str, at: int) -> None:
        """Count a finding on an asset."""
        ...


class Organisations(Protocol):
    """Fillers and inspection bodies are organisations."""

    def peek(self, organisation_id: str) -> Organisation | None:
        """Return an organisation at once."""
        ...

    def room(self, organisation_id: str, quota: Quota) -> Work:
        """Return what refuses a transaction that goes beyond a quota."""
        ...


class Wanted(Struct, frozen=True, kw_only=True):
    """Which cylinders are asked for; None and empty: any."""

    text: str | None = None
    """Its code, a further code or its serial number, whole."""
    filler: str | None = None
    district: str | None = None
    state: str | None = None
    kind: str | None = None
    gas: str | None = None
    due_before: str | None = None
    """Whose next inspection, as its body wrote it, is due before this day."""
    after: str = ""
    """Asset id of the last one of the page before."""
    limit: int = 100
