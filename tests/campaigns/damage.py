"""Damages spools in every way and lets system calls fail; counts what is lost without a word.

    python -m tests.campaigns.damage --cases 2000 --seed 1 [--processes 120]

Most cases damage a copy of a spool that was killed under way, start on it and settle everything
with the model cloud; `--processes` of them are child processes (`damage_child.py`) of which strace
lets the n-th system call on the spool's files fail. Exit 0 only if each seq that was given out and
is known to the card or to the cloud is stored or declared, no record came back changed, and every
start succeeded.
"""

import argparse
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from edge.batches import Batch, Draft, Key, Line, Span
from edge.spool.reserve import FILE as RESERVE_FILE
from edge.spool.rows import PAGE_BYTES, pack, row_id
from edge.spool.salvage import open_spool
from edge.spool.sqlite import FILE, SqliteSpool
from edge.spool.wal import FRAME_HEADER, HEADER, salts
from protocols.clock import ManualClock
from protocols.errors import StopService, SuyuanError
from protocols.topics import Stream
from tests.campaigns.damage_child import FAULTS, run_child
from tests.support.damaged_files import KINDS
from tests.support.model_cloud import Account, ModelCloud
from tests.support.settling import settle_all

BYTES_MAX = 4 * 1024 * 1024
TEMPLATES = 12
FAILURES = (
    *(SuyuanError, OSError, sqlite3.Error, ArithmeticError, LookupError),
    *(ValueError, TypeError, AttributeError, AssertionError),
)
"""Whatever it is, the daemon would have ended by it."""
STARTS_MAX = 4
"""The daemon tries as often within a minute, in one process."""


@dataclass
class Card:
    """A spool as a power cut left it, and what is known of it."""

    folder: Path
    older: Path
    """The same card some commits before."""
    written: dict[Key, bytes] = field(default_factory=dict)
    last: dict[Line, int] = field(default_factory=dict)
    settled: set[Key] = field(default_factory=set)


@dataclass
class Verdict:
    """Of one case."""

    faults: list[str]
    declared: int = 0
    unknown_tails: int = 0
    over_declared: int = 0
    unknowable: int = 0
    """Seqs of which neither the card nor the cloud has any trace left."""


def start(folder: Path, rng: random.Random, clock: ManualClock) -> SqliteSpool:
    """Open a spool as the daemon does."""
    spool_id = f"{rng.getrandbits(128):032x}"
    return open_spool(folder, spool_id=spool_id, boot_id="boot", clock=clock, bytes_max=BYTES_MAX)


def draft(rng: random.Random, stream: Stream) -> Draft:
    """Make a batch of one record that the model cloud understands."""
    size = rng.choice((10, 100, 400, 3000))
    body = rng.randbytes(size).hex()
    return Draft(
        stream=stream,
        clock="synced",
        boot_id="boot",
        created_ms=1,
        from_at=1_764_000_000_000,
        to_at=1_764_000_000_001,
        records=1,
        records_raw=b'[{"kind":"status","at":1,"uptime_s":1,"counters":{"%b":1}}]' % body.encode(),
    )


def make_card(folder: Path, rng: random.Random) -> Card:
    """Let a daemon run some times on a card; what it held at its last moment is copied."""
    work, clock = folder / "work", ManualClock()
    work.mkdir(parents=True)
    card = Card(folder / "card", folder / "older")
    starts = rng.randint(1, 3)
    for number in range(starts):
        spool = start(work, rng, clock)
        commits = rng.randint(10, 40)
        for commit in range(commits):
            _commit(spool, rng, card)
            if number == starts - 1 and commit == commits // 2:
                shutil.copytree(work, card.older)
        if number == starts - 1:
            shutil.copytree(work, card.folder)
        spool.close()
    if rng.random() < 0.3:  # stopped in an orderly way: there is no log
        shutil.rmtree(card.folder)
        shutil.copytree(work, card.folder)
    shutil.rmtree(work)
    return card


def _commit(spool: SqliteSpool, rng: random.Random, card: Card) -> None:
    streams: list[Stream] = [
        rng.choice(("alarm", "data", "data")) for _ in range(rng.randint(1, 4))
    ]
    waiting = [key for key in card.written if key not in card.settled]
    chosen = rng.sample(waiting, min(2, len(waiting)))
    settled = [Span(key.spool, key.stream, key.seq, key.seq) for key in chosen]
    card.settled.update(chosen)
    made = spool.append([draft(rng, stream) for stream in streams], settled)
    for batch in made.batches:
        card.written[batch.key] = batch.records_raw
        line = (batch.key.spool, batch.key.stream)
        card.last[line] = max(batch.key.seq, card.last.get(line, 0))
        if batch.key.seq == 1:  # the cloud hears of each line soon
            card.settled.add(batch.key)


def cloud_of(written: dict[Key, bytes], settled: set[Key], clock: ManualClock) -> ModelCloud:
    """Make a cloud that has stored what is settled."""
    cloud = ModelCloud(clock)
    cloud.backlog_bytes_s = 100_000_000
    for key in sorted(settled, key=lambda key: (key.spool, key.stream, key.seq)):
        account = cloud.accounts.setdefault((key.spool, key.stream), Account())
        account.settled.add(key.seq)
        account.stored[key.seq] = written[key]
    return cloud


def judge(
    folder: Path, written: dict[Key, bytes], settled: set[Key], rng: random.Random
) -> Verdict:
    """Start on a card twice, settle everything, and compare."""
    clock = ManualClock()
    cloud, known = cloud_of(written, settled, clock), dict(written)
    traced = traces(folder, written)
    verdict = Verdict([])
    for _ in range(STARTS_MAX):
        spool = start(folder, rng, clock)
        try:
            made = spool.append([draft(rng, "data"), draft(rng, "alarm")])
            known.update({batch.key: batch.records_raw for batch in made.batches[:2]})
            verdict.faults += settle_all(spool, cloud, clock)
            break
        except StopService:  # the daemon starts again
            continue
        finally:
            spool.close()
    else:
        verdict.faults.append("did not start for long")
    last: dict[Line, int] = {}
    for key in known:
        line = (key.spool, key.stream)
        if key in traced or key in settled or key not in written:
            last[line] = max(key.seq, last.get(line, 0))
    verdict.unknowable = sum(key.seq > last.get((key.spool, key.stream), 0) for key in written)
    for line, account in cloud.accounts.items():
        _compare(line, account, known, last.get(line), verdict)
        top = max((key.seq for key in known if (key.spool, key.stream) == line), default=0)
        if top:
            verdict.over_declared += max(0, account.settled.top - max(top, *account.stored, 0))
    verdict.faults += [f"never heard of {line}" for line in last if line not in cloud.accounts]
    if cloud.conflicts:
        verdict.faults.append(f"{cloud.conflicts} batches came back with other records")
    return verdict


def committed(log: bytes) -> bytes:
    """Cut a log behind the last frame that ends a commit of its newest run."""
    mine, size, end = salts(log, PAGE_BYTES), FRAME_HEADER + PAGE_BYTES, 0
    for at in range(HEADER, len(log) - size + 1, size):
        if log[at + 8 : at + 16] == mine and log[at + 4 : at + 8] != bytes(4):
            end = at + size
    return log[:end]


def traces(folder: Path, written: dict[Key, bytes]) -> set[Key]:
    """Tell which batches have left a trace, which is their whole row, on a card.

    What lies in the log behind its last commit is none: it may as well have been under way.
    """
    content = b""
    for file in (one for one in folder.rglob("*") if one.is_file()):
        if file.name.endswith("-wal"):
            content += committed(file.read_bytes())
        elif not file.name.endswith(("-shm", RESERVE_FILE)):
            content += file.read_bytes()
    found = set()
    for key, raw in written.items():
        batch = Batch(
            key=key,
            boot_id="boot",
            clock="synced",
            created_ms=1,
            from_at=1,
            to_at=1,
            records=1,
            records_raw=raw,
        )
        body = pack(row_id(1, key.stream, key.seq), batch).body
        parts = [body[at : at + 40] for at in range(0, len(body), 40)]
        missing = (1 for part in parts if part not in content)
        allowed = len(body) // PAGE_BYTES  # parts that lie across pages, but not the first
        if body[40:80] in content and sum(islice(missing, allowed + 1)) <= allowed:
            found.add(key)
    return found


def _compare(
    line: Line, account: Account, known: dict[Key, bytes], last: int | None, verdict: Verdict
) -> None:
    for seq, raw in account.stored.items():
        right = known.get(Key(*line, seq))
        if right is not None and right != raw:
            verdict.faults.append(f"wrong record: {line} {seq}")
    verdict.declared += account.lost.count()
    verdict.unknown_tails += account.unknown_tail
    if last is None:
        return  # of the salvage itself
    missing = account.settled.missing(1, last)
    if missing and not account.unknown_tail:
        verdict.faults.append(f"undeclared: {line} {missing}")


def damaged_case(cards: list[Card], folder: Path, rng: random.Random) -> tuple[str, Verdict]:
    """Copy a card, damage it, judge."""
    card = rng.choice(cards)
    work = folder / "case"
    kind = rng.choice((*KINDS, None, None))
    if kind is None:
        shutil.copytree(card.older, work)
        name = "older_image"
        if rng.random() < 0.3 and (card.folder / FILE).exists():
            shutil.copy(card.folder / FILE, work / FILE)
            name = "newer_file_older_log"
    else:
        shutil.copytree(card.folder, work)
        name = kind.__name__
        kind(work, rng)
        if rng.random() < 0.2:
            more = rng.choice(KINDS[:7])
            if (work / FILE).exists() and (work / FILE).stat().st_size:
                more(work, rng)
                name += f"+{more.__name__}"
    try:
        return name, judge(work, card.written, card.settled, rng)
    except FAILURES as error:
        return name, Verdict([f"did not start: {error!r}"])
    finally:
        shutil.rmtree(work, ignore_errors=True)


def process_case(folder: Path, rng: random.Random) -> tuple[str, Verdict]:
    """Let a system call of a real process fail, then judge what it left."""
    work = folder / "case"
    work.mkdir()
    fault = rng.choice(FAULTS)
    when = rng.choice(
        (f"{rng.randint(1, 60)}", f"{rng.randint(1, 60)}+", f"1..{rng.randint(2, 20)}")
    )
    name = f"strace {fault.call} {fault.error} when={when}"
    try:
        told = run_child(work, fault, when, rng.getrandbits(30))
        if told.code:
            return name, Verdict([f"ended with {told.code}: {told.text[-300:]}"])
        return name, judge(work, told.written, told.settled, rng)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def run(folder: Path, cases: int, processes: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Run all cases; return sums and faults."""
    rng, sums, faults = random.Random(seed), Counter[str](), list[str]()
    cards = [
        make_card(folder / f"card{number}", rng) for number in range(min(TEMPLATES, 1 + cases // 8))
    ]
    for number in range(1, cases + 1):
        own = random.Random(seed * 1_000_003 + number)
        by_process = number > cases - processes
        name, verdict = (
            process_case(folder, own) if by_process else damaged_case(cards, folder, own)
        )
        sums["cases"] += 1
        sums["processes"] += by_process
        sums["declared"] += verdict.declared
        sums["unknown_tails"] += verdict.unknown_tails
        sums["over_declared"] += verdict.over_declared
        sums["unknowable"] += verdict.unknowable
        for kind in ("undeclared", "wrong record", "did not start", "ended with"):
            sums[kind] += any(fault.startswith(kind) for fault in verdict.faults)
        if verdict.over_declared:
            print(f"\r  case {number} ({name}): {verdict.over_declared} declared too many")
        faults += [f"case {number} ({name}): {fault}" for fault in verdict.faults]
        if number % 50 == 0:
            print(f"\r  case {number}/{cases}, {len(faults)} faults", end="", flush=True)
    print()
    return sums, faults


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="suyuan-damage-") as name:
        sums, faults = run(Path(name), options.cases, options.processes, options.seed)
    for fault in faults[:20]:
        print(f"  {fault}")
    crashed = sums["did not start"] + sums["ended with"]
    print(
        f"damage: {sums['cases']} cases ({sums['processes']} processes) in"
        f" {time.monotonic() - began:.0f} s, seed {options.seed}: {sums['undeclared']} with"
        f" undeclared losses, {sums['wrong record']} with wrong records, {crashed} failed starts,"
        f" {len(faults)} faults; {sums['declared']} seqs declared lost,"
        f" {sums['unknown_tails']} unknown tails, {sums['over_declared']} declared too many,"
        f" {sums['unknowable']} without a trace on card or cloud"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
