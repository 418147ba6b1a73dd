"""Ownership: one owner at a time, told by epochs; silence is timed by each observer's own clock."""

from collections.abc import Iterator

import pytest

from cloud.migrations import migrate
from cloud.model import ownership
from cloud.model.database import Database
from cloud.model.ownership import Holding, LetGo, Watch


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, name="log")
    migrate(database.engine, "log")
    database.write_now(lambda c: ownership.ensure(c, ["00-7f", "80-ff"]))
    yield database
    database.close()


def rows(database: Database) -> dict[str, Holding]:
    return {row.name: row for row in database.read_now(ownership.read_all)}


def claim(database: Database, seen: Holding, owner: str) -> int | None:
    return database.write_now(lambda c: ownership.claim(c, seen, owner))


def test_ensure_again_changes_nothing(database: Database) -> None:
    assert claim(database, rows(database)["00-7f"], "a") == 1
    database.write_now(lambda c: ownership.ensure(c, ["00-7f", "80-ff"]))
    assert rows(database)["00-7f"].owner == "a"


def test_claim_of_what_was_claimed_meanwhile_fails(database: Database) -> None:
    seen = rows(database)["00-7f"]
    assert claim(database, seen, "a") == 1
    assert claim(database, seen, "b") is None
    assert rows(database)["00-7f"].owner == "a"


def test_check_names_what_was_taken_over(database: Database) -> None:
    for name in ("00-7f", "80-ff"):
        claim(database, rows(database)[name], "a")
    held = {"00-7f": 1, "80-ff": 1}
    database.write_now(lambda c: ownership.check(c, held))
    claim(database, rows(database)["80-ff"], "b")
    with pytest.raises(LetGo) as caught:
        database.write_now(lambda c: ownership.check(c, held))
    assert caught.value.names == {"80-ff"}


def test_release_by_a_former_owner_does_nothing(database: Database) -> None:
    claim(database, rows(database)["00-7f"], "a")
    claim(database, rows(database)["00-7f"], "b")
    database.write_now(lambda c: ownership.release(c, {"00-7f": 1}))
    assert rows(database)["00-7f"].owner == "b"
    database.write_now(lambda c: ownership.release(c, {"00-7f": 2}))
    assert rows(database)["00-7f"].owner is None


def test_want_unknown_group_is_told(database: Database) -> None:
    assert database.write_now(lambda c: ownership.want(c, "00-7f", "b"))
    assert not database.write_now(lambda c: ownership.want(c, "no-such", "b"))
    assert rows(database)["00-7f"].wanted == "b"


def holding(beat: int, owner: str | None = "a") -> Holding:
    return Holding(name="all", owner=owner, epoch=1, beat=beat, wanted=None)


def test_watch_calls_stale_what_stands_still_for_a_lease() -> None:
    watch = Watch(5.0)
    assert watch.stale([holding(1)], 0.0) == set()
    assert watch.stale([holding(1)], 2.0) == set()
    assert watch.stale([holding(2)], 4.0) == set()
    assert watch.stale([holding(2)], 6.0) == set()
    assert watch.stale([holding(2)], 8.0) == set()
    assert watch.stale([holding(2)], 9.0) == {"all"}
    assert watch.stale([holding(2, owner=None)], 10.0) == set()


def test_watch_does_not_count_time_in_which_nobody_could_look() -> None:
    watch = Watch(5.0)
    watch.stale([holding(1)], 0.0)
    assert watch.stale([holding(1)], 60.0) == set()
    assert watch.stale([holding(1)], 62.0) == set()
