"""Passwords: what is asked of them, and how they are kept.

Length counts, composition does not (NIST SP 800-63B-4, section 3.1.1.2). Argon2id with the second
set of parameters of RFC 9106: 64 MiB and a tenth of a second of a processor for each.
"""

import asyncio
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Literal, TypeVar

import msgspec
from pwdlib import PasswordHash
from pwdlib.exceptions import PwdlibError

from protocols.border import load_toml
from protocols.catalog.files import data_root
from protocols.errors import RefuseInput, RetryLater

T = TypeVar("T")
CHARS_MIN, CHARS_MAX = 12, 128
DIFFERENT_MIN = 5
"""Fewer different characters are a pattern."""
INSIDE_CHARS_MIN = 4
"""A name shorter than that may stand inside a password: many words hold `li`."""
AT_ONCE_MAX = 2
WAITING_MAX = 32
"""Passwords that wait to be looked at; a further one is told to come again."""

_hasher = PasswordHash.recommended()
NOBODYS = (
    "$argon2id$v=19$m=65536,t=3,p=4"
    "$FYJD8xGpAlQW02fu+oW+JQ$NimbnWPZQGApJhfJQ4QDb24RA44Wfb6sqBKznEtKgEA"
)
"""Of no account: looked at for names that do not exist, which so take as long. Written down, for
every process of the service would spend a tenth of a second on it."""


class _Common(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal[1]
    passwords: frozenset[str]


@lru_cache(maxsize=1)
def load_common() -> frozenset[str]:
    """Return the passwords that everybody tries first, in lower case."""
    return load_toml(data_root() / "access" / "common_passwords.toml", _Common).passwords


def check_password(password: str, *, own: Iterable[str] = ()) -> None:
    """Refuse a password that others would guess first; `own`: names of its owner and of the firm.

    Raises:
        RefuseInput: `weak_password`.

    """
    if not CHARS_MIN <= len(password) <= CHARS_MAX:
        raise RefuseInput("weak_password", f"expected {CHARS_MIN} to {CHARS_MAX} characters")
    plain = password.casefold()
    repeated = plain in (plain + plain)[1:-1]
    if plain in load_common() or repeated or len(set(plain)) < DIFFERENT_MIN:
        raise RefuseInput("weak_password", "expected none of those that are tried first")
    names = [name.casefold() for name in own if len(name) >= INSIDE_CHARS_MIN]
    if any(name in plain for name in names):
        raise RefuseInput("weak_password", "expected no name of the account or the organisation")


def hash_password(password: str) -> str:
    """Return the password as it is kept (argon2id); takes about 0.1 s, so call it in a thread.

    Raises:
        RefuseInput: `weak_password`.

    """
    check_password(password)
    return _hasher.hash(_composed(password))


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
        right = await self._in_turn(_verify, password[:CHARS_MAX], kept or NOBODYS)
        return right and kept is not None and len(password) <= CHARS_MAX

    async def hash(self, password: str, *, own: Iterable[str]) -> str:
        """Return a password as it is kept.

        Raises:
            RefuseInput: `weak_password`.
            RetryLater: too many wait already.

        """
        check_password(password, own=own)
        return await self._in_turn(hash_password, password)

    async def _in_turn(self, work: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= WAITING_MAX:
            raise RetryLater("too many people sign in at once")
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work, *arguments)
        finally:
            self._waiting -= 1


def _verify(password: str, kept: str) -> bool:
    try:
        return _hasher.verify(_composed(password), kept)
    except PwdlibError:  # a row that was damaged
        return False


def _composed(password: str) -> bytes:
    """Encode it so that the same keys give the same bytes on every system."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
