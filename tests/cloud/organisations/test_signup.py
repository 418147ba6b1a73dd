"""Firms that ask to be let in, on both databases."""

import asyncio
import threading
from typing import Any

import pytest
from msgspec import convert
from sqlalchemy import select, update

from cloud.access.limiter import FailureLimiter
from cloud.model.database import Database, Work
from cloud.model.organisation import Application, Organisation
from cloud.model.people_tables import account
from cloud.model.principal import EVERYTHING
from cloud.organisations import signup
from cloud.organisations.base import Wanted
from cloud.organisations.book import OrganisationBook
from cloud.organisations.signup import (
    ATTEMPTS_MAX,
    ATTEMPTS_WINDOW_MS,
    HASHES_AT_ONCE,
    HASHES_WAITING_MAX,
    SignUpDesk,
)
from protocols.clock import ManualClock
from protocols.errors import RefuseInput
from tests.support.firms import (
    DISTRICT,
    OTHER_DISTRICT,
    ROOT,
    application,
    credit_code,
    district_details,
    firm_details,
)


class Door:
    """A sign-up desk, and what was noted."""

    def __init__(self, database: Database, clock: ManualClock, book: OrganisationBook) -> None:
        self.database, self.book = database, book
        self.noted: list[tuple[str, bool]] = []
        self.hashed: list[str] = []
        ids = iter(f"firm-{number}" for number in range(1_000))
        self.desk = SignUpDesk(
            database,
            clock,
            book,
            limiter=FailureLimiter(ATTEMPTS_WINDOW_MS, ATTEMPTS_MAX),
            hash_password=self._hash,
            new_id=lambda: next(ids),
        )

    async def apply(self, number: int, *, address: str = "10.0.0.1", **fields: Any) -> None:
        """Ask as a firm."""
        asked = convert(application(number, **fields), Application)
        await self.desk.apply(asked, address=address, noted=self._note)

    async def waiting(self) -> list[Organisation]:
        """Return who waits."""
        return await self.book.find(EVERYTHING, Wanted(states=["applied"]))

    def accounts(self) -> list[tuple[str, str, str]]:
        """Return (username, organisation, state) of all."""
        query = select(account.c.username, account.c.organisation, account.c.state)
        rows = self.database.read_now(lambda c: c.execute(query.order_by(account.c.id)).all())
        return [(row.username, row.organisation, row.state) for row in rows]

    def _hash(self, password: str) -> str:
        self.hashed.append(password)
        return f"hash of {len(password)}"

    def _note(self, organisation_id: str, repeated: bool) -> Work:
        return lambda _: self.noted.append((organisation_id, repeated))


@pytest.fixture
async def door(database: Database, clock: ManualClock, book: OrganisationBook) -> Door:
    await book.put("office", district_details(DISTRICT, OTHER_DISTRICT), by=ROOT)
    return Door(database, clock, book)


async def test_firm_waits_and_its_manager_comes_in_once_it_is_confirmed(door: Door) -> None:
    await door.apply(1)
    (one,) = await door.waiting()
    assert (one.id, one.state, one.credit_code) == ("firm-0", "applied", credit_code(1))
    assert (one.contact.name, one.decided_by) == ("王五", None)
    assert door.accounts() == [("manager1", "firm-0", "invited")]
    assert door.noted == [("firm-0", False)]
    assert door.book.peek("firm-0") == one
    await door.book.take("firm-0", "confirm", scope=EVERYTHING, by=ROOT)
    assert door.accounts() == [("manager1", "firm-0", "active")]


async def test_refused_firm_leaves_no_account_and_may_ask_again(door: Door) -> None:
    await door.apply(1)
    await door.book.take("firm-0", "refuse", scope=EVERYTHING, by=ROOT, reason="材料不全")
    assert door.accounts() == []
    await door.apply(1)
    assert [one.id for one in await door.waiting()] == ["firm-1"]
    assert door.accounts() == [("manager1", "firm-1", "invited")]


async def test_code_known_here_is_told_to_the_district_alone(door: Door) -> None:
    await door.book.put("member", firm_details(1), by=ROOT)
    await door.apply(1, username="impostor", name="别人")
    await door.apply(2)
    await door.apply(2, username="impostor")
    member, waiting = door.book.peek("member"), door.book.peek("firm-0")
    assert member is not None
    assert waiting is not None
    assert (member.repeated, member.state, member.name) == (1, "active", "企业 1")
    assert (waiting.repeated, waiting.state) == (1, "applied")
    assert door.accounts() == [("manager2", "firm-0", "invited")]
    assert door.noted == [("member", True), ("firm-0", False), ("firm-0", True)]
    assert len(door.hashed) == 3  # so that the time taken tells nothing


async def test_username_that_is_taken_becomes_the_credit_code(door: Door) -> None:
    await door.apply(1, username=" Wang ")
    await door.apply(2, username="wang")
    assert [name for name, *_ in door.accounts()] == ["wang", credit_code(2).lower()]
    code = credit_code(2).lower()
    door.database.write_now(lambda c: c.execute(update(account).values(organisation="other")))
    await door.book.take("firm-1", "refuse", scope=EVERYTHING, by=ROOT, reason="x")
    await door.apply(2, username=code)
    assert [name for name, *_ in door.accounts()][2:] == ["firm-2"]


async def test_left_firm_comes_again_as_a_new_one(door: Door) -> None:
    await door.apply(1)
    await door.book.take("firm-0", "confirm", scope=EVERYTHING, by=ROOT)
    await door.book.leave("firm-0", credit_code(1), scope=EVERYTHING, by=ROOT)
    await door.apply(1)
    assert [one.id for one in await door.waiting()] == ["firm-1"]
    assert door.accounts()[1] == ("manager1", "firm-1", "invited")


async def test_one_address_asks_so_often_and_no_more(door: Door, clock: ManualClock) -> None:
    for number in range(ATTEMPTS_MAX):
        await door.apply(number)
    with pytest.raises(RefuseInput, match="too_many_attempts: 3600"):
        await door.apply(50)
    await door.apply(50, address="10.0.0.2")
    clock.advance(ATTEMPTS_WINDOW_MS)
    await door.apply(51)
    assert len(await door.waiting()) == ATTEMPTS_MAX + 2


async def test_district_that_is_full_does_not_shut_the_others(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signup, "WAITING_MAX", 2)
    await door.apply(1)
    await door.apply(2, districts=[DISTRICT, OTHER_DISTRICT])
    for number, districts in ((3, [DISTRICT]), (1, [DISTRICT, OTHER_DISTRICT])):
        with pytest.raises(RefuseInput, match="too_many_applications: 3600"):
            await door.apply(number, districts=districts)
    await door.apply(5, districts=[OTHER_DISTRICT])
    with pytest.raises(RefuseInput, match="too_many_applications"):
        await door.apply(6, districts=[OTHER_DISTRICT])
    await door.book.take("firm-0", "confirm", scope=EVERYTHING, by=ROOT)
    await door.apply(7)


async def test_two_at_once_with_one_code_make_one_firm(door: Door) -> None:
    await asyncio.gather(*(door.apply(1, username=f"user{n}") for n in range(4)))
    (one,) = await door.waiting()
    assert one.repeated == 3
    assert len(door.accounts()) == 1


async def test_weak_password_and_audit_that_fails_leave_nothing(door: Door) -> None:
    def weak(_password: str) -> str:
        raise RefuseInput("weak_password")

    def fail(_connection: object) -> None:
        raise RefuseInput("no_audit")

    asked = convert(application(1), Application)
    door.desk._hash = weak
    with pytest.raises(RefuseInput, match="weak_password"):
        await door.apply(1)
    door.desk._hash = str
    with pytest.raises(RefuseInput, match="no_audit"):
        await door.desk.apply(asked, address="", noted=lambda *_: fail)
    assert await door.waiting() == []
    assert door.accounts() == []
    assert door.book.peek("firm-0") is None


async def test_strangers_get_two_hashes_at_once_and_the_queue_is_bounded(door: Door) -> None:
    running, most = 0, 0
    lock, release = threading.Lock(), threading.Event()

    def slow(_password: str) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        release.wait(10)
        with lock:
            running -= 1
        return "hash"

    door.desk._hash = slow
    addresses = [f"10.0.1.{number}" for number in range(HASHES_WAITING_MAX)]
    asking = [
        asyncio.create_task(door.apply(number, address=address))
        for number, address in enumerate(addresses)
    ]
    await asyncio.sleep(0.1)
    with pytest.raises(RefuseInput, match="too_many_applications: 10"):
        await door.apply(99, address="10.0.2.1")
    release.set()
    await asyncio.gather(*asking)
    assert most == HASHES_AT_ONCE
    assert len(await door.waiting()) == HASHES_WAITING_MAX
    await door.apply(99, address="10.0.2.1")


async def test_without_a_district_nobody_can_ask(
    database: Database, clock: ManualClock, book: OrganisationBook
) -> None:
    door = Door(database, clock, book)
    assert not door.desk.districts()
    with pytest.raises(RefuseInput, match="bad_request: districts"):
        await door.apply(1)
