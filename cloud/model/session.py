"""A person at a page."""

import msgspec

from cloud.model.principal import Principal


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """An open session."""

    principal: Principal
    token: str
    """What it ends with: the beginning of the hash of the token that opened it."""
    csrf: str
    opened_at: int
    """ms since 1970."""
    renewed_at: int
    """ms since 1970."""

    @property
    def by(self) -> str:
        """How this person is written into records."""
        return self.principal.by


SESSION_COOKIE = "suyuan_session"
CSRF_HEADER = "x-csrf-token"
