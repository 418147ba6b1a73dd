"""Passwords: what is asked of them, and how they are kept."""

import asyncio
from collections.abc import Iterable

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError

from protocols.errors import RefuseInput, RetryLater

CHARS_MIN, CHARS_MAX = 12, 128
AT_ONCE_MAX = 2
WAITING_MAX = 32
"""Passwords that wait to be looked at; a further one is told to come again."""
COMMON = ("password", "passw0rd", "123456", "qwerty", "111111", "abc123", "admin", "woaini")
"""A password that is little more than one of these is no secret."""
COMMON_REST_CHARS = 6

_hasher = PasswordHash.recommended()
_DUMMY = _hasher.hash("of nobody at all")


def hash_password(password: str) -> str:
    """Return the password as it is kept (argon2id); takes about 0.1 s, so call it in a thread.

    Raises:
        RefuseInput: `weak_password`.

    """
    if not CHARS_MIN <= len(password) <= CHARS_MAX:
        raise RefuseInput("weak_password", f"expected {CHARS_MIN} to {CHARS_MAX} characters")
    return _hasher.hash(password)


def check_password(password: str, *, own: Iterable[str]) -> None:
    """Refuse a password that others would guess first; `own`: names of its owner.

    Raises:
        RefuseInput: `weak_password`.

    """
    plain = password.casefold()
    if len(set(plain)) < 5:  # fewer different characters are a pattern
        raise RefuseInput("weak_password", "expected more different characters")
    for word in (*COMMON, *(name.casefold() for name in own if len(name) > 3)):
        if word in plain and len(plain) - len(word) < COMMON_REST_CHARS:
            raise RefuseInput("weak_password", f"expected less of {word[:20]!r} in it")


class Verifier:
    """Looks at passwords, few at a time: a flood of wrong ones must not eat the machine."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)
        self._waiting = 0

    async def verify(self, password: str, kept: str | None) -> bool:
        """Tell whether it is the password that was kept; it takes as long when none was.

        Raises:
            RetryLater: too many wait already.

        """
        if self._waiting >= WAITING_MAX:
            raise RetryLater("too many people sign in at once")
        self._waiting += 1
        try:
            async with self._turns:
                right = await asyncio.to_thread(_verify, password[:CHARS_MAX], kept or _DUMMY)
        finally:
            self._waiting -= 1
        return right and kept is not None and len(password) <= CHARS_MAX


def _verify(password: str, kept: str) -> bool:
    try:
        return _hasher.verify(password, kept)
    except UnknownHashError:
        return False
