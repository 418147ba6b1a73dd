"""A record of a handheld as the service keeps it."""

from typing import Any

from msgspec import Struct


class HandheldRecord(Struct, frozen=True, kw_only=True):
    """What was done, who did it, who brought it, and what became of it."""

    id: int
    store: str
    number: int
    person: str
    account: int | None
    organisation: str
    kind: str
    asset: str
    observed_at: int | None
    """ms since 1970, by the device."""
    time_source: str
    received_at: int
    carried_by: str
    outcome: str
    reason: str
    expected: str
    found: str
    what: Any
    """As the device wrote it; text where it cannot be read."""
