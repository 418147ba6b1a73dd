"""A name that stands for a person and does not tell who: keyed, and the same within a term."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from sqlalchemy import ColumnElement, and_, func

from protocols.errors import StopService

KEY_FILE, KEY_BYTES = "pseudonym.key", 32
PREFIX, DIGITS = "pseudonym:", 16
HEX = "0123456789abcdef"


class Pseudonyms:
    """Makes pseudonyms; without the key nobody can tell whose one is, or try names out."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, name: str, at_ms: int, term_ms: int) -> str:
        """Return the pseudonym of `name` for what happened at `at_ms`.

        Time is cut into pieces of the term's length: within one the same person keeps the same
        pseudonym, beyond it nothing ties the two together.
        """
        piece = f"{term_ms} {at_ms // term_ms} {name}"
        digest = hmac.new(self._key, piece.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return PREFIX + digest.hexdigest()[:DIGITS]


def is_pseudonym(column: ColumnElement[str]) -> ColumnElement[bool]:
    """Hold where a column has the form of a pseudonym, and so needs none."""
    digits = func.substr(column, len(PREFIX) + 1)
    return and_(
        func.substr(column, 1, len(PREFIX)) == PREFIX,
        func.length(column) == len(PREFIX) + DIGITS,
        func.rtrim(digits, HEX) == "",
    )


def open_pseudonyms(data: Path) -> Pseudonyms:
    """Read the key in the data folder, made if missing: of several processes one makes it.

    Raises:
        StopService: the file is damaged.

    """
    path = data / KEY_FILE
    if not path.exists():
        _make(path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise StopService(f"{path}: expected {KEY_BYTES} bytes, found {len(key)}")
    return Pseudonyms(key)


def _make(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
