"""What the gates of a gateway share: facts that change under way, and a time that goes on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.decode.pairing import identities
from edge.interlock.hall import Hall
from edge.interlock.words import load_words
from protocols.errors import FixConfiguration
from protocols.readings import ClockState
from protocols.records import Record
from tests.support.filling_place import BOOK, Registry

NOON = 1_773_576_000_000  # 2026-03-15 12:00 UTC


class Ledger:
    """A daemon whose clock the test sets."""

    def __init__(self) -> None:
        self.now: tuple[ClockState, int] = ("synced", NOON)

    def time(self) -> tuple[ClockState, int]:
        return self.now

    def record(self, *_: Any) -> None:
        raise AssertionError

    async def commit(self, stream: Any, at_boot_ms: int, make: Callable[[int], Record]) -> bool:
        raise AssertionError

    async def flush(self) -> bool:
        raise AssertionError


def hall_of(folder: Path, snapshots: list[Registry | None]) -> Hall:
    hall = Hall(folder, names=identities, rules=lambda: BOOK, snapshot=lambda: snapshots[-1])
    hall.use(Ledger())
    return hall


async def test_a_new_snapshot_and_its_rules_count_from_the_next_question_on(tmp_path: Path) -> None:
    snapshots: list[Registry | None] = [None]
    hall = hall_of(tmp_path, snapshots)
    with pytest.raises(RuntimeError):
        hall.facts()
    await hall.prepare()
    assert (hall.facts().known, hall.facts().book) == (None, BOOK)
    snapshots.append(Registry(checks=False))
    assert hall.facts().known is snapshots[-1]
    assert hall.facts().snapshot == "41"
    assert hall.facts().book.checks == ()
    assert hall.facts() is hall.facts()


async def test_rules_of_another_release_make_a_snapshot_unknown(tmp_path: Path) -> None:
    strange = Registry()
    strange.rules = b'{"schema": 99}'
    hall = hall_of(tmp_path, [strange])
    await hall.prepare()
    assert hall.facts().known is None


async def test_the_time_that_was_judged_by_is_kept_through_a_restart(tmp_path: Path) -> None:
    hall, ledger = hall_of(tmp_path, [None]), Ledger()
    hall.use(ledger)
    await hall.keeper.begin("gun-1", 1)
    assert hall.now().clock == "trusted"
    await hall.keeper.reserve("gun-1", 1)
    await hall.keeper.stop()
    again = hall_of(tmp_path, [None])
    again.use(ledger)
    await again.keeper.begin("gun-1", 1)
    ledger.now = ("synced", NOON - 86_400_000)
    assert again.now().clock == "set_back"
    assert again.now().on.isoformat() == "2026-03-15"
    ledger.now = ("free", 7_000)
    assert again.now().clock == "unset"
    await again.keeper.stop()


def test_every_word_of_the_place_is_there_and_one_that_lacks_is_named(tmp_path: Path) -> None:
    book = load_words(None)
    assert all(one.title_zh for one in (*book.troubles, *book.blocked))
    (tmp_path / "interlock").mkdir()
    (tmp_path / "interlock" / "words.toml").write_text("schema = 1\ntroubles = []\nblocked = []\n")
    with pytest.raises(FixConfiguration, match="two_cylinders"):
        load_words(tmp_path)
