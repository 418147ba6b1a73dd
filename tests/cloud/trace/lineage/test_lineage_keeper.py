"""What capture has committed is in the lineage, on both databases, through tables and files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import select

from cloud.model.database import Database
from cloud.model.principal import EVERYTHING, NOTHING, Scope
from cloud.model.trace_tables import trace_item
from cloud.trace.lineage.base import Bounds, Direction, Index, Question
from cloud.trace.lineage.desk import LineageDesk
from cloud.trace.lineage.keeper import Keeper, Sizes
from cloud.trace.lineage.layers import Layers
from cloud.trace.lineage.sql import SqlIndex
from cloud.trace.lineage.trace import trace
from cloud.trace.store import SqlTraceStore
from protocols.errors import RefuseInput
from tests.support.lineage_histories import body, history, item_id, told, voided
from tests.support.lineage_oracle import Happening, History, Oracle
from tests.support.shipped import shipped_schemes
from tests.support.trace_events import event_of, us_of

ITEMS = 12
SMALL = Sizes(small=3, fresh=25, file=10, read=15, merged=30, layers=2)
DIRECTIONS: tuple[Direction, Direction] = ("back", "forward")
FILES = "*.segment"


def random_history(seed: int, events: int = 40) -> list[Happening]:
    made = history(Random(seed), items=ITEMS, events=events, times=30)
    return [h for h in made if h.named]


async def capture(store: SqlTraceStore, happenings: Sequence[Happening]) -> None:
    events = [event_of(body(h)) for h in happenings]
    outcomes = await store.capture(events, organisation="a", recorded_at_us=1)
    assert {one.outcome for one in outcomes} <= {"stored"}


class Captured:
    """What was captured so far, for the oracle."""

    def __init__(self, store: SqlTraceStore, state: Database, seed: int) -> None:
        self.store, self.state, self.random = store, state, Random(seed)
        self.left = random_history(seed)
        self.random.shuffle(self.left)
        self.done: list[Happening] = []

    async def more(self, count: int) -> None:
        some, self.left = self.left[:count], self.left[count:]
        await capture(self.store, some)
        self.done += [replace(h, number=len(self.done) + n) for n, h in enumerate(some, 1)]

    def items(self) -> dict[int, int]:
        """Return numbers in the tables by our own."""
        ids = {item_id(n): n for n in range(ITEMS)}
        column = trace_item.c
        query = select(column.item_no, column.id)
        rows = self.state.read_now(lambda c: c.execute(query).all())
        return {ids[row.id]: row.item_no for row in rows}

    def history(self) -> History:
        """Return what was captured, as the tables number it."""
        items, first = self.items(), us_of("2026-11-26T08:00:00.000+00:00")
        live = [
            replace(
                h,
                time=first + h.time * 1_000_000,
                named=tuple(replace(n, item=items[n.item]) for n in h.named),
            )
            for h in self.done
        ]
        return History(live, voided(live))

    def check(self, index: Index) -> None:
        """Compare some traces with the oracle's."""
        items, slow = self.items(), self.history()
        lots = frozenset(items[n] for n in (0, 1) if n in items)
        for direction in DIRECTIONS:
            for start in self.random.sample(sorted(items.values()), min(3, len(items))):
                expected = Oracle(slow, [start], back=direction == "back", at=None).answer()
                found = trace(index, [start], direction, bounds=Bounds())
                assert told(found, lots) == expected, (direction, start)


async def test_tables_answer_as_the_oracle(store: SqlTraceStore, state: Database) -> None:
    captured = Captured(store, state, 0)
    await captured.more(40)
    state.read_now(lambda c: captured.check(SqlIndex(c)))


async def test_keeper_is_right_after_every_capture(
    store: SqlTraceStore, state: Database, tmp_path: Path
) -> None:
    keeper = Keeper(state, tmp_path / "lineage", SMALL)
    keeper.open()
    captured = Captured(store, state, 7)
    kinds = set()
    while captured.left:
        await captured.more(captured.random.choice((1, 3, 8)) if captured.done else 2)
        if captured.random.random() < 0.4:
            keeper.keep()
        kinds.add(state.read_now(lambda c: check(captured, keeper.index(c))))
    assert kinds == {SqlIndex, Layers}
    assert list((tmp_path / "lineage").glob(FILES))


def check(captured: Captured, index: Index) -> type:
    captured.check(index)
    return type(index)


async def filled(store: SqlTraceStore, state: Database, folder: Path) -> tuple[Captured, Keeper]:
    captured = Captured(store, state, 3)
    await captured.more(38)
    keeper = Keeper(state, folder, SMALL)
    keeper.open()
    while keeper.keep():
        pass
    return captured, keeper


async def test_files_are_taken_up_again(
    store: SqlTraceStore, state: Database, tmp_path: Path
) -> None:
    captured, _ = await filled(store, state, tmp_path)
    files = sorted(tmp_path.glob(FILES))
    again = Keeper(state, tmp_path, SMALL)
    again.open()
    assert sorted(tmp_path.glob(FILES)) == files
    assert files
    assert state.read_now(lambda c: check(captured, again.index(c))) is Layers


@pytest.mark.parametrize("place", [0, 20, 60, 400, -1])
async def test_damaged_file_is_made_anew(
    store: SqlTraceStore, state: Database, tmp_path: Path, place: int
) -> None:
    captured, _ = await filled(store, state, tmp_path)
    path = min(tmp_path.glob(FILES))
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    await _made_anew(captured, state, tmp_path)


async def test_short_file_is_made_anew(
    store: SqlTraceStore, state: Database, tmp_path: Path
) -> None:
    captured, _ = await filled(store, state, tmp_path)
    path = min(tmp_path.glob(FILES))
    path.write_bytes(path.read_bytes()[:-70])
    (tmp_path / "half.new").write_bytes(b"half")
    await _made_anew(captured, state, tmp_path)
    assert not list(tmp_path.glob("*.new"))


async def test_missing_file_is_made_anew(
    store: SqlTraceStore, state: Database, tmp_path: Path
) -> None:
    captured, _ = await filled(store, state, tmp_path)
    min(tmp_path.glob(FILES)).unlink()
    await _made_anew(captured, state, tmp_path)


async def _made_anew(captured: Captured, state: Database, folder: Path) -> None:
    keeper = Keeper(state, folder, SMALL)
    keeper.open()
    state.read_now(lambda c: check(captured, keeper.index(c)))
    while keeper.keep():
        pass
    assert state.read_now(lambda c: check(captured, keeper.index(c))) is Layers


async def test_files_of_another_repository_are_not_taken(
    store: SqlTraceStore, state: Database, tmp_path: Path
) -> None:
    captured = Captured(store, state, 5)
    await captured.more(38)
    other = tmp_path / "other"
    other.mkdir()
    keeper = Keeper(state, other, SMALL)
    keeper.open()
    while keeper.keep():
        pass
    path = min(other.glob(FILES))
    data = path.read_bytes()
    key = data.index(b'"key":"') + 7
    assert data[key : key + 4] != b"0000"
    path.write_bytes(data[:key] + b"0000" + data[key + 4 :])
    again = Keeper(state, other, SMALL)
    again.open()
    assert state.read_now(lambda c: type(again.index(c))) is SqlIndex


async def test_desk_names_what_it_shows(
    store: SqlTraceStore, state: Database, tmp_path: Path
) -> None:
    captured, keeper = await filled(store, state, tmp_path)
    desk = LineageDesk(state, keeper, shipped_schemes())
    known = sorted(captured.items())
    for scope, hides in ((EVERYTHING, False), (Scope(organisations=frozenset({"a"})), False)):
        shown = await desk.trace(
            Question((item_id(known[5]),), "back", None, Bounds()), scope=scope
        )
        assert item_id(known[5]) in {node.id for node in shown.nodes}
        assert any(node.hidden_at is not None for node in shown.nodes) is hides
    with pytest.raises(RefuseInput, match="not_found"):
        await desk.trace(Question((item_id(known[5]),), "back", None, Bounds()), scope=NOTHING)
