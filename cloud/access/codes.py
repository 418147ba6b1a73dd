"""One-time codes: of an invitation, of a password reset, of a handheld."""

import hashlib
import secrets
from typing import Literal

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from cloud.model.people_tables import one_time_code
from protocols.errors import RefuseInput

Purpose = Literal["invite", "reset", "device"]
CODE_MS = 72 * 3600 * 1000
DEVICE_CODE_MS = 30 * 60_000
CODE_CHARS = 20
LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""None that is taken for another; 20 of them are 100 bits."""
CHARS_MAX = 64


def new_code() -> str:
    """Return a code as it is handed over: `XXXXX-XXXXX-XXXXX-XXXXX`."""
    letters = "".join(secrets.choice(LETTERS) for _ in range(CODE_CHARS))
    return "-".join(letters[at : at + 5] for at in range(0, CODE_CHARS, 5))


def keep_code(
    connection: Connection, code: str, purpose: Purpose, account: int, now_ms: int
) -> None:
    """Keep the hash of a code; earlier ones of the purpose and the account are void."""
    earlier = one_time_code.c.account == account, one_time_code.c.purpose == purpose
    connection.execute(delete(one_time_code).where(*earlier))
    row = {
        "sha256": _digest(code),
        "purpose": purpose,
        "account": account,
        "detail": "{}",
        "created_at": now_ms,
        "expires_at": now_ms + (DEVICE_CODE_MS if purpose == "device" else CODE_MS),
    }
    connection.execute(insert(one_time_code).values(**row))


def look_at_code(
    connection: Connection, code: str, purposes: tuple[Purpose, ...], now_ms: int
) -> int:
    """Return the account of a code that is good, and leave it so; RefuseInput `bad_code`."""
    row = connection.execute(select(one_time_code.c.account).where(*_good(code, purposes, now_ms)))
    if (found := row.first()) is None:
        raise RefuseInput("bad_code", "the code is not good, or no longer")
    return int(found.account)


def use_code(connection: Connection, code: str, purposes: tuple[Purpose, ...], now_ms: int) -> int:
    """Use a code up; returns its account.

    Raises:
        RefuseInput: `bad_code`: unknown, used, over, or for something else; nothing tells which.

    """
    account, good = look_at_code(connection, code, purposes, now_ms), _good(code, purposes, now_ms)
    used = connection.execute(update(one_time_code).where(*good).values(used_at=now_ms))
    if used.rowcount != 1:  # another one was quicker
        raise RefuseInput("bad_code", "the code is not good, or no longer")
    return account


def _good(code: str, purposes: tuple[Purpose, ...], now_ms: int) -> tuple[ColumnElement[bool], ...]:
    return (
        one_time_code.c.sha256 == _digest(code),
        one_time_code.c.purpose.in_(purposes),
        one_time_code.c.used_at.is_(None),
        one_time_code.c.expires_at > now_ms,
    )


def _digest(code: str) -> str:
    plain = "".join(char for char in code[:CHARS_MAX].upper() if char.isalnum())
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()
