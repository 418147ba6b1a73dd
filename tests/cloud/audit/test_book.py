"""Looks are noted once an hour; the audit is read no further than the reader's scope."""

from collections.abc import Iterator

import pytest
from sqlalchemy import insert, select

from cloud.audit import book as book_module
from cloud.audit import find as find_module
from cloud.audit.book import HOUR_MS, AuditBook
from cloud.model.audit import open_head
from cloud.model.audited import AuditPage, AuditQuery
from cloud.model.database import Database
from cloud.model.organisation import Details
from cloud.model.people_tables import account, audit
from cloud.model.permissions import administrator
from cloud.model.principal import EVERYTHING, NOTHING, Granted, Remit, Scope
from cloud.organisations.book import OrganisationBook
from cloud.registry.assets import AssetRegistry
from protocols.clock import ManualClock
from tests.cloud.audit.test_append import KEY, entry
from tests.support.firms import ROOT, firm_details
from tests.support.state_database import open_state

SOMEBODY = Granted(administrator("account", "account:1", "Li"), "assets.read", EVERYTHING)
CHUANYING = Scope(remits=(Remit(frozenset({"chuanying"})),))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    database.write_now(lambda c: open_head(c, KEY))
    yield database
    database.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def book(database: Database, clock: ManualClock) -> AuditBook:
    return AuditBook(database, clock, KEY)


def count(database: Database) -> int:
    return len(database.read_now(lambda c: c.execute(select(audit.c.seq)).all()))


async def test_look_is_noted_once_an_hour_for_each_who_call_and_subject(
    book: AuditBook, database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_call = Granted(SOMEBODY.principal, "alarms.read", EVERYTHING)
    for _ in range(3):
        await book.look(SOMEBODY, {"asset:x:1": {"b", "a"}, "asset:x:2": {"a"}})
        await book.look(other_call, {"asset:x:1": {"a"}})
    assert count(database) == 3
    row = database.read_now(lambda c: c.execute(select(audit)).first())
    assert row is not None
    assert (row.by, row.call, row.subject) == ("account:1", "assets.read", "asset:x:1")
    assert row.detail == '{"shown":["a","b"]}'
    clock.advance(HOUR_MS)
    await book.look(SOMEBODY, {"asset:x:1": {"a"}})
    assert count(database) == 4
    monkeypatch.setattr(book_module, "LOOKS_MAX", 0)
    await book.look(SOMEBODY, {"asset:x:1": {"a"}})
    assert count(database) == 5


async def test_look_that_could_not_be_written_is_written_the_next_time(
    book: AuditBook, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(book, "note", None)
        with pytest.raises(TypeError):
            await book.look(SOMEBODY, {"asset:x:1": {"a"}})
    await book.look(SOMEBODY, {"asset:x:1": {"a"}})
    assert count(database) == 1


async def asked(book: AuditBook, scope: Scope = EVERYTHING, **filters: object) -> list[int]:
    return seqs(await book.find(AuditQuery(scope=scope, **filters)))  # type: ignore[arg-type]


def seqs(page: AuditPage) -> list[int]:
    return [one.seq for one in page.entries]


async def test_find_by_subject_who_call_organisation_and_time(
    book: AuditBook, database: Database
) -> None:
    add_account(database, 12, "li", "active")
    await book.note(
        entry(1),
        entry(2, by="account:13", call="assets.read", subject="feed", organisation=""),
        entry(3, by="token:admin"),
    )
    at = entry(2).recorded_at
    assert await asked(book) == [3, 2, 1]
    assert await asked(book, subject="feed") == [2]
    assert await asked(book, by="account:12") == [1]
    assert await asked(book, by="LI") == [1]
    assert await asked(book, by="nobody") == []
    assert await asked(book, call="assets.read") == [2]
    assert await asked(book, organisation="firm-a") == [3, 1]
    assert await asked(book, from_ms=at, to_ms=at + 1) == [2]
    assert await asked(book, before_seq=3, limit=1) == [2]
    assert await asked(book, subject="feed", by="account:12") == []
    assert await asked(book, NOTHING) == []


async def test_find_pages_to_the_end_also_where_little_fits(
    book: AuditBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    await book.note(*(entry(n, call="a.b" if n in (2, 9) else "c.d") for n in range(1, 11)))
    monkeypatch.setattr(find_module, "LOOKED_THROUGH", 3)
    pages, before = [], None
    while True:
        query = AuditQuery(scope=EVERYTHING, call="a.b", before_seq=before)
        page = await book.find(query)
        pages.append(seqs(page))
        before = page.next_seq
        if before is None:
            break
    assert pages == [[9], [], [2], []]
    page = await book.find(AuditQuery(scope=EVERYTHING, limit=2))
    assert (seqs(page), page.next_seq) == ([10, 9], 9)


async def test_find_names_accounts_as_they_are_now(book: AuditBook, database: Database) -> None:
    add_account(database, 1, "li", "active")
    add_account(database, 2, "wang", "gone")
    await book.note(*(entry(n, by=f"account:{n}") for n in (1, 2, 3)), entry(4, by="system"))
    page = await book.find(AuditQuery(scope=EVERYTHING))
    assert [one.who for one in page.entries] == ["system", "account:3", "account:2", "Name of li"]


async def test_find_reaches_as_far_as_the_remit(
    book: AuditBook, database: Database, clock: ManualClock
) -> None:
    registry = AssetRegistry(database, clock)
    for number, district in ((1, "chuanying"), (2, "longtan")):
        await registry.put(
            f"elevator:{number}",
            kind="elevator",
            name="",
            gateways=[],
            attributes={"district": district},
        )
    organisations = OrganisationBook(database, clock)
    await organisations.load()
    for number, (name, districts) in enumerate(
        (("firm-a", ("chuanying", "longtan")), ("firm-b", ("longtan",)))
    ):
        details = firm_details(number, districts=districts)
        await organisations.put(name, details, by=ROOT)
    city = Details(kind="rescue_centre", name="120")
    await organisations.put("city", city, by=ROOT)
    await book.note(
        entry(1, subject="asset:elevator:1", organisation="platform"),
        entry(2, subject="asset:elevator:2", organisation="platform"),
        entry(3, subject="asset:elevator:9", organisation="platform"),
        entry(4, subject="feed", organisation="firm-a"),
        entry(5, subject="feed", organisation="firm-b"),
        entry(6, subject="feed", organisation="city"),
        entry(7, subject="organisation:firm-a", organisation="platform"),
        entry(8, subject="organisation:firm-b", organisation="platform"),
        entry(9, subject="feed", organisation=""),
    )
    assert await asked(book, CHUANYING) == [7, 4, 1]
    assert await asked(book, CHUANYING, subject="asset:elevator:2") == []
    own = Scope(organisations=frozenset({"firm-b"}))
    assert await asked(book, own) == [8, 5]


async def test_find_shows_what_was_bent(book: AuditBook, database: Database) -> None:
    await book.note(entry(1))
    bent = audit.update().values(detail="{", by="account:" + "9" * 40)
    database.write_now(lambda c: c.execute(bent))
    page = await book.find(AuditQuery(scope=EVERYTHING))
    assert page.entries[0].detail == {"unreadable": "{"}


def add_account(database: Database, number: int, username: str, state: str) -> None:
    row = {
        "id": number,
        "username": username,
        "name": f"Name of {username}",
        "organisation": "firm-a",
        "roles": "[]",
        "recovery": "[]",
        "state": state,
        "failures": 0,
        "created_at": 0,
        "updated_at": 0,
    }
    database.write_now(lambda c: c.execute(insert(account).values(row)))
