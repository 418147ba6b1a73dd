"""The tokens that lead to a next page: sealed, good for an hour, for one caller and one query."""

import base64
import hashlib
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from protocols.clock import Clock
from protocols.errors import RefuseInput

GOOD_S = 3600
KEY_BYTES = 32


class Spent(Protocol):
    """Tokens that were let go of before their time."""

    async def add(self, digest: bytes, expires_at_ms: int, now_ms: int) -> None:
        """Remember one until it ends."""
        ...

    async def holds(self, digest: bytes) -> bool:
        """Tell whether it was let go of."""
        ...


class PageTokens:
    """Makes and opens them. What they hold is nobody's to read or to change."""

    def __init__(self, key: bytes, clock: Clock, spent: Spent) -> None:
        """Take a secret of `KEY_BYTES` that all serving processes share."""
        self._fernet = Fernet(base64.urlsafe_b64encode(key))
        self._clock, self._spent = clock, spent

    def make(self, about: bytes, place: object) -> tuple[str, int]:
        """Return a token and when it ends, ms since 1970.

        Args:
            about: as of `about_of`.
            place: where the next page begins, as msgspec can encode it.

        """
        now_s = self._clock.wall_ms() // 1000
        sealed = self._fernet.encrypt_at_time(about + msgspec.msgpack.encode(place), now_s)
        return sealed.decode().rstrip("="), (now_s + GOOD_S) * 1000

    async def open(self, token: str, about: bytes) -> Any:
        """Return the place that a token holds.

        Raises:
            RefuseInput: `bad_token`: changed, too old, let go of, or of another query or caller.

        """
        sealed = _sealed(token)
        plain = self._unsealed(sealed)
        if plain[: len(about)] != about:
            raise RefuseInput("bad_token", "nextPageToken: of another query or another caller")
        if await self._spent.holds(_digest(sealed)):
            raise RefuseInput("bad_token", "nextPageToken: it was given back")
        return msgspec.msgpack.decode(plain[len(about) :])

    async def spend(self, token: str, caller: str) -> None:
        """Let go of a token, which must be the caller's; RefuseInput `bad_token`."""
        sealed = _sealed(token)
        if self._unsealed(sealed)[:_HALF] != _caller(caller):
            raise RefuseInput("bad_token", "nextPageToken: of another caller")
        now_ms = self._clock.wall_ms()
        await self._spent.add(_digest(sealed), now_ms + GOOD_S * 1000, now_ms)

    def _unsealed(self, sealed: bytes) -> bytes:
        try:
            plain = self._fernet.decrypt(sealed)
            made_s = self._fernet.extract_timestamp(sealed)
        except InvalidToken:
            raise RefuseInput("bad_token", "nextPageToken: it was not given out here") from None
        if made_s + GOOD_S <= self._clock.wall_ms() // 1000:
            raise RefuseInput(
                "bad_token", "nextPageToken: it has expired, ask again from the start"
            )
        return plain


def about_of(caller: str, path: str, parameters: Iterable[tuple[str, str]]) -> bytes:
    """Return what binds a token: the caller and the query, whatever the size of its pages."""
    kept = sorted(one for one in parameters if one[0] not in ("nextPageToken", "perPage"))
    query = hashlib.sha256(msgspec.json.encode([path, kept])).digest()
    return _caller(caller) + query[:_HALF]


_HALF = 16


def _caller(caller: str) -> bytes:
    return hashlib.sha256(caller.encode()).digest()[:_HALF]


def _sealed(token: str) -> bytes:
    text = token.encode("utf-8", "replace")
    return text + b"=" * (-len(text) % 4)


def _digest(sealed: bytes) -> bytes:
    """Name a token by what it holds: the same bytes can be spelt in several ways."""
    return hashlib.sha256(base64.urlsafe_b64decode(sealed)).digest()
