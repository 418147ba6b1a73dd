"""What could not be taken, kept with its bytes and the reason."""

import msgspec

from protocols.topics import Stream


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One refused payload or record."""

    received_at: int
    """ms since 1970."""
    consumer: str
    """Who refused it: `ingest`, `telemetry`, `rules`."""
    topic: str
    reason: str
    detail: str
    body: bytes
    gateway: str | None = None
    spool: str | None = None
    stream: Stream | None = None
    seq: int | None = None
    record_index: int | None = None
