"""States that were brought back, in whatever process: each counts once."""

import hashlib
import secrets

from sqlalchemy import Connection, delete, insert, select

from cloud.model import tables
from cloud.model.database import take_turn
from cloud.model.people_tables import one_time_code
from protocols.errors import RefuseInput

PURPOSE = "sign_on_state"
SECRET_NAME = "sign_on"  # noqa: S105  # the name of the row, not what is in it


def use_state(connection: Connection, state: str, expires_at: int, now_ms: int) -> None:
    """Note that a state was brought back; RefuseInput `bad_state`: again."""
    digest = hashlib.sha256(state.encode()).hexdigest()
    take_turn(connection, PURPOSE)
    old = one_time_code.c.purpose == PURPOSE, one_time_code.c.expires_at < now_ms
    connection.execute(delete(one_time_code).where(*old))
    if connection.execute(select(one_time_code).where(one_time_code.c.sha256 == digest)).first():
        raise RefuseInput("bad_state", "that was used")
    row = {"sha256": digest, "purpose": PURPOSE, "account": 0, "detail": "{}"}
    times = {"created_at": now_ms, "used_at": now_ms, "expires_at": expires_at}
    connection.execute(insert(one_time_code).values(**row, **times))


def flow_secret(connection: Connection) -> bytes:
    """Return what signs the cookies of those under way, the same in every process."""
    take_turn(connection, SECRET_NAME)
    secret = tables.secret
    row = connection.execute(select(secret.c.value).where(secret.c.name == SECRET_NAME)).first()
    if row is not None:
        return bytes(row.value)
    value = secrets.token_bytes(32)
    connection.execute(insert(secret).values(name=SECRET_NAME, value=value))
    return value
