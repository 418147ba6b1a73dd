"""Accounts and organisations in a real state database, and who lets them in."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyotp
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import insert, select, update

from cloud.access.book import AccessBook
from cloud.access.second_factor import KEY_FILE, STEP_S
from cloud.model import people_tables
from cloud.model.account import Account
from cloud.model.database import Database, Work
from cloud.model.session import Session
from cloud.organisations.book import OrganisationBook
from protocols.clock import ManualClock

TOKEN = "a-token-of-some-length"
PASSWORD = "fünf Äpfel im Korb"
QUICK = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
"""Argon2 without its cost, for tests that are about something else."""
HASH = QUICK.hash(PASSWORD)


def code_of(secret: str, now_ms: int, steps: int = 0) -> str:
    """Return the code that a telephone shows, its clock so many steps off."""
    return str(pyotp.TOTP(secret).generate_otp(now_ms // 1000 // STEP_S + steps))


@dataclass
class Door:
    """Who may come in, as one process of a service has it."""

    database: Database
    clock: ManualClock
    folder: Path
    organisations: OrganisationBook
    book: AccessBook

    async def again(self, token: str | None = TOKEN) -> "Door":
        """Return another process on the same database."""
        return await open_door(self.database, self.clock, self.folder, token)

    async def refresh(self) -> None:
        """Learn what others wrote."""
        await self.organisations.refresh()
        await self.book.refresh()

    async def log_in(
        self, username: str, password: str = PASSWORD, *, address: str = "::1", known: str = ""
    ) -> Any:
        """Come in by a password."""
        return await self.book.log_in(username, password, address=address, known=known)

    async def opened(self, account_id: int, *, second_factor: bool = False) -> Session:
        """Open a session of somebody who was proven elsewhere."""
        return await self.book.open_session(account_id, second_factor=second_factor)

    async def organisation(
        self,
        organisation_id: str,
        kind: str = "enterprise",
        *,
        districts: Sequence[str] = (),
        categories: Sequence[str] = (),
        state: str = "active",
        quotas: str = "{}",
    ) -> None:
        """Make an organisation."""
        now_ms = self.clock.wall_ms()
        row = {
            "id": organisation_id,
            "kind": kind,
            "name": f"Firm {organisation_id}",
            "districts": json.dumps(list(districts)),
            "categories": json.dumps(list(categories)),
            "contact": "{}",
            "quotas": quotas,
            "tolerances": "standard",
            "state": state,
            "applied_at": now_ms,
            "reason": "",
            "repeated": 0,
            "updated_at": now_ms,
            "open": "y",
        }
        table = people_tables.organisation
        self.database.write_now(lambda c: c.execute(insert(table).values(**row)))
        await self.refresh()

    async def account(
        self, username: str, *roles: str, organisation: str = "platform", **columns: Any
    ) -> int:
        """Make an account; returns its id."""
        now_ms = self.clock.wall_ms()
        row = {
            "username": username,
            "name": "王五",
            "organisation": organisation,
            "roles": json.dumps(list(roles)),
            "password": HASH,
            "recovery": "[]",
            "state": "active",
            "failures": 0,
            "created_at": now_ms,
            "updated_at": now_ms,
        }
        table = people_tables.account
        made = self.database.write_now(lambda c: c.execute(insert(table).values(row | columns)))
        await self.refresh()
        assert made.inserted_primary_key is not None
        return int(made.inserted_primary_key[0])

    async def set_account(self, account_id: int, **columns: Any) -> None:
        """Change a row, as another process would."""
        self.clock.advance(1_000)
        table, columns["updated_at"] = people_tables.account, self.clock.wall_ms()
        change = update(table).where(table.c.id == account_id).values(**columns)
        self.database.write_now(lambda c: c.execute(change))
        await self.refresh()

    def row(self, account_id: int) -> Any:
        """Read a row."""
        table = people_tables.account
        query = select(table).where(table.c.id == account_id)
        return self.database.read_now(lambda c: c.execute(query).one())

    def known(self, account_id: int) -> Account:
        """Return an account as this process knows it."""
        found = self.book.accounts.get(account_id)
        assert found is not None
        return found

    async def give_second_factor(self, account_id: int) -> str:
        """Give an account a second factor; returns its secret."""
        secret, sealed = self.book.second_factor.new_secret()
        await self.set_account(account_id, second_factor=sealed)
        return secret

    def code(self, secret: str, steps: int = 0) -> str:
        """Return the code that a telephone shows, its clock so many steps off."""
        return code_of(secret, self.clock.wall_ms(), steps)


def unnoted(_subject: str) -> Work:
    """Note nothing."""
    return lambda _connection: None


async def open_door(
    database: Database, clock: ManualClock, folder: Path, token: str | None = TOKEN
) -> Door:
    """Open who may come in, as a service does."""
    organisations = OrganisationBook(database, clock)
    await organisations.load()
    book = AccessBook(
        database, clock, admin_token=token, data=folder, organisations=organisations.peek
    )
    await book.load()
    await book.open_key(folder / KEY_FILE)
    return Door(database, clock, folder, organisations, book)
