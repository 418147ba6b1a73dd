from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from cloud.access.book import AccessBook
from cloud.access.limiter import ADDRESSES_MAX, FAILURES_MAX, WINDOW_MS, FailureLimiter
from cloud.access.sessions import SESSION_IDLE_MS, SESSION_MS
from cloud.model import tables
from cloud.model.database import Database
from cloud.model.session import Session
from protocols.clock import ManualClock
from protocols.errors import RefuseInput
from tests.support.state_database import open_state

TOKEN = "a-token-of-some-length"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    yield database
    database.close()


async def opened(
    database: Database, clock: ManualClock | None = None, token: str | None = TOKEN
) -> AccessBook:
    book = AccessBook(database, clock or ManualClock(), admin_token=token)
    await book.load()
    return book


async def test_bearer_knows_the_admin_token_only(database: Database) -> None:
    book = await opened(database)
    known = book.bearer(TOKEN)
    assert known is not None
    assert known.by == "admin"
    assert known.scope("assets.write").everything
    for wrong in ("", "x", TOKEN + "x", "\udcff", "y" * 10_000):
        assert book.bearer(wrong) is None


async def test_load_keeps_only_the_hash_and_replaces_an_earlier_token(database: Database) -> None:
    await opened(database)
    book = await opened(database, token="another-token-of-some-length")
    assert book.bearer(TOKEN) is None
    again = await opened(database, token=None)
    assert again.bearer("another-token-of-some-length") is not None
    rows = database.read_now(lambda c: c.execute(select(tables.token)).all())
    assert len(rows) == 1
    assert "another" not in repr(rows)


async def test_load_without_any_token_makes_one_up_once(database: Database, tmp_path: Path) -> None:
    file, made_up = tmp_path / "admin_token", set()
    for _ in range(2):
        book = AccessBook(database, ManualClock(), data=tmp_path)
        await book.load()
        made_up.add(file.read_text())
        assert file.stat().st_mode & 0o777 == 0o600
        assert book.bearer(file.read_text().strip()) is not None
    assert len(made_up) == 1


async def signed_in(book: AccessBook, person: str = "") -> Session:
    session = await book.log_in_token(TOKEN, person=person, address="::1")
    assert session is not None
    return session


async def test_session_survives_restart_but_not_its_token(database: Database) -> None:
    clock = ManualClock()
    book = await opened(database, clock)
    session = await signed_in(book, " 张  三 ")
    assert session.by == "张 三 (admin)"
    assert book.session(session.cookie) == session
    assert (await opened(database, clock)).session(session.cookie) == session
    changed = await opened(database, clock, token="another-token-of-some-length")
    assert changed.session(session.cookie) is None


async def test_session_forged_or_foreign_is_refused(database: Database) -> None:
    book = await opened(database)
    session = await signed_in(book)
    assert session.by == "admin"
    cookie = session.cookie
    flipped = cookie[:5] + ("A" if cookie[5] != "A" else "B") + cookie[6:]
    for wrong in ("", "x", "a.b", flipped, cookie[:-2], cookie * 100, session.id, "\udcff"):
        assert book.session(wrong) is None


async def test_session_ends_when_idle_after_its_term_and_on_the_server(database: Database) -> None:
    clock = ManualClock()
    book = await opened(database, clock)
    left, kept, out = [await signed_in(book) for _ in range(3)]
    await book.log_out(out)
    assert book.session(out.cookie) is None
    for _ in range(3):
        clock.advance(SESSION_IDLE_MS - 1)
        assert book.session(kept.cookie) == kept
        await book.flush()
    assert book.session(left.cookie) is None
    again = await opened(database, clock)
    assert again.session(kept.cookie) == kept
    assert again.session(left.cookie) is None
    assert again.session(out.cookie) is None
    for _ in range(SESSION_MS // SESSION_IDLE_MS):
        clock.advance(SESSION_IDLE_MS - 1)
        book.session(kept.cookie)
    assert book.session(kept.cookie) is None


async def test_log_in_after_too_many_failures_is_refused_for_a_while(database: Database) -> None:
    clock = ManualClock()
    book = await opened(database, clock)

    async def come_in(token: str, address: str) -> Session | None:
        return await book.log_in_token(token, person="", address=address)

    for _ in range(FAILURES_MAX):
        assert await come_in("wrong", "10.0.0.1") is None
    with pytest.raises(RefuseInput) as refused:
        await come_in(TOKEN, "10.0.0.1")
    assert (refused.value.reason, refused.value.detail) == ("too_many_attempts", "300")
    assert await come_in(TOKEN, "10.0.0.2") is not None
    clock.advance(WINDOW_MS)
    assert await come_in(TOKEN, "10.0.0.1") is not None


def test_limiter_forgets_the_oldest_address_beyond_its_bound() -> None:
    limiter = FailureLimiter()
    for _ in range(FAILURES_MAX):
        limiter.failed("first", 0)
    assert limiter.wait_ms("first", 1) == WINDOW_MS - 1
    for number in range(ADDRESSES_MAX):
        limiter.failed(str(number), 1)
    assert limiter.wait_ms("first", 1) == 0
