"""The key of the audit: a file outside the database."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, RowMapping, select

from cloud.model.audit import HALF, is_proven, read_head, seal_of
from cloud.model.people_tables import audit
from protocols.durable import PRIVATE, write_durably
from protocols.errors import StopService

KEY_FILE = "audit.key"
KEY_BYTES = 32
LOOKED_AT = 100
"""So many of the newest entries may all be bent before a right key is taken for a wrong one."""


def read_key(file: Path) -> bytes:
    """Return the key in a file.

    Raises:
        StopService: it is missing, unreadable or of another length.

    """
    try:
        key = file.read_bytes()
    except OSError as error:
        raise StopService(f"the key of the audit, {file}: {error.strerror}") from error
    if len(key) != KEY_BYTES:
        expected = f"expected {KEY_BYTES} bytes, found {len(key)}"
        raise StopService(f"the key of the audit, {file}: {expected}")
    return key


def make_key(file: Path) -> None:
    """Make a key for its owner's eyes only; of several processes the first one's stays."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    write_durably(draft, secrets.token_bytes(KEY_BYTES), PRIVATE)
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def is_begun(connection: Connection) -> bool:
    """Tell whether an audit was begun in this database, so that it has a key."""
    return read_head(connection) is not None or bool(_newest(connection, 1))


def fits(connection: Connection, key: bytes) -> bool:
    """Tell whether the key is that of the audit: its head or one of the newest entries proves it.

    One proof is enough, for the others may have been bent; nothing written yet fits any key.
    """
    if is_proven(connection, key):
        return True
    rows = _newest(connection, LOOKED_AT)
    if not rows and read_head(connection) is None:
        return True
    return any(seal_of(key, {**row}) == row["hash"][:HALF] for row in rows)


def _newest(connection: Connection, limit: int) -> Sequence[RowMapping]:
    query = select(audit).order_by(audit.c.seq.desc()).limit(limit)
    return connection.execute(query).mappings().all()
