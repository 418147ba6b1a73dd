"""Firms that ask to be let in.

Who asks learns only that the application came in. Whether its credit code or its username is known
here is for the district, which sees both; so neither can be found out by asking.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

import msgspec
from sqlalchemy import Connection, func, select

from cloud.model.database import Database, Work, take_turn
from cloud.model.organisation import Application, Organisation
from cloud.model.people_tables import organisation, organisation_district
from cloud.organisations import members
from cloud.organisations.book import TURN, OrganisationBook
from cloud.organisations.details import check_application
from cloud.organisations.rows import open_with_code, write_row
from protocols.clock import Clock
from protocols.errors import RefuseInput

WAITING_MAX = 500
"""Applications that wait in one district; a further one there is refused until it has decided
some, so nobody can drown one district, or by it the others."""
DECIDE_S = 3_600
ATTEMPTS_MAX = 20
ATTEMPTS_WINDOW_MS = 3_600_000
"""Applications from one address within an hour: a hall of stall holders may sit behind one."""

HASHES_AT_ONCE = 2
"""Each takes 64 MiB and a tenth of a second of a processor: strangers get no more of them."""
HASHES_WAITING_MAX = 20
BUSY_S = 10


class Limiter(Protocol):
    """Counts attempts by address; times are ms of one steady clock."""

    def wait_ms(self, address: str, now_ms: int) -> int:
        """Return how long this address must wait, 0 when it need not."""
        ...

    def failed(self, address: str, now_ms: int) -> None:
        """Count an attempt."""
        ...


class SignUpDesk:
    """Takes applications."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        book: OrganisationBook,
        *,
        limiter: Limiter,
        hash_password: Callable[[str], str],
        new_id: Callable[[], str],
    ) -> None:
        """Put it together.

        Args:
            database: the state.
            clock: of the process.
            book: the organisations.
            limiter: counts applications by address.
            hash_password: slow; RefuseInput for one that is too weak.
            new_id: makes up ids of organisations that cannot be guessed.

        """
        self._database, self._clock, self._book = database, clock, book
        self._limiter, self._hash, self._new_id = limiter, hash_password, new_id
        self._hashing, self._waiting = asyncio.Semaphore(HASHES_AT_ONCE), 0

    def districts(self) -> Collection[str]:
        """Return the districts that confirm firms."""
        return self._book.districts()

    async def apply(
        self, asked: Application, *, address: str, noted: Callable[[str, bool], Work]
    ) -> None:
        """Take an application; an answer says nothing of what is known here."""
        asked = check_application(asked, self.districts())
        steady_ms = self._clock.boot_ms()
        wait_ms = self._limiter.wait_ms(address, steady_ms)
        if wait_ms > 0:
            raise RefuseInput("too_many_attempts", str(-(-wait_ms // 1000)))
        self._limiter.failed(address, steady_ms)
        # Hashed even where it comes to nothing: else the time taken would tell.
        password = await self._hashed(asked.password)
        now_ms = self._clock.wall_ms()

        def work(connection: Connection) -> Organisation:
            take_turn(connection, TURN)
            _check_waiting(connection, asked.districts)
            known = open_with_code(connection, asked.credit_code or "")
            if known is not None:
                one = _repeated(known, now_ms)
            else:
                one = _new(self._new_id(), asked, now_ms)
                _open_first(connection, one, asked.username, password, now_ms)
            write_row(connection, one)
            noted(one.id, known is not None)(connection)
            return one

        self._book.remember(await self._database.write(work))

    async def _hashed(self, password: str) -> str:
        if self._waiting >= HASHES_WAITING_MAX:
            raise RefuseInput("too_many_applications", str(BUSY_S))
        self._waiting += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(self._hash, password)
        finally:
            self._waiting -= 1


def _check_waiting(connection: Connection, districts: Collection[str]) -> None:
    """Refuse where one of the districts has too many to decide about."""
    here = organisation_district.c
    query = (
        select(here.district)
        .join(organisation, organisation.c.id == here.organisation)
        .where(here.district.in_(sorted(districts)), organisation.c.state == "applied")
        .group_by(here.district)
        .having(func.count() >= WAITING_MAX)
    )
    if connection.execute(query).first() is not None:
        raise RefuseInput("too_many_applications", str(DECIDE_S))


def _new(organisation_id: str, asked: Application, now_ms: int) -> Organisation:
    return Organisation(
        id=organisation_id,
        kind=asked.kind,
        name=asked.name,
        credit_code=asked.credit_code,
        districts=asked.districts,
        categories=asked.categories,
        contact=asked.contact,
        state="applied",
        applied_at=now_ms,
        updated_at=now_ms,
    )


def _repeated(known: Organisation, now_ms: int) -> Organisation:
    return msgspec.structs.replace(
        known, repeated=known.repeated + 1, repeated_at=now_ms, updated_at=now_ms
    )


def _open_first(
    connection: Connection, one: Organisation, username: str, password: str, now_ms: int
) -> None:
    members.open_first(
        connection,
        one.id,
        usernames=(username, (one.credit_code or one.id).lower(), one.id),
        name=one.contact.name,
        password=password,
        now_ms=now_ms,
    )
