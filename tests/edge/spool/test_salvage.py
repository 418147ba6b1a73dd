"""Whatever state the file is in: the spool starts, keeps what can be read, declares the rest."""

import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from edge.batches import Batch, Draft, Key, Lost, Span
from edge.spool.rows import PAGE_BYTES
from edge.spool.salvage import open_spool
from edge.spool.sqlite import FILE, SCHEMA, SqliteSpool
from protocols.clock import ManualClock
from protocols.errors import RetryLater, StopService
from protocols.ranges import RangeSet

MIB = 1024 * 1024


def start(folder: Path) -> SqliteSpool:
    return open_spool(
        folder,
        spool_id=os.urandom(16).hex(),
        boot_id="boot-1",
        clock=ManualClock(),
        bytes_max=64 * MIB,
    )


def draft(rng: random.Random, size: int) -> Draft:
    return Draft(
        stream=rng.choice(("data", "data", "alarm")),
        clock="synced",
        boot_id="boot-1",
        created_ms=1,
        from_at=1_764_000_000_000,
        to_at=1_764_000_000_001,
        records=1,
        records_raw=b'["%b"]' % rng.randbytes(size).hex().encode(),
    )


def fill(folder: Path, count: int = 200, size: int = 1000) -> tuple[str, dict[Key, Batch]]:
    rng, spool = random.Random(7), start(folder)
    batches: dict[Key, Batch] = {}
    for _ in range(count):
        batches.update({b.key: b for b in spool.append([draft(rng, rng.randint(1, size))]).batches})
    spool.append([], [Span(spool.id, "data", 1, 10)])
    batches = {k: b for k, b in batches.items() if k.stream == "alarm" or k.seq > 10}
    spool.close()
    return spool.id, batches


def check_conserved(spool: SqliteSpool, old_id: str, batches: dict[Key, Batch]) -> int:
    """Every batch is either there, as written, or declared lost; return how many are there."""
    declared: dict[str, RangeSet] = {"alarm": RangeSet(), "data": RangeSet()}
    for one in spool.declared():
        if one.lost.spool == old_id and one.lost.to_seq is not None:
            declared[one.lost.stream].add(one.lost.from_seq, one.lost.to_seq)
    there = 0
    for batch in batches.values():
        loaded = spool.load(batch.key)
        if loaded is None:
            assert batch.key.seq in declared[batch.key.stream], batch.key
        else:
            assert loaded == batch
            assert batch.key.seq not in declared[batch.key.stream]
            there += 1
    return there


def damage(file: Path, blocks: list[int], size: int = 4096) -> None:
    with file.open("r+b") as out:
        for block in blocks:
            out.seek(block * size)
            out.write(os.urandom(size))


@pytest.mark.parametrize("seed", range(6))
def test_damaged_pages_rest_is_salvaged_and_loss_declared(tmp_path: Path, seed: int) -> None:
    old_id, batches = fill(tmp_path)
    file = tmp_path / FILE
    pages = file.stat().st_size // 4096
    rng = random.Random(seed)
    damage(file, rng.sample(range(4, pages), 3))
    spool = start(tmp_path)
    spool.append([])
    for batch in batches.values():  # what only reading finds is declared by the next commit
        spool.load(batch.key)
    spool.append([draft(rng, 10)])
    there = check_conserved(spool, old_id, batches)
    assert there > len(batches) * 0.5
    spool.close()
    again = start(tmp_path)
    assert check_conserved(again, old_id, batches) == there
    again.close()


def test_damaged_first_block_loses_schema_and_roots_but_no_batch(tmp_path: Path) -> None:
    old_id, batches = fill(tmp_path)
    damage(tmp_path / FILE, [0])
    spool = start(tmp_path)
    assert check_conserved(spool, old_id, batches) == len(batches)
    assert (tmp_path / "damaged" / "1" / FILE).exists()
    spool.close()


def test_lost_history_leaves_an_unknown_tail(tmp_path: Path) -> None:
    old_id, batches = fill(tmp_path)
    damage(tmp_path / FILE, [1], PAGE_BYTES)  # the table of spools is the first one made
    spool = start(tmp_path)
    assert check_conserved(spool, old_id, batches) == len(batches)
    tails = {one.lost.stream for one in spool.declared() if one.lost.to_seq is None}
    assert tails == {"alarm", "data"}
    spool.close()


@pytest.mark.parametrize("content", [b"", b"x", b"SQLite format 3\0" + b"\xff" * 10_000])
def test_nonsense_file_starts_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    spool = start(tmp_path)
    assert spool.held() == []
    assert spool.append([draft(random.Random(1), 10)]).batches
    spool.close()


def test_truncated_file_is_salvaged(tmp_path: Path) -> None:
    old_id, batches = fill(tmp_path)
    file = tmp_path / FILE
    os.truncate(file, file.stat().st_size // 2)
    spool = start(tmp_path)
    for batch in batches.values():
        spool.load(batch.key)
    spool.append([draft(random.Random(1), 10)])
    assert check_conserved(spool, old_id, batches) > 0
    spool.close()


def test_torn_log_loses_only_its_tail(tmp_path: Path) -> None:
    rng, spool = random.Random(3), start(tmp_path)
    for _ in range(50):
        spool.append([draft(rng, 500)])
    copy = tmp_path / "copy"
    copy.mkdir()
    for suffix in ("", "-wal"):  # as a power cut leaves them, the last log pages torn
        shutil.copy(tmp_path / f"{FILE}{suffix}", copy)
    wal = copy / f"{FILE}-wal"
    os.truncate(wal, wal.stat().st_size - 3 * 4096)
    old_id = spool.id
    spool.close()
    again = start(copy)
    assert 30 < sum(again.last_seqs()[old_id, stream] for stream in ("alarm", "data")) < 50
    again.close()


def test_bit_flip_in_a_batch_is_found_when_read(tmp_path: Path) -> None:
    spool = start(tmp_path)
    (batch,) = spool.append([draft(random.Random(5), 300)]).batches
    spool.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        (body,) = connection.execute("SELECT body FROM batch").fetchone()
        flipped = body[:50] + bytes([body[50] ^ 1]) + body[51:]
        connection.execute("UPDATE batch SET body = ?", (flipped,))
    connection.close()
    again = start(tmp_path)
    assert again.load(batch.key) is None
    (one,) = again.append([]).declared
    assert (one.lost.spool, one.lost.from_seq, one.lost.to_seq) == (batch.key.spool, 1, 1)
    assert one.lost.reason == "damaged"
    assert [span.spool for span in again.held()] == [again.id]
    again.close()


def test_salvage_interrupted_begins_anew(tmp_path: Path) -> None:
    old_id, batches = fill(tmp_path)
    damage(tmp_path / FILE, [0])
    aside = tmp_path / "damaged" / "1"
    aside.mkdir(parents=True)
    (tmp_path / FILE).rename(aside / FILE)
    (tmp_path / "spool.new.db").write_bytes(b"half")
    spool = start(tmp_path)
    assert check_conserved(spool, old_id, batches) == len(batches)
    spool.close()
    (tmp_path / FILE).unlink()  # put aside by hand: what was salvaged once is not again
    assert start(tmp_path).held() == []


def test_two_damaged_files_are_kept_at_most(tmp_path: Path) -> None:
    for _ in range(4):
        fill(tmp_path, 20)
        damage(tmp_path / FILE, [0])
    start(tmp_path).close()
    assert len(list((tmp_path / "damaged").iterdir())) == 2


def test_disk_full_changes_nothing_and_is_retried(tmp_path: Path) -> None:
    spool, rng = start(tmp_path), random.Random(2)
    spool.append([draft(rng, 10)])
    connection = spool._rows._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages + 2}")
    before = (spool.last_seqs(), spool.held(), spool.bytes_held())
    big = draft(rng, 100_000)
    with pytest.raises(RetryLater):
        spool.append([big])
    assert (spool.last_seqs(), spool.held(), spool.bytes_held()) == before
    connection.execute("PRAGMA max_page_count=1000000")
    assert spool.append([big]).batches
    spool.close()


def test_damage_under_a_running_spool_stops_it(tmp_path: Path) -> None:
    spool, rng = start(tmp_path), random.Random(2)
    for _ in range(30):
        spool.append([draft(rng, 1000)])
    connection = spool._rows._connection
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(tmp_path / FILE, list(range(1, 20)))
    connection.execute("PRAGMA shrink_memory")

    def go_on() -> None:
        for _ in range(200):
            spool.append([draft(rng, 1000)], [Span(spool.id, "data", 1, 5)])

    with pytest.raises(StopService):
        go_on()
    spool.close()


def test_file_and_log_stay_within_the_bound(tmp_path: Path) -> None:
    for size in (300, 5000, 60_000):
        folder = tmp_path / str(size)
        folder.mkdir()
        spool = open_spool(
            folder,
            spool_id=os.urandom(16).hex(),
            boot_id="boot-1",
            clock=ManualClock(),
            bytes_max=2 * MIB,
        )
        rng, written = random.Random(4), 0
        while written < 5 * MIB:
            drafts = [draft(rng, size) for _ in range(max(1, 6000 // size))]
            written += sum(len(one.records_raw) for one in drafts)
            spool.append(drafts)
        used = sum(path.stat().st_size for path in folder.iterdir() if "shm" not in path.name)
        held = sum(span.high - span.low + 1 for span in spool.held()) * size
        spool.close()
        assert used <= 2 * MIB
        assert held >= 0.2 * MIB  # and the bound is made use of


def crashed(tmp_path: Path, count: int = 40) -> tuple[Path, str, dict[Key, Batch]]:
    """Return a card as a power cut left it: everything is in the log."""
    rng, spool = random.Random(8), start(tmp_path)
    batches: dict[Key, Batch] = {}
    for _ in range(count):
        batches.update({b.key: b for b in spool.append([draft(rng, 300)]).batches})
    copy = tmp_path / "copy"
    copy.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"{FILE}{suffix}", copy)
    old_id = spool.id
    spool.close()
    return copy, old_id, batches


def test_bit_flip_in_the_middle_of_the_log_loses_no_commit_behind_it(tmp_path: Path) -> None:
    copy, old_id, batches = crashed(tmp_path)
    wal = copy / f"{FILE}-wal"
    content = bytearray(wal.read_bytes())
    content[len(content) // 2] ^= 4
    wal.write_bytes(content)
    spool = start(copy)
    assert check_conserved(spool, old_id, batches) >= len(batches) - 1
    spool.close()


def test_spoilt_head_of_the_log_loses_nothing(tmp_path: Path) -> None:
    copy, old_id, batches = crashed(tmp_path)
    damage(copy / f"{FILE}-wal", [0], 32)
    spool = start(copy)
    assert check_conserved(spool, old_id, batches) == len(batches)
    spool.close()


def test_commit_that_was_cut_off_is_no_damage(tmp_path: Path) -> None:
    copy, _, _ = crashed(tmp_path)
    wal = copy / f"{FILE}-wal"
    os.truncate(wal, wal.stat().st_size - PAGE_BYTES - 500)
    start(copy).close()
    assert not (copy / "damaged").exists()


def test_columns_that_hold_anything_are_salvaged(tmp_path: Path) -> None:
    old_id, batches = fill(tmp_path, 20)
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_schema SET sql=replace(sql, ' NOT NULL', '')")
    connection.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("UPDATE batch SET body=NULL WHERE id=(SELECT max(id) FROM batch)")
        connection.execute("UPDATE spool_history SET last_seq='many' WHERE stream='alarm'")
    connection.close()
    spool = start(tmp_path)
    assert check_conserved(spool, old_id, batches) == len(batches) - 1
    spool.close()


def test_message_of_sqlite_that_is_no_text_is_salvaged(tmp_path: Path) -> None:
    old_id, batches = fill(tmp_path, 20)
    file = tmp_path / FILE
    file.write_bytes(file.read_bytes().replace(b"CREATE TABLE lost", b"CR\xc5ATE TABLE lost", 1))
    spool = start(tmp_path)
    assert check_conserved(spool, old_id, batches) == len(batches)
    spool.close()


def test_file_that_opens_and_breaks_under_way_is_salvaged_by_the_next_start(
    tmp_path: Path,
) -> None:
    old_id, batches = fill(tmp_path, 20)
    spool = start(tmp_path)
    spool._rows._connection.execute("DROP TABLE spool_history")
    with pytest.raises(StopService):
        spool.append([draft(random.Random(1), 10)])
    spool.close()
    with sqlite3.connect(tmp_path / FILE) as other:  # nothing that an opening would notice
        other.execute(SCHEMA[0])
    other.close()
    spool = start(tmp_path)
    assert (tmp_path / "damaged" / "1" / FILE).exists()
    assert check_conserved(spool, old_id, batches) == len(batches)
    spool.close()


def killed(folder: Path) -> tuple[Path, str]:
    """Return a card as a power cut leaves it, and its newest spool, which gave out ten batches."""
    work, card = folder / "work", folder / "card"
    work.mkdir()
    fill(work, 20)
    spool, rng = start(work), random.Random(3)
    for _ in range(10):
        spool.append([draft(rng, 100)])
    shutil.copytree(work, card)
    spool.close()
    return card, spool.id


def tails(card: Path) -> set[str]:
    """Start on a card and return the spools of which it says that there may have been more."""
    spool = start(card)
    spool.append([draft(random.Random(4), 10)])
    found = {one.lost.spool for one in spool.declared() if one.lost.to_seq is None}
    spool.close()
    return found


def test_power_cut_leaves_no_doubt(tmp_path: Path) -> None:
    card, _ = killed(tmp_path)
    assert tails(card) == set()
    assert tails(card) == set()


def test_log_that_is_gone_is_noticed(tmp_path: Path) -> None:
    card, spool = killed(tmp_path)
    (card / f"{FILE}-wal").unlink()
    assert tails(card) == {spool}
    assert tails(card) == {spool}  # still, until it is settled


@pytest.mark.parametrize("cut", [1, PAGE_BYTES, 3 * PAGE_BYTES])
def test_log_whose_end_is_broken_is_noticed(tmp_path: Path, cut: int) -> None:
    card, spool = killed(tmp_path)
    log = card / f"{FILE}-wal"
    os.truncate(log, log.stat().st_size - cut)
    assert tails(card) == {spool}


def test_end_of_the_log_that_reads_as_zeros_is_noticed(tmp_path: Path) -> None:
    card, spool = killed(tmp_path)
    log = card / f"{FILE}-wal"
    size = log.stat().st_size
    os.truncate(log, size - 3 * PAGE_BYTES)
    os.truncate(log, size)
    assert tails(card) == {spool}


def test_log_without_its_file_is_salvaged(tmp_path: Path) -> None:
    card, spool = killed(tmp_path)
    (card / FILE).unlink()
    again = start(card)
    held = [one for one in again.held() if one.spool == spool]
    assert sum(one.high - one.low + 1 for one in held) == 10
    again.close()


def test_log_of_another_file_does_not_overwrite_this_one(tmp_path: Path) -> None:
    card, spool = killed(tmp_path)
    other = sqlite3.connect(tmp_path / "other.db")
    for statement in (
        f"PRAGMA page_size={PAGE_BYTES}",
        "PRAGMA journal_mode=WAL",
        "CREATE TABLE a (b)",
    ):
        other.execute(statement)
    shutil.copy(tmp_path / "other.db-wal", card / f"{FILE}-wal")
    other.close()
    again = start(card)
    older = {one.spool for one in again.held()} - {spool}
    assert len(older) == 1  # all that was in the file is there
    again.close()
    assert spool in tails(card)


def test_folder_in_place_of_the_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    spool = start(tmp_path)
    assert spool.append([draft(random.Random(1), 10)]).batches
    spool.close()


def test_what_a_damaged_gap_record_told_is_told_again(tmp_path: Path) -> None:
    spool = start(tmp_path)
    lost = Lost(spool="ab" * 16, stream="data", from_seq=1, to_seq=None, reason="card_replaced")
    (told,) = spool.append([], [], [lost]).declared
    spool._rows._connection.execute("UPDATE batch SET body = x'00'")
    assert spool.load(told.gap) is None
    spool.append([])
    again = spool.declared()
    assert lost in [one.lost for one in again]
    assert told.gap not in [one.gap for one in again]
    spool.close()
    later = start(tmp_path)
    assert [one.lost for one in later.declared()] == [one.lost for one in again]
    later.close()


def test_history_with_a_key_that_is_none_is_salvaged(tmp_path: Path) -> None:
    old_id, batches = fill(tmp_path, 20)
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("ALTER TABLE spool_history RENAME TO sound")
        connection.execute("CREATE TABLE spool_history (id, spool, stream, last_seq, last_at)")
        connection.execute("INSERT INTO spool_history VALUES (NULL, NULL, 'data', 'x', 1)")
    connection.close()
    spool = start(tmp_path)
    assert check_conserved(spool, old_id, batches) == len(batches)
    spool.close()
