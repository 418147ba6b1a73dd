"""What the rescue centre's desk keeps beside the rescues: links for telephones, shift notes."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from cloud.model.incident import Incident

LinkKind = Literal["progress", "unit"]
"""progress: how it goes, for who called; unit: the words of the unit that is sent."""
HOUR_MS = 3_600_000


class RescueLink(Struct, frozen=True, kw_only=True):
    """A link that lets a telephone see one rescue, or answer for one unit, without an account."""

    id: int
    incident: int
    kind: LinkKind
    unit: str | None
    """The unit that it speaks for; None for `progress`."""
    created_at: int
    created_by: str
    opened_at: int | None = None
    """When it was first opened; ms since 1970."""
    revoked_at: int | None = None
    revoked_by: str = ""


class LinkBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which link is wanted."""

    kind: LinkKind
    unit: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,64}\Z")] | None = None
    """Of a unit's link; default the incident's present one."""


class Handover(Struct, frozen=True, kw_only=True):
    """A shift that ended: what was open, how much happened, who goes on; never changed."""

    id: int
    organisation: str
    by: str
    to: str
    note: str
    from_at: int
    """When the shift began: the handover before, or 12 h earlier at most."""
    made_at: int
    open: tuple[str, ...]
    """Numbers of the incidents that were open, the first 100."""
    opened: int
    """Incidents of the shift, and those of them and earlier ones that ended in it."""
    ended: int


class HandoverBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who takes over, and what they must know."""

    to: Annotated[str, Meta(min_length=1, max_length=64)]
    note: Annotated[str, Meta(max_length=4_000)] = ""


def is_over(incident: Incident, hours_after: int, now_ms: int) -> bool:
    """Tell whether links of an incident hold no more: it ended so many hours ago."""
    if incident.ended_at is None:
        return False
    return now_ms >= incident.ended_at + hours_after * HOUR_MS
