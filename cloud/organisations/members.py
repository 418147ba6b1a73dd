"""What happens to the accounts, keys and handhelds of an organisation as it comes and goes."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Select, delete, insert, select, update

from cloud.model.people_tables import (
    account,
    api_key,
    device,
    identity,
    one_time_code,
    session,
)

FIRST_ROLE = "enterprise_manager"


def open_first(
    connection: Connection,
    organisation_id: str,
    *,
    usernames: Sequence[str],
    name: str,
    password: str,
    now_ms: int,
) -> None:
    """Write the account of the first manager, who may come in once the organisation is active.

    `usernames`: the first one that is free is taken, the last one always is; `password`: hashed.
    """
    query = select(account.c.username).where(account.c.username.in_(usernames))
    taken = set(connection.execute(query).scalars())
    connection.execute(
        insert(account).values(
            username=next(one for one in usernames if one not in taken),
            name=name,
            organisation=organisation_id,
            roles=f'["{FIRST_ROLE}"]',
            password=password,
            recovery="[]",
            state="invited",
            failures=0,
            created_at=now_ms,
            updated_at=now_ms,
        )
    )


def first_username(connection: Connection, organisation_id: str) -> str | None:
    """Return the username of the first manager, as long as they wait."""
    waiting = _of(organisation_id), account.c.state == "invited"
    query = select(account.c.username).where(*waiting).order_by(account.c.id).limit(1)
    return connection.execute(query).scalar()


def let_in(connection: Connection, organisation_id: str, now_ms: int) -> None:
    """Let the first manager come in."""
    waiting = _of(organisation_id), account.c.state == "invited"
    change = update(account).where(*waiting)
    connection.execute(change.values(state="active", updated_at=now_ms))


def forget_first(connection: Connection, organisation_id: str) -> None:
    """Delete the account of a manager who was never let in."""
    connection.execute(delete(account).where(_of(organisation_id), account.c.state == "invited"))


def end_sessions(connection: Connection, organisation_id: str, now_ms: int) -> None:
    """Sign everybody out."""
    open_ = session.c.account.in_(_accounts(organisation_id)), session.c.ended_at.is_(None)
    connection.execute(update(session).where(*open_).values(ended_at=now_ms))


def close_all(connection: Connection, organisation_id: str, by: str, now_ms: int) -> None:
    """Revoke what lets anybody in, and empty the accounts: their ids stay, for the history."""
    end_sessions(connection, organisation_id, now_ms)
    accounts = _accounts(organisation_id)
    for table in (identity, one_time_code):
        connection.execute(delete(table).where(table.c.account.in_(accounts)))
    key = api_key.c.organisation == organisation_id, api_key.c.revoked_at.is_(None)
    connection.execute(update(api_key).where(*key).values(revoked_at=now_ms))
    held = device.c.organisation == organisation_id, device.c.revoked_at.is_(None)
    connection.execute(update(device).where(*held).values(revoked_at=now_ms, revoked_by=by))
    for row in connection.execute(accounts.with_only_columns(account.c.id)).all():
        empty = {
            "username": f"gone-{row.id}",
            "name": "",
            "password": None,
            "second_factor": None,
            "recovery": "[]",
            "state": "gone",
            "updated_at": now_ms,
        }
        connection.execute(update(account).where(account.c.id == row.id).values(empty))


def _of(organisation_id: str) -> ColumnElement[bool]:
    return account.c.organisation == organisation_id


def _accounts(organisation_id: str) -> Select[tuple[int]]:
    return select(account.c.id).where(_of(organisation_id))
