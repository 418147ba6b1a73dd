"""Rows that are written many at a time."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from cloud.migrations import migrate
from cloud.model import tables
from cloud.model.database import Database
from cloud.model.rows import ROWS_MAX, insert_rows, replace_rows


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, name="log")
    migrate(database.engine, "log")
    yield database
    database.close()


def _boots(offset_ms: int, count: int) -> list[dict[str, Any]]:
    return [
        {"gateway": f"gw-{n}", "boot_id": "b", "offset_ms": offset_ms + n, "learned_at": 1}
        for n in range(count)
    ]


def _stored(database: Database) -> set[tuple[str, int]]:
    query = select(tables.boot.c.gateway, tables.boot.c.offset_ms)
    return {(row[0], row[1]) for row in database.read_now(lambda c: c.execute(query).all())}


@pytest.mark.parametrize("count", [0, 1, 2, ROWS_MAX - 1, ROWS_MAX, 3 * ROWS_MAX + 11])
def test_rows_are_written_and_written_over(database: Database, count: int) -> None:
    database.write_now(lambda c: insert_rows(c, tables.boot, _boots(0, count)))
    assert _stored(database) == {(f"gw-{n}", n) for n in range(count)}
    database.write_now(lambda c: replace_rows(c, tables.boot, _boots(1_000, count + 5)))
    assert _stored(database) == {(f"gw-{n}", 1_000 + n) for n in range(count + 5)}


def test_a_row_that_is_there_is_not_inserted_again(database: Database) -> None:
    database.write_now(lambda c: insert_rows(c, tables.boot, _boots(0, 3)))
    with pytest.raises(IntegrityError):
        database.write_now(lambda c: insert_rows(c, tables.boot, _boots(7, 4)))
    assert _stored(database) == {(f"gw-{n}", n) for n in range(3)}


def test_a_text_with_nul_is_kept_without_it(database: Database) -> None:
    row = {"gateway": "gw-1", "boot_id": "a\0b", "offset_ms": 1, "learned_at": 1}
    database.write_now(lambda c: replace_rows(c, tables.boot, [row]))
    found = database.read_now(lambda c: c.execute(select(tables.boot.c.boot_id)).scalars().all())
    assert found == ["a\ufffdb"]
