"""What happens to a card: each kind of damage is a function of the folder and a generator."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from edge.spool.rows import PAGE_BYTES
from edge.spool.sqlite import FILE

Damage = Callable[[Path, random.Random], None]
WAL, SHM = f"{FILE}-wal", f"{FILE}-shm"


def _files(folder: Path) -> list[Path]:
    files = [folder / FILE, folder / WAL]
    return [file for file in files if file.exists() and file.stat().st_size]


def _change(file: Path, at: int, content: bytes) -> None:
    with file.open("r+b") as out:
        out.seek(at)
        out.write(content)


def flip_bits(folder: Path, rng: random.Random) -> None:
    """Turn over 1 to 8 bits of the file or its log."""
    file = rng.choice(_files(folder))
    content = bytearray(file.read_bytes())
    for _ in range(rng.randint(1, 8)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def flip_head(folder: Path, rng: random.Random) -> None:
    """Turn over a bit of the first 100 bytes, which say what the file is."""
    file = rng.choice(_files(folder))
    at = rng.randrange(min(100, file.stat().st_size))
    content = file.read_bytes()
    _change(file, at, bytes([content[at] ^ 1 << rng.randrange(8)]))


def tear_tail(folder: Path, rng: random.Random) -> None:
    """Leave zeros or noise where the last writes should be."""
    file = _files(folder)[-1]
    size = file.stat().st_size
    torn = rng.randint(1, min(size, 8 * PAGE_BYTES))
    _change(file, size - torn, rng.choice((bytes(torn), rng.randbytes(torn))))


def truncate(folder: Path, rng: random.Random) -> None:
    """Cut the file or its log, at a page or anywhere."""
    file = rng.choice(_files(folder))
    size = rng.randrange(file.stat().st_size)
    if rng.random() < 0.5:
        size -= size % PAGE_BYTES
    with file.open("r+b") as out:
        out.truncate(size)


def zero_pages(folder: Path, rng: random.Random) -> None:
    """Fill 1 to 4 pages with zeros."""
    file = rng.choice(_files(folder))
    for _ in range(rng.randint(1, 4)):
        page = rng.randrange(max(1, file.stat().st_size // PAGE_BYTES))
        _change(file, page * PAGE_BYTES, bytes(PAGE_BYTES))


def swap_pages(folder: Path, rng: random.Random) -> None:
    """Exchange two pages."""
    file = folder / FILE
    count = file.stat().st_size // PAGE_BYTES
    if count < 2:
        return
    content = file.read_bytes()
    first, second = (page * PAGE_BYTES for page in rng.sample(range(count), 2))
    _change(file, first, content[second : second + PAGE_BYTES])
    _change(file, second, content[first : first + PAGE_BYTES])


def noise_pages(folder: Path, rng: random.Random) -> None:
    """Write noise over an erase block of the card."""
    file = rng.choice(_files(folder))
    at = rng.randrange(file.stat().st_size)
    _change(file, at, rng.randbytes(min(16_384, file.stat().st_size - at)))


def lose_log(folder: Path, _rng: random.Random) -> None:
    """Remove the log."""
    (folder / WAL).unlink(missing_ok=True)


def lose_index(folder: Path, _rng: random.Random) -> None:
    """Remove the index of the log."""
    (folder / SHM).unlink(missing_ok=True)


def spoil_index(folder: Path, rng: random.Random) -> None:
    """Fill the index of the log with noise."""
    (folder / SHM).write_bytes(rng.randbytes(32_768))


def lose_file(folder: Path, _rng: random.Random) -> None:
    """Remove the file and leave its log."""
    (folder / FILE).unlink()


def foreign_file(folder: Path, rng: random.Random) -> None:
    """Put something else in its place."""
    file = folder / FILE
    if rng.random() < 0.3:
        for suffix in ("-wal", "-shm"):
            (folder / f"{FILE}{suffix}").unlink(missing_ok=True)
    kind = rng.randrange(4)
    if kind == 0:
        file.write_bytes(rng.randbytes(rng.randint(1, 50_000)))
    elif kind == 1:
        file.write_bytes(b"")
    elif kind == 2:
        file.write_text("no database\n" * rng.randint(1, 500))
    else:
        file.unlink()
        with sqlite3.connect(file) as other:
            other.execute("CREATE TABLE batch (id INTEGER PRIMARY KEY, name TEXT)")
            other.execute("INSERT INTO batch VALUES (1, 'somebody else''s')")
        other.close()


def foreign_log(folder: Path, rng: random.Random) -> None:
    """Leave a log that belongs to another file."""
    (folder / WAL).write_bytes(rng.randbytes(rng.randint(1, 50_000)))


def half_salvaged(folder: Path, _rng: random.Random) -> None:
    """A start that was interrupted while it set the file aside."""
    aside = folder / "damaged" / "1"
    aside.mkdir(parents=True)
    for name in (WAL, FILE):
        if (folder / name).exists():
            shutil.move(folder / name, aside / name)


KINDS: tuple[Damage, ...] = (
    flip_bits,
    flip_head,
    tear_tail,
    truncate,
    zero_pages,
    swap_pages,
    noise_pages,
    lose_log,
    lose_index,
    spoil_index,
    lose_file,
    foreign_file,
    foreign_log,
    half_salvaged,
)
