"""Enterprise platforms that report lifts: who they are, and what came of what they sent."""

from collections.abc import Sequence
from statistics import median, quantiles
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

PlatformId = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{1,31}\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
Word = Annotated[str, Meta(min_length=1, max_length=32)]
GATEWAY_PREFIX = "platform-"
"""Before the id of a platform it makes the gateway id under which its lifts are logged."""
OFFSETS_MAX = 64
"""So many of the newest offsets of its clock are kept."""
OFFSETS_MIN = 5
"""With fewer nothing is said of its clock."""
CONSTANT_MS = 60_000
"""Offsets that lie closer together than this are of one clock that is off, not of a backlog."""
SEND = "lift_platform.send"
SCOPES = (SEND, "assets.read", "alarms.read")
"""Calls that a platform's token may be for."""
Outcome = Literal["taken", "duplicate", "refused"]


class NewPlatform(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A platform to register."""

    id: PlatformId
    name: Name
    dialect: Word
    dialect_version: Annotated[str, Meta(min_length=1, max_length=16)]
    organisation: Word | None = None
    """Whose it is; None: the caller's own."""


class PlatformChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be another; None: as it is."""

    name: Name | None = None
    dialect: Word | None = None
    dialect_version: Annotated[str, Meta(min_length=1, max_length=16)] | None = None


class ClockOffset(msgspec.Struct, frozen=True, kw_only=True):
    """How far the times of a platform lie before their receipt, of the newest requests."""

    median_ms: int
    """Positive: its clock is slow, or its data are late."""
    spread_ms: int
    """Between the quartiles: a few that are far off tell nothing of the clock."""
    constant: bool
    """All lie together: it is the clock. Else it is a backlog that is sent later."""
    samples: int


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """One platform, as people see it; no secret."""

    id: str
    name: str
    organisation: str
    dialect: str
    dialect_version: str
    dialect_known: bool = True
    """False: no file of this service has it any more; every code of it counts as unknown."""
    state: Literal["active", "revoked"]
    secret_at: int
    """When its secret was made."""
    created_at: int
    updated_at: int
    heard_at: int | None = None
    taken: int = 0
    duplicate: int = 0
    refused: int = 0
    placed: int = 0
    """Emergencies whose own time could not be, dated by their receipt."""
    lifts: int = 0
    waiting: int = 0
    """Envelopes that the log has not settled yet."""
    clock_offset: ClockOffset | None = None
    last_refusal: str = ""

    @property
    def gateway(self) -> str:
        """Return the gateway id under which its lifts are logged."""
        return GATEWAY_PREFIX + self.id


class ItemOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one item."""

    index: int
    outcome: Outcome
    reason: str = ""
    detail: str = ""
    placed: bool = False
    """It is dated by its receipt: its own time could not be."""
    unknown_codes: tuple[str, ...] = ()
    unknown_fields: tuple[str, ...] = ()


class BatchOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a request, item by item."""

    received_at: int
    taken: int
    duplicate: int
    refused: int
    items: tuple[ItemOutcome, ...]


class UnknownSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A raw code, or a status item, that a version of a dialect does not have."""

    dialect: str
    version: str
    what: Literal["code", "field"]
    raw: str
    count: int
    first_at: int
    last_at: int
    platform: str
    asset: str
    sample: str


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access token as RFC 6749, 5.1 answers it."""

    access_token: str
    expires_in: int
    scope: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # the kind of it


def clock_offset(offsets: Sequence[int]) -> ClockOffset | None:
    """Sum the offsets up, ms each; None with too few."""
    if len(offsets) < OFFSETS_MIN:
        return None
    first, _, third = quantiles(offsets, n=4)
    spread = round(third - first)
    return ClockOffset(
        median_ms=round(median(offsets)),
        spread_ms=spread,
        constant=spread < CONSTANT_MS,
        samples=len(offsets),
    )
