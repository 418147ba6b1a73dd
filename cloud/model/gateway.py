"""A gateway as its own messages describe it."""

import msgspec


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a gateway beside the account of its batches."""

    gateway_id: str
    online: bool = False
    last_heard_at: int | None = None
    """When anything of it was last received, ms since 1970."""
    boot_id: str | None = None
    """None: it never sent a `state`."""
    version: str | None = None
    site_sha256: str | None = None
    counters: dict[str, int | float] = {}
    """From its last status record."""
