"""A person at a page."""

import msgspec

from cloud.model.principal import Principal


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """An open session."""

    id: str
    """Names it to its owner; it opens nothing."""
    cookie: str
    principal: Principal
    csrf: str
    opened_at: int
    """ms since 1970."""

    def __repr__(self) -> str:
        """Leave the secrets out."""
        return f"Session({self.id})"

    @property
    def by(self) -> str:
        """How this person is written into records."""
        return self.principal.by


class Pending(msgspec.Struct, frozen=True):
    """A password was right, and the second factor is asked for."""

    token: str
    """Comes back with the code."""


SESSION_COOKIE = "suyuan_session"
KNOWN_COOKIE = "suyuan_known"
CSRF_HEADER = "x-csrf-token"
