"""Damaged day files: the store always starts, and what was lost comes back from the log."""

import logging
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from cloud.telemetry.duckdb import DuckDbStore
from protocols.clock import ManualClock
from protocols.errors import RetryLater, StopService
from tests.support.log_groups import DAY_MS, NOON_MS
from tests.support.telemetry_load import PARTITIONS, expected, feed, stored

LAST = 45
TODAY, YESTERDAY = "2025-11-24", "2025-11-23"


def open_at(folder: Path) -> DuckDbStore:
    return DuckDbStore(folder, clock=ManualClock(NOON_MS))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a kill leaves it: four days, each with a main file and a write-ahead log."""
    folder = tmp_path_factory.mktemp("killed") / "telemetry"
    store = open_at(folder)
    feed(store, 25)
    store.sort_closed()
    store.close()
    command = [sys.executable, "-m", "tests.support.telemetry_load", "", str(folder), str(LAST)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as process:
        assert process.stdout is not None
        assert any(line == "done\n" for line in process.stdout)
        process.kill()
    assert (folder / f"{TODAY}.duckdb.wal").stat().st_size > 10_000
    return folder


@pytest.fixture
def folder(killed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(killed, tmp_path / "telemetry"))


def feed_until_whole(store: DuckDbStore) -> None:
    """Read as users do and feed as the consumer does, until nothing is missing any more."""
    for _ in range(10):
        try:
            feed(store, LAST)
            found = stored(store)
        except RetryLater:
            continue
        if store.positions() == dict.fromkeys(PARTITIONS, LAST):
            break
    assert found == expected(LAST)


def check_recovers(folder: Path) -> None:
    """Everything is there again after the log was read, and still after a restart."""
    store = open_at(folder)
    feed_until_whole(store)
    store.close()
    store = open_at(folder)
    assert store.positions() == dict.fromkeys(PARTITIONS, LAST)
    assert stored(store) == expected(LAST)
    store.close()
    assert not list(folder.glob("*.rebuild"))


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def zero_middle_of_log(folder: Path) -> None:
    log = folder / f"{TODAY}.duckdb.wal"
    overwrite(log, log.stat().st_size // 2, bytes(4096))


def zero_end_of_log(folder: Path) -> None:
    log = folder / f"{TODAY}.duckdb.wal"
    overwrite(log, log.stat().st_size - 64, bytes(64))


def zero_head_of_log(folder: Path) -> None:
    overwrite(folder / f"{TODAY}.duckdb.wal", 0, bytes(64))


def cut_log(folder: Path) -> None:
    log = folder / f"{TODAY}.duckdb.wal"
    os.truncate(log, log.stat().st_size * 2 // 3)


def cut_log_of_another_day(folder: Path) -> None:
    os.truncate(folder / f"{YESTERDAY}.duckdb.wal", 5_000)


def remove_log_of_another_day(folder: Path) -> None:
    (folder / f"{YESTERDAY}.duckdb.wal").unlink()


def fill_log_with_noise(folder: Path) -> None:
    (folder / f"{TODAY}.duckdb.wal").write_bytes(random.Random(1).randbytes(9_000))


def zero_header_of_main_file(folder: Path) -> None:
    overwrite(folder / f"{TODAY}.duckdb", 0, bytes(12_288))


def empty_main_file(folder: Path) -> None:
    os.truncate(folder / f"{YESTERDAY}.duckdb", 0)


def cut_main_file(folder: Path) -> None:
    os.truncate(folder / f"{TODAY}.duckdb", 300_000)


def remove_main_file(folder: Path) -> None:
    (folder / f"{YESTERDAY}.duckdb").unlink()


@pytest.mark.parametrize(
    "damage",
    [
        zero_middle_of_log,
        zero_end_of_log,
        zero_head_of_log,
        cut_log,
        cut_log_of_another_day,
        remove_log_of_another_day,
        fill_log_with_noise,
        zero_header_of_main_file,
        empty_main_file,
        cut_main_file,
        remove_main_file,
    ],
)
def test_damage_is_repaired_from_the_log(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    check_recovers(folder)


def test_undamaged_folder_needs_nothing_again(folder: Path) -> None:
    store = open_at(folder)
    assert store.positions() == dict.fromkeys(PARTITIONS, LAST)
    assert stored(store) == expected(LAST)
    store.close()
    assert not (folder / "damaged").exists()


def test_damaged_log_is_set_aside_before_it_is_cut(folder: Path, killed: Path) -> None:
    zero_middle_of_log(folder)
    damaged = (folder / f"{TODAY}.duckdb.wal").read_bytes()
    open_at(folder).close()
    copies = list((folder / "damaged").iterdir())
    assert [path.read_bytes() for path in copies] == [damaged]


def test_zeros_that_the_engine_overlooks_are_found(folder: Path) -> None:
    """DuckDB joins word checksums by exclusive or, so two equal words may vanish together."""
    log = folder / f"{TODAY}.duckdb.wal"
    content = log.read_bytes()
    pairs = (
        at
        for at in range(4096, len(content) - 16)
        if content[at : at + 8] == content[at + 8 : at + 16] != bytes(8)
    )
    for _, at in zip(range(40), pairs, strict=False):
        overwrite(log, at, bytes(16))
    check_recovers(folder)


def test_rows_beside_a_bad_block_are_saved_without_the_log(tmp_path: Path) -> None:
    source = tmp_path / "whole"
    store = open_at(source)
    feed(store, LAST)
    store.close()
    saved = []
    blocks = range(12_288, (source / f"{TODAY}.duckdb").stat().st_size, 262_144)
    for block in blocks:
        folder = Path(shutil.copytree(source, tmp_path / str(block)))
        overwrite(folder / f"{TODAY}.duckdb", block + 200, random.Random(block).randbytes(100))
        saved.append(_values_without_log(folder))
        check_recovers(folder)
    whole = sum(expected(LAST).values())
    assert whole in saved, "a block that is not in use"
    assert any(_of_other_days() < count < whole for count in saved)


def _values_without_log(folder: Path) -> int:
    """Count what is readable once the damage was found and repaired."""
    store = open_at(folder)
    try:
        for _ in range(3):
            with suppress(RetryLater):
                return sum(stored(store).values())
    finally:
        store.close()
    raise AssertionError("not readable after three repairs")


def _of_other_days() -> int:
    today_ms = NOON_MS - DAY_MS // 2
    return sum(count for (_, _, at, _), count in expected(LAST).items() if at < today_ms)


@pytest.mark.parametrize("seed", range(6))
def test_random_damage_is_repaired(folder: Path, seed: int) -> None:
    damage_at_random(folder, random.Random(seed))
    check_recovers(folder)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(100, 300, 20))
def test_random_damage_is_repaired_many_times(killed: Path, tmp_path: Path, seed: int) -> None:
    logging.disable(logging.CRITICAL)
    try:
        for one in range(seed, seed + 20):
            folder = Path(shutil.copytree(killed, tmp_path / str(one)))
            damage_at_random(folder, random.Random(one))
            check_recovers(folder)
    finally:
        logging.disable(logging.NOTSET)


def damage_at_random(folder: Path, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 2, 3])):
        path = rng.choice([path for path in sorted(folder.iterdir()) if ".duckdb" in path.name])
        size = path.stat().st_size
        at, length = rng.randrange(max(size, 1)), rng.choice([1, 16, 512, 4096, 20_000])
        length = min(length, size - at)
        match rng.choice(["zero", "noise", "cut", "remove", "longer"]):
            case "zero" if path.name.endswith(".wal"):
                overwrite(path, at, bytes(length))
            case "zero" | "noise":
                overwrite(path, at, rng.randbytes(length))
            case "cut":
                os.truncate(path, at)
            case "remove":
                path.unlink()
            case _:
                with path.open("ab") as file:
                    file.write(rng.choice([bytes(4096), rng.randbytes(300)]))


def test_rebuild_goes_on_after_a_restart(folder: Path) -> None:
    empty_main_file(folder)
    (folder / f"{YESTERDAY}.duckdb.wal").unlink()
    store = open_at(folder)
    assert store.positions() == dict.fromkeys(PARTITIONS, 0)
    feed(store, 10)
    store.close()
    store = open_at(folder)
    assert max(store.positions().values()) <= 10
    feed_until_whole(store)
    store.close()


def test_damage_found_while_running_sends_the_consumer_back(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    feed(store, LAST)
    store.close()
    store = open_at(tmp_path)
    path = tmp_path / f"{TODAY}.duckdb"
    for at in range(12_288, path.stat().st_size, 50_000):
        overwrite(path, at, random.Random(at).randbytes(200))
    feed_until_whole(store)
    store.close()
    check_recovers(tmp_path)


def test_append_is_refused_until_the_caller_saw_that_positions_went_back(folder: Path) -> None:
    zero_middle_of_log(folder)
    store = open_at(folder)
    feed_until_whole(store)
    store._files.remove(NOON_MS // DAY_MS)  # somebody deletes a file behind the store's back
    with pytest.raises(RetryLater):
        feed(store, LAST + 5)
    assert store.positions() == dict.fromkeys(PARTITIONS, 0)
    feed(store, LAST + 5)
    assert stored(store) == expected(LAST + 5)
    store.close()


def test_second_process_is_refused_and_the_file_left_alone(folder: Path) -> None:
    code = (
        "import duckdb, sys\n"
        f"held = duckdb.connect({str(folder / f'{TODAY}.duckdb')!r})\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StopService, match="another process"):
            open_at(folder)
        process.kill()
    check_recovers(folder)
