"""What a gateway keeps of snapshots: the old one or the new one, whatever comes or breaks."""

import copy
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import msgspec
import pytest

from cloud.trust.signing import add_key, retire_key, sign
from edge.interlock.snapshot import MERGE_AFTER_MS
from protocols.cylinders.book import book_bytes
from protocols.cylinders.manifest import AHEAD_MAX_MS, Blob, Manifest
from protocols.cylinders.snapshot import HOUR_MS, Snapshot
from protocols.errors import RefuseInput
from protocols.signed import Signed, seal
from tests.support.snapshot_station import Station
from tests.support.stations import RULES, Stock

ROOT = Path(__file__).parents[3]


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no power is cut nothing need wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _handle: None)


def check(snapshot: Snapshot | None, stock: Stock, sample: int = 100) -> None:
    assert snapshot is not None
    for code in {stock.code() for _ in range(sample)}:
        assert snapshot.find(code) == stock.cylinders.get(code)
        assert snapshot.denied(code) == stock.denied.get(code)
    for uid in {stock.uid() for _ in range(sample // 2)}:
        assert snapshot.find_tag(uid) == stock.find_tag(uid)
    assert snapshot.rules == book_bytes(snapshot.book) == stock.rules


def refused(station: Station, signed: bytes, file: Path | None, now_ms: int | None = None) -> str:
    """The reason; what was kept still counts, also after a start."""
    before = station.keeper.newest
    with pytest.raises(RefuseInput) as caught:
        station.keeper.take(signed, file, now_ms or station.clock.wall_ms())
    assert station.keeper.newest == before
    assert station.new_keeper().newest == before
    return caught.value.reason


def read(signed: bytes) -> Manifest:
    return msgspec.json.decode(msgspec.json.decode(signed, type=Signed).body, type=Manifest)


def forged(station: Station, keys: Path | None = None, **changes: object) -> bytes:
    """A manifest with another word in it, signed by the service, or by somebody else."""
    manifest = msgspec.structs.replace(read(station.book.offer(station.filler, 0)), **changes)
    return seal("snapshot", manifest, partial(sign, keys or station.keys))


@pytest.mark.parametrize("seed", range(8))
def test_it_tells_what_a_dictionary_tells_through_issues_merges_and_starts(
    tmp_path: Path, no_sync: None, seed: int
) -> None:
    station = Station(tmp_path, seed)
    rng, stock = random.Random(seed), station.stock.stock
    station.catch_up()
    for _ in range(30):
        station.later(rng.choice([None, 0, 2, 20]))
        if rng.random() < 0.7:
            station.catch_up()
            check(station.keeper.snapshot, stock)
        if rng.random() < 0.2:
            station.keeper.merge()
        if rng.random() < 0.3:
            newest = station.keeper.newest
            station.keeper = station.new_keeper()
            assert station.keeper.newest == newest
    station.catch_up()
    station.keeper.merge()
    check(station.keeper.snapshot, stock)
    check(station.new_keeper().snapshot, stock)
    assert station.keeper.counters["snapshots_refused"] == 0


def test_when_nothing_changes_only_the_term_grows(station: Station) -> None:
    station.catch_up()
    first = station.keeper.newest
    files = set(station.keeper.folder.iterdir())
    station.later(None)
    assert station.fetch()
    second = station.keeper.newest
    assert first
    assert second
    assert second.expires_at == first.expires_at + 61_000
    assert second.state == first.state
    assert set(station.keeper.folder.iterdir()) == files
    assert station.new_keeper().newest == second
    assert not station.fetch()


def test_it_is_fresh_then_ageing_then_expired(station: Station) -> None:
    station.catch_up()
    snapshot, issued_at = station.keeper.snapshot, station.clock.wall_ms()
    assert snapshot
    rules = snapshot.book.snapshot
    ends = issued_at + rules.term_h * HOUR_MS
    gone = ends + rules.grace_h * HOUR_MS
    expected = {
        issued_at - AHEAD_MAX_MS - 1: "expired",  # a clock that was set back proves nothing
        issued_at: "fresh",
        ends: "fresh",
        ends + 1: "ageing",
        gone: "ageing",
        gone + 1: "expired",
    }
    assert {now_ms: snapshot.state_at(now_ms) for now_ms in expected} == expected


def test_many_increments_are_due_to_be_merged(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.interlock.snapshot.MERGE_AT", 4)
    station.catch_up()
    while not station.keeper.merge_due(None):
        station.later(9)
        station.catch_up()
    assert station.keeper.status()["increments"] == 4
    station.keeper.merge()
    assert not station.keeper.merge_due(None)
    assert station.keeper.status()["increments"] == 0
    assert len(list(station.keeper.folder.iterdir())) == 2, "the pointer and the base"
    check(station.new_keeper().snapshot, station.stock.stock)


def test_increments_that_are_never_merged_end_in_a_whole_one(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.interlock.snapshot.INCREMENTS_MAX", 6)
    station.catch_up()
    while station.keeper.status()["increments"] < 6:
        station.later(9)
        station.catch_up()
    station.later(30)
    signed, file = station.offer()
    assert refused(station, signed, file) == "too_many"
    assert station.keeper.need_whole
    station.catch_up()
    assert station.keeper.status()["increments"] == 0
    check(station.keeper.snapshot, station.stock.stock)


def test_a_merge_that_is_not_what_was_signed_is_not_kept(station: Station) -> None:
    station.catch_up()
    station.later(9)
    signed, file = station.offer()
    other = msgspec.structs.replace(read(signed), state=Blob("0" * 64, 9))
    station.keeper.take(
        seal("snapshot", other, partial(sign, station.keys)), file, station.clock.wall_ms()
    )
    with pytest.raises(RefuseInput, match="bad_hash: merged"):
        station.keeper.merge()
    check(station.keeper.snapshot, station.stock.stock)
    assert station.keeper.need_whole
    station.catch_up()
    check(station.new_keeper().snapshot, station.stock.stock)


# --- what is refused ---------------------------------------------------------------------------


def test_a_gap_asks_for_a_whole_one(station: Station) -> None:
    station.catch_up()
    station.later(9)
    skipped, _ = station.offer()
    station.later(9)
    signed = station.book.offer(station.filler, read(skipped).number)
    file = None
    assert refused(station, signed, file) == "gap"
    assert station.keeper.need_whole
    station.catch_up()
    check(station.keeper.snapshot, station.stock.stock)


@pytest.mark.parametrize("whole", [True, False])
def test_an_older_one_is_refused(station: Station, whole: bool) -> None:
    station.catch_up()
    station.later(9)
    old, old_file = station.offer(whole=whole)
    assert old_file
    copy = old_file.read_bytes()
    station.catch_up()
    station.later(9)
    station.catch_up()
    old_file.write_bytes(copy)
    assert refused(station, old, old_file) == "rolled_back"


@pytest.mark.parametrize("changes", [None, 20])
def test_an_older_renewal_is_refused(station: Station, changes: int | None) -> None:
    station.catch_up()
    station.later(changes)
    station.catch_up()
    renewals = []
    for _ in range(2):
        station.later(None)
        renewals.append(station.offer()[0])
        station.catch_up()
    assert refused(station, renewals[0], None) == "rolled_back"


def test_an_older_one_is_refused_also_when_what_was_kept_is_lost(station: Station) -> None:
    station.catch_up()
    old, old_file = station.offer(whole=True)
    assert old_file
    copy = old_file.read_bytes()
    station.later(9)
    station.catch_up()
    station.keeper.merge()
    (base,) = station.keeper.folder.glob("*.whole")
    base.write_bytes(base.read_bytes()[:-1])
    station.keeper = station.new_keeper()
    assert station.keeper.snapshot is None
    old_file.write_bytes(copy)
    assert refused(station, old, old_file) == "rolled_back"
    station.catch_up()
    check(station.keeper.snapshot, station.stock.stock)


def test_one_of_another_station_is_refused(station: Station) -> None:
    signed = forged(station, filler="gas-2")
    assert refused(station, signed, None) == "foreign_filler"


def test_one_from_the_future_is_refused_while_the_time_is_known(station: Station) -> None:
    signed, file = station.offer(whole=True)
    early = station.clock.wall_ms() - AHEAD_MAX_MS - 1
    assert refused(station, signed, file, early) == "from_future"
    assert station.keeper.take(signed, file, None), "nobody knows the time: nothing speaks against"


def test_a_forged_one_is_refused(station: Station, tmp_path: Path) -> None:
    assert refused(station, forged(station, tmp_path / "other"), None) == "unknown_key"
    signed = msgspec.json.decode(station.book.offer(station.filler, 0), type=Signed)
    bent = msgspec.structs.replace(signed, body=signed.body.replace('"denied":', '"denied":1'))
    assert refused(station, msgspec.json.encode(bent), None) == "bad_signature"
    config = seal(
        "config", msgspec.json.decode(signed.body, type=Manifest), partial(sign, station.keys)
    )
    assert refused(station, config, None) == "wrong_purpose"
    assert refused(station, b"<html>log in first</html>", None) == "malformed"
    assert station.keeper.need_whole


def test_other_rules_than_were_signed_are_refused(station: Station) -> None:
    _, file = station.offer()
    assert refused(station, forged(station, rules_version="0" * 16), file) == "wrong_rules"


def test_what_cannot_be_understood_is_fetched_once_only(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    station.catch_up()
    monkeypatch.setattr("cloud.cylinders.snapshots.book_bytes", lambda _book: b"{}")
    station.later(None)
    station.stock.stock.rules = next(one for one in RULES if one != station.stock.stock.rules)
    for whole in (False, True):
        assert station.keeper.need_whole == whole
        signed, file = station.offer()
        assert refused(station, signed, file) == "bad_rule_book"
    with pytest.raises(RefuseInput, match="bad_rule_book"):
        station.keeper.look(signed, station.clock.wall_ms())


def test_an_unknown_schema_is_refused_by_name(station: Station) -> None:
    class Newer(msgspec.Struct):
        schema: int = 2
        more: str = "x"

    signed = seal("snapshot", Newer(), partial(sign, station.keys))
    assert refused(station, signed, None) == "unknown_schema"


@pytest.mark.parametrize("changes", [None, 20])
def test_keys_change_and_both_count_meanwhile(station: Station, changes: int | None) -> None:
    station.catch_up()
    station.later(20)
    station.catch_up()
    station.keeper.merge()
    add_key(station.keys)
    station.later(changes)
    station.catch_up()
    station.clock.advance(MERGE_AFTER_MS + 1)
    if station.keeper.merge_due(station.clock.wall_ms()):
        station.keeper.merge()
    retire_key(station.keys, "signing-1.pem")
    station.keeper = station.new_keeper()
    check(station.keeper.snapshot, station.stock.stock)


def test_without_room_nothing_is_changed(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    station.catch_up()
    station.later(9)
    signed, file = station.offer()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("edge.interlock.snapshot.write_durably", full)
        assert refused(station, signed, file) == "disk"
    station.catch_up()
    check(station.keeper.snapshot, station.stock.stock)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Station:
    """One that is behind by two increments."""
    station = Station(tmp_path_factory.mktemp("station"))
    station.catch_up()
    for _ in range(4):
        station.later(20)
        station.catch_up()
    station.later(20)
    station.book.offer(station.filler, station.keeper.have)
    station.later(20)
    station.offer()
    return station


@pytest.mark.parametrize("seed", range(200))
def test_a_cut_or_a_flipped_bit_is_found(
    prepared: Station, tmp_path: Path, no_sync: None, seed: int
) -> None:
    """In what is offered, in what is fetched, or in what lies on disk already."""
    rng, station = random.Random(seed), copy.copy(prepared)
    station.folder = tmp_path
    if seed % 3:
        shutil.copytree(prepared.folder / "edge", tmp_path / "edge")
    station.keeper = station.new_keeper()
    if seed % 2:
        _offer_damaged(station, rng)
    elif seed % 3:
        path = rng.choice(sorted(station.keeper.folder.glob("*[!d]")))
        path.write_bytes(_damaged(path.read_bytes(), rng))
        before = station.keeper.newest
        station.keeper = station.new_keeper()
        lost = station.keeper.newest != before
        assert station.keeper.counters["snapshots_refused"] == lost
    station.catch_up()
    check(station.keeper.snapshot, station.stock.stock, 10)
    check(station.new_keeper().snapshot, station.stock.stock, 10)


def _offer_damaged(station: Station, rng: random.Random) -> None:
    signed, file = station.offer()
    assert file
    if rng.random() < 0.5:
        file.write_bytes(_damaged(file.read_bytes(), rng))
    else:
        signed = _damaged(signed, rng)
    before = station.keeper.newest
    with pytest.raises(RefuseInput) as caught:
        station.keeper.take(signed, file, station.clock.wall_ms())
    station.keeper.refuse(caught.value)
    assert station.keeper.newest == before


def _damaged(data: bytes, rng: random.Random) -> bytes:
    bent = bytearray(data)
    if rng.random() < 0.5:
        del bent[rng.randrange(len(bent)) :]
    else:
        bent[rng.randrange(len(bent))] ^= 1 << rng.randrange(8)
    return bytes(bent)


def test_a_kill_at_any_moment_leaves_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    station, rng = Station(tmp_path), random.Random(3)
    states: dict[int, Stock] = {}
    for _ in range(60):
        number = read(station.book.offer(station.filler, max(states, default=0))).number
        states[number] = copy.deepcopy(station.stock.stock)
        station.later(15)
    told = 0
    for _ in range(12):
        told = max(told, _killed_after(station, rng.uniform(0, 0.15)))
        station.keeper = station.new_keeper()
        newest = station.keeper.newest
        assert station.keeper.counters["snapshots_refused"] == 0
        assert (newest.number if newest else 0) >= told, "what it told of was durable"
        if newest:
            check(station.keeper.snapshot, states[newest.number])
    assert told


def _killed_after(station: Station, seconds: float) -> int:
    """Let a process fetch and merge, kill it; return the last number that it said it had taken."""
    command = [sys.executable, "-m", "tests.support.snapshot_child", str(station.folder)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert child.stdout
    with child, child.stdout as out:
        assert out.readline() == "ready\n"
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        lines = out.read().split("\n")[:-1]  # the last may be cut
    return max(map(int, lines), default=0)
