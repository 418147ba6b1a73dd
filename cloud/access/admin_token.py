"""The administrator's token: of the environment, or made up at the first start."""

import hmac
import logging
import secrets
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from cloud.access.digest import digest_of
from cloud.model import tables

ADMIN = "admin"
CHARS_SAFE = 16
CHARS_MAX = 512

_log = logging.getLogger(__name__)


class AdminTokens:
    """Tokens by the hash that is kept of them."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def load(
        self, connection: Connection, given: str | None, folder: Path | None, now_ms: int
    ) -> bool:
        """Read them; returns whether an earlier one was replaced.

        `given` (of the environment) becomes the admin's token instead of an earlier one. Without
        it the earlier one stays; where there is none, one is made up and written to the file
        `admin_token` in `folder`, for its owner's eyes only.
        """
        replaced = False
        if given:
            if len(given) < CHARS_SAFE:
                _log.warning("the admin token is shorter than %d characters", CHARS_SAFE)
            replaced = _set(connection, digest_of(given), now_ms)
        elif folder and connection.execute(select(tables.token)).first() is None:
            _set(connection, digest_of(_make_up(folder)), now_ms)
        rows = connection.execute(select(tables.token))
        self._names = {row.sha256: row.name for row in rows}
        return replaced

    def find(self, token: str) -> str | None:
        """Return the name of a valid token; compares in constant time."""
        if not 0 < len(token) <= CHARS_MAX:
            return None
        given, found = digest_of(token), None
        for digest, name in self._names.items():  # all of them, so that time tells nothing
            if hmac.compare_digest(digest, given):
                found = name
        return found


def _make_up(folder: Path) -> str:
    """Make a token up and write it where only the service's user can read it."""
    token, file = secrets.token_urlsafe(24), folder / "admin_token"
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(token + "\n")
    _log.warning("no admin token was given: one was made up, see %s", file)
    return token


def _set(connection: Connection, digest: str, now_ms: int) -> bool:
    token = tables.token
    other = token.c.name == ADMIN, token.c.sha256 != digest
    replaced = connection.execute(delete(token).where(*other)).rowcount > 0
    if connection.execute(select(token).where(token.c.sha256 == digest)).first() is None:
        connection.execute(insert(token).values(sha256=digest, name=ADMIN, created_at=now_ms))
    return replaced
