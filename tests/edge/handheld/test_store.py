"""Nothing that was done is lost: not by a kill, not at the bound, not by the service's word."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from edge.handheld import store as store_module
from edge.handheld.store import FILE, Store
from protocols.errors import RefuseInput, StopService
from protocols.handheld import Count, Record, Settled
from tests.edge.handheld.conftest import Hand

WRITER = """
import sys
from pathlib import Path
from protocols.clock import SystemClock
from tests.edge.handheld.conftest import start, issued
hand = start(Path(sys.argv[1]), SystemClock())
while True:
    record = hand.scan()
    print(record.number, flush=True)
    if record.number % 7 == 0:
        from protocols.handheld import Settled
        hand.store.settle([Settled(number=record.number, outcome="taken")])
        print(-record.number, flush=True)
"""


def test_what_append_returned_is_there_after_a_restart(hand: Hand, tmp_path: Path) -> None:
    made = [hand.scan(f"code {n}") for n in range(3)]
    identity = hand.store.id
    hand.store.close()
    again = Store(tmp_path)
    assert again.id == identity
    assert again.waiting == 3
    assert [msgspec.json.decode(one, type=Record) for one in again.unsettled(10, 10**6)] == made
    again.close()


def test_batch_is_bounded_by_records_and_bytes(hand: Hand) -> None:
    for number in range(5):
        hand.scan("x" * (100 if number else 5_000))
    assert len(hand.store.unsettled(3, 10**6)) == 3
    assert len(hand.store.unsettled(9, 1_000)) == 1, "one that is larger goes alone"
    assert len(hand.store.unsettled(9, 1_000, after=1)) == 3


def test_settled_are_not_sent_again_and_faulty_ones_are_shown_until_looked_at(hand: Hand) -> None:
    for _ in range(4):
        hand.scan()
    conflict = Settled(number=2, outcome="conflict", reason="tag_taken", found="cylinder:A")
    hand.store.settle([Settled(number=1, outcome="taken"), conflict])
    hand.store.settle([Settled(number=2, outcome="taken"), Settled(number=99, outcome="taken")])
    assert hand.store.waiting == 2
    assert [one.word for one in hand.store.faulty()] == [conflict], "the first word counts"
    hand.store.look_at(2)
    assert hand.store.faulty() == []
    kept = hand.store.get(2)
    assert kept is not None
    assert kept.word == conflict


def test_number_is_never_used_twice(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SETTLED_MAX", 0)
    for _ in range(3):
        number = hand.scan().number
        hand.store.settle([Settled(number=number, outcome="taken")])
    assert hand.store.get(3) is None
    assert hand.scan().number == 4


def test_at_the_bound_nothing_new_is_taken_and_nothing_is_dropped(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "UNSETTLED_MAX", 10)
    rooms = [(hand.scan(), hand.store.room)[1] for _ in range(10)]
    assert rooms == ["free"] * 7 + ["nearly_full"] * 2 + ["full"]
    with pytest.raises(RefuseInput, match="store_full"):
        hand.scan()
    assert len(hand.store.unsettled(99, 10**6)) == 10
    hand.store.settle([Settled(number=1, outcome="taken")])
    assert hand.scan().number == 11


def test_record_beyond_its_bound_is_refused_and_leaves_nothing(hand: Hand) -> None:
    long = tuple(f"cylinder:{'A' * 60}{n:04}" for n in range(100))
    with pytest.raises(RefuseInput, match="too_large"):
        hand.do(Count(place="shelf", found=long * 5))
    assert hand.store.waiting == 0
    fits = hand.do(Count(place="shelf", found=long, missing=long, unexpected=long))
    assert fits.number == 1


def test_damaged_file_is_set_aside_and_work_goes_on(hand: Hand, tmp_path: Path) -> None:
    hand.scan()
    identity = hand.store.id
    hand.store.close()
    damaged = b"no database at all" * 100
    (tmp_path / FILE).write_bytes(damaged)
    again = Store(tmp_path)
    assert again.set_aside is not None
    assert again.set_aside.read_bytes() == damaged
    assert again.id != identity, "numbers start anew, so the name does, too"
    assert again.waiting == 0
    again.close()
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    with pytest.raises(StopService):
        Store(tmp_path)


def test_files_are_for_their_owner_alone(hand: Hand, tmp_path: Path) -> None:
    hand.scan()
    assert {path.stat().st_mode & 0o077 for path in tmp_path.glob(f"{FILE}*")} == {0}


def test_killed_at_any_moment_nothing_that_was_told_is_lost(tmp_path: Path) -> None:
    rng, told, settled = random.Random(7), set[int](), set[int]()
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        lines = [child.stdout.readline()]
        time.sleep(rng.uniform(0, 0.15))
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().split("\n")
        child.wait()
        child.stdout.close()
        numbers = [int(line) for line in lines if line.strip()]
        assert not told & set(numbers), "a number was given twice"
        told |= {one for one in numbers if one > 0}
        settled |= {-one for one in numbers if one < 0}
        link = sqlite3.connect(tmp_path / FILE)
        rows = dict(link.execute("SELECT number, outcome FROM record"))
        bodies = [body for (body,) in link.execute("SELECT body FROM record")]
        link.close()
        assert told <= set(rows)
        assert all(rows[one] == "taken" for one in settled)
        assert all(msgspec.json.decode(one, type=Record) for one in bodies)
    assert len(told) > 20
