"""Passwords: what is asked of them, and how they are kept."""

from pwdlib import PasswordHash

from protocols.errors import RefuseInput

CHARS_MIN = 10

_hasher = PasswordHash.recommended()


def hash_password(password: str) -> str:
    """Return the password as it is kept (argon2id); takes about 0.1 s, so call it in a thread.

    Raises:
        RefuseInput: `weak_password`.

    """
    if len(password) < CHARS_MIN:
        raise RefuseInput("weak_password", f"password: expected at least {CHARS_MIN} characters")
    return _hasher.hash(password)
