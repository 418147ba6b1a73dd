"""The small messages beside the envelope: ack, state, command (design 3)."""

from typing import Any

import msgspec

from protocols.ids import SPOOL_ID
from protocols.topics import Stream


class Ack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """What the cloud has settled of one (spool, stream); may be repeated at any time."""

    spool: str
    stream: Stream
    through: int
    """1..through are settled."""
    received: list[tuple[int, int]] = []
    """Inclusive ranges settled beyond `through`, lowest first, at most 256."""
    time: int
    """The cloud's wall clock, ms since 1970."""
    backlog_bytes_s: int
    """Payload bytes per second that the gateway may send of its backlog."""


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A gateway's retained word of itself; the Will says `online: false`."""

    online: bool
    boot_id: str
    version: str | None = None
    site_sha256: str | None = None


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """An order to a gateway; after `expires_at` (ms since 1970) it is refused."""

    id: str
    op: str
    args: dict[str, Any] = {}
    expires_at: int


ack_decoder = msgspec.json.Decoder(Ack)
state_decoder = msgspec.json.Decoder(State)
command_decoder = msgspec.json.Decoder(Command)


def is_spool_id(text: str) -> bool:
    """Tell whether `text` is 32 hex digits."""
    return SPOOL_ID.fullmatch(text) is not None
