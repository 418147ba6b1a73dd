"""Who is asking."""

import msgspec


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A person at a page, as the signed cookie says; never kept on the server."""

    token: str
    """First 16 hex digits of the SHA-256 of the token that opened it: gone with the token."""
    by: str
    """How this person is written into records, at most 64 characters."""
    csrf: str
    opened_at: int
    """ms since 1970."""
    renewed_at: int
    """ms since 1970."""


SESSION_COOKIE = "suyuan_session"
CSRF_HEADER = "x-csrf-token"
