"""Entries go in one after the other, and stand or fall with what they tell of."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, insert, select, update

from cloud.audit.verify import verify
from cloud.model import tables
from cloud.model.audit import DETAIL_CHARS_MAX, Entry, append, is_proven, open_head, read_head
from cloud.model.database import Database
from cloud.model.people_tables import audit, audit_head
from tests.support.postgres import Postgres
from tests.support.state_database import open_state

KEY = bytes(range(32))


def entry(number: int = 1, **fields: object) -> Entry:
    made: dict[str, object] = {
        "recorded_at": 1_764_000_000_000 + number,
        "by": "account:12",
        "organisation": "firm-a",
        "call": "assets.write",
        "subject": "asset:elevator:1",
        "detail": {"fields": ["name"]},
    }
    return Entry(**(made | fields))  # type: ignore[arg-type]  # as the fields are


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    database.write_now(lambda c: open_head(c, KEY))
    yield database
    database.close()


def test_append_counts_up_and_moves_the_head(database: Database) -> None:
    database.write_now(lambda c: append(c, KEY, entry(1), entry(2)))
    database.write_now(lambda c: append(c, KEY, entry(3)))
    assert database.read_now(lambda c: c.execute(select(audit.c.seq)).scalars().all()) == [1, 2, 3]
    head = database.read_now(read_head)
    assert head is not None
    assert head.seq == 3
    assert database.read_now(lambda c: is_proven(c, KEY))
    assert database.read_now(lambda c: verify(c, KEY)).faults == []


def test_append_goes_with_the_change_or_not_at_all(database: Database) -> None:
    def change(fails: bool) -> None:
        database.write_now(
            lambda c: c.execute(insert(tables.token).values(sha256="0", name="a", created_at=1)),
            lambda c: append(c, KEY, entry()),
            lambda _: 1 // (not fails),
        )

    with pytest.raises(ZeroDivisionError):
        change(fails=True)
    assert database.read_now(lambda c: c.execute(select(tables.token)).all()) == []
    assert database.read_now(lambda c: c.execute(select(audit)).all()) == []
    change(fails=False)
    assert len(database.read_now(lambda c: c.execute(select(audit)).all())) == 1


def test_append_of_two_processes_makes_one_chain(postgres: Postgres) -> None:
    url = postgres.new_database()
    databases = [open_state(url) for _ in range(2)]
    databases[0].write_now(lambda c: open_head(c, KEY))

    def work(database: Database) -> None:
        for number in range(40):
            database.write_now(lambda c, n=number: append(c, KEY, entry(n)))  # type: ignore[misc]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, databases))
    verdict = databases[0].read_now(lambda c: verify(c, KEY))
    assert (verdict.entries, verdict.faults) == (80, [])
    for database in databases:
        database.close()


def test_append_keeps_what_does_not_fit_its_columns(database: Database) -> None:
    odd = entry(by="b" * 70, subject="s\0" * 100, detail={"long": "x" * DETAIL_CHARS_MAX})
    database.write_now(lambda c: append(c, KEY, odd))
    row = database.read_now(lambda c: c.execute(select(audit)).one())
    assert (len(row.by), row.subject) == (64, "s\ufffd" * 64)
    assert row.detail == '{"too_long":4011,"names":["long"]}'
    assert database.read_now(lambda c: verify(c, KEY)).faults == []


@pytest.mark.parametrize(
    "bent",
    [
        delete(audit_head),
        update(audit_head).values(mac="f" * 64),
        update(audit_head).values(seq=9),
    ],
)
def test_append_after_a_bent_head_stops_nobody_and_is_found(
    database: Database, bent: object
) -> None:
    database.write_now(lambda c: append(c, KEY, entry(1), entry(2), entry(3)))
    database.write_now(lambda c: c.execute(bent))  # type: ignore[call-overload]  # a statement
    database.write_now(lambda c: append(c, KEY, entry(4)))
    verdict = database.read_now(lambda c: verify(c, KEY))
    assert {fault.kind for fault in verdict.faults} & {"unlinked", "missing"}
    assert verdict.faults[-1].first == 4
