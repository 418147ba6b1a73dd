"""The accounts in memory, as their rows say."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from cloud.model.account import Account
from cloud.model.database import Database, Work
from cloud.model.people_tables import account
from protocols.clock import Clock
from protocols.errors import RefuseInput

SKEW_MS = 60_000
"""So far the clocks of several processes may be apart."""
LISTS = ("roles", "districts", "categories", "recovery")
"""Columns that hold JSON."""


class AccountBook:
    """All accounts. Not thread-safe: it lives on the event loop."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._by_id: dict[int, Account] = {}
        self._by_name: dict[str, int] = {}
        self._read_at = 0

    async def load(self) -> None:
        """Read all."""
        self._read_at = self._clock.wall_ms()
        await self._database.read(lambda c: self._read(c, 0))

    async def refresh(self) -> None:
        """Read what other parts and processes wrote since the last call."""
        since_ms, self._read_at = self._read_at - SKEW_MS, self._clock.wall_ms()
        await self._database.read(lambda c: self._read(c, since_ms))

    def get(self, account_id: int) -> Account | None:
        """Return one."""
        return self._by_id.get(account_id)

    def named(self, username: str) -> Account | None:
        """Return the account of a user name, however it is capitalised."""
        return self._by_id.get(self._by_name.get(username.strip().lower(), 0))

    def of(self, organisation: str | None = None) -> list[Account]:
        """Return the accounts of an organisation, or all, by id; those that are gone are not."""
        found = (one for one in self._by_id.values() if one.state != "gone")
        wanted = (one for one in found if organisation in (None, one.organisation))
        return sorted(wanted, key=lambda one: one.id)

    async def add(self, new: Account, *also: Work, note: Callable[[int], Work]) -> Account:
        """Write a new account; RefuseInput `username_taken`.

        Its `id` is given here: `note` is told, and comes last in the transaction.
        """

        def work(connection: Connection) -> int:
            taken = select(account.c.id).where(account.c.username == new.username)
            if connection.execute(taken).first() is not None:
                raise RefuseInput("username_taken", f"expected another name than {new.username}")
            row = to_row(new)
            del row["id"]
            made = connection.execute(insert(account).values(**row))
            account_id = int(made.inserted_primary_key[0])  # type: ignore[index]  # an insert has one
            for more in (*also, note(account_id)):
                more(connection)
            return account_id

        added = msgspec.structs.replace(new, id=await self._database.write(work))
        self._remember(added)
        return added

    async def change(self, account_id: int, *also: Work, **fields: Any) -> Account:
        """Change fields; durable on return. RefuseInput `not_found`."""
        before = self._by_id.get(account_id)
        if before is None:
            raise RefuseInput("not_found", f"no account {account_id}")
        fields["updated_at"] = self._clock.wall_ms()
        row = to_row_of(fields)
        change = update(account).where(account.c.id == account_id).values(**row)
        await self._database.write(lambda c: c.execute(change), *also)
        after = msgspec.structs.replace(self._by_id.get(account_id, before), **fields)
        self._remember(after)
        return after

    async def decide(
        self, account_id: int, decision: Callable[[Account], Mapping[str, Any]], *also: Work
    ) -> tuple[Account, bool]:
        """Change an account by what it is in the database at that moment; nobody comes between.

        `decision` tells which fields change; where it tells none, `also` is not done either.
        Returns the account as it was, and whether it was changed. RefuseInput `not_found`.
        """
        mine = account.c.id == account_id
        query = select(account).where(mine).with_for_update()

        def work(connection: Connection) -> tuple[Account, dict[str, Any]]:
            row = connection.execute(query).mappings().first()
            if row is None:
                raise RefuseInput("not_found", f"no account {account_id}")
            before = from_row(row)
            fields = dict(decision(before))
            if fields:
                fields["updated_at"] = self._clock.wall_ms()
                connection.execute(update(account).where(mine).values(**to_row_of(fields)))
                for more in also:
                    more(connection)
            return before, fields

        before, fields = await self._database.write(work)
        self._remember(msgspec.structs.replace(before, **fields))
        return before, bool(fields)

    async def change_all(self, changes: Mapping[int, Mapping[str, Any]], *also: Work) -> None:
        """Change several accounts, all or none."""
        now_ms = self._clock.wall_ms()

        def work(connection: Connection) -> None:
            for account_id, fields in changes.items():
                row = to_row_of({**fields, "updated_at": now_ms})
                connection.execute(update(account).where(account.c.id == account_id).values(**row))

        await self._database.write(work, *also)
        for account_id, fields in changes.items():
            before = self._by_id[account_id]
            self._remember(msgspec.structs.replace(before, **fields, updated_at=now_ms))

    def _read(self, connection: Connection, since_ms: int) -> None:
        query = select(account).where(account.c.updated_at >= since_ms)
        for row in connection.execute(query).mappings():
            self._remember(from_row(row))

    def _remember(self, one: Account) -> None:
        earlier = self._by_id.get(one.id)
        if earlier is not None and earlier.username != one.username:
            self._by_name.pop(earlier.username, None)
        self._by_id[one.id] = one
        self._by_name[one.username] = one.id


def from_row(row: Any) -> Account:
    """Read a row."""
    fields = {name: row[name] for name in Account.__struct_fields__}
    for name in LISTS:
        fields[name] = None if fields[name] is None else tuple(msgspec.json.decode(fields[name]))
    return Account(**fields)


def to_row(one: Account) -> dict[str, Any]:
    """Write a row."""
    return to_row_of(msgspec.structs.asdict(one))


def to_row_of(fields: dict[str, Any]) -> dict[str, Any]:
    """Write some columns."""
    return {
        name: _json(value) if name in LISTS and value is not None else value
        for name, value in fields.items()
    }


def _json(items: Iterable[str]) -> str:
    return msgspec.json.encode(list(items)).decode()
