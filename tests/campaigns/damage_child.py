"""A small daemon on a real spool whose system calls fail: run by the campaign under strace.

`python -m tests.campaigns.damage_child FOLDER SEED` commits batches as the daemon does, with the
memory standing in for the disk, and prints one line for each batch that got a key.
"""

import base64
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec

from edge.batches import Draft, Key
from edge.spool.memory import MemorySpool
from edge.spool.salvage import open_spool
from edge.spool.sqlite import FILE
from edge.spool.standby import LOOK_AGAIN_MS, STANDBY_AFTER_MS, StandbySpool
from protocols.clock import ManualClock
from protocols.errors import RetryLater, StopService
from protocols.topics import Stream

COMMITS = 40
BYTES_MAX = 1024 * 1024


class CallFault(NamedTuple):
    """A system call and the error that it ends in."""

    call: str
    error: str


FAULTS = tuple(
    CallFault(call, error)
    for call, errors in {
        "pwrite64": ("ENOSPC", "EIO"),
        "fsync,fdatasync": ("EIO", "ENOSPC"),
        "openat": ("EMFILE", "EIO", "ENOSPC"),
        "ftruncate": ("EIO", "ENOSPC"),
        "pread64": ("EIO",),
        "unlink": ("EIO", "EROFS"),
        "fallocate": ("ENOSPC",),
    }.items()
    for error in errors
)


class Told(NamedTuple):
    """What a child said before it ended."""

    code: int
    text: str
    written: dict[Key, bytes]
    settled: set[Key]


def run_child(folder: Path, fault: CallFault, when: str, seed: int) -> Told:
    """Run a child whose system calls on the spool's files fail at the given times."""
    names = [f"{FILE}{suffix}" for suffix in ("", "-wal", "-shm")] + ["spool.reserve"]
    paths = [part for name in names for part in ("-P", str(folder / name))]
    command = [
        *("strace", "-f", "-qq", "-o", "/dev/null", *paths, "-e", f"trace={fault.call}"),
        *("-e", f"inject={fault.call}:error={fault.error}:when={when}"),
        *(sys.executable, "-m", "tests.campaigns.damage_child", str(folder), str(seed)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    written: dict[Key, bytes] = {}
    settled: set[Key] = set()
    for line in done.stdout.splitlines():
        spool, stream, seq, in_memory, raw = line.split()
        kind: Stream = "alarm" if stream == "alarm" else "data"
        key = Key(spool, kind, int(seq))
        written[key] = base64.b64decode(raw)
        if in_memory == "True" or key.seq == 1:
            settled.add(key)  # what stands in memory is sent at once, or a power cut loses it
    return Told(done.returncode, done.stderr, written, settled)


def main() -> None:
    """Commit, whatever happens."""
    folder, rng, clock = Path(sys.argv[1]), random.Random(int(sys.argv[2])), ManualClock()
    for _ in range(2):
        try:
            _run(_spool(folder, clock), rng, clock)
        except StopService as error:
            print(f"starting again: {error}", file=sys.stderr)


def _spool(folder: Path, clock: ManualClock) -> StandbySpool:
    return StandbySpool(
        disk=lambda: open_spool(
            folder, spool_id=os.urandom(16).hex(), boot_id="b", clock=clock, bytes_max=BYTES_MAX
        ),
        memory=lambda: MemorySpool(
            spool_id=os.urandom(16).hex(), boot_id="b", clock=clock, bytes_max=BYTES_MAX
        ),
        clock=clock,
    )


def _run(spool: StandbySpool, rng: random.Random, clock: ManualClock) -> None:
    try:
        for _ in range(COMMITS):
            clock.advance(rng.choice((10, 1000, LOOK_AGAIN_MS)))
            drafts = [_draft(rng) for _ in range(rng.randint(1, 3))]
            for _ in range(20):
                try:
                    made = spool.append(drafts)
                except RetryLater:
                    clock.advance(STANDBY_AFTER_MS // 2)
                else:
                    break
            else:
                raise SystemExit("neither disk nor memory took it")
            for batch in made.batches:
                raw = base64.b64encode(batch.records_raw).decode()
                print(*msgspec.structs.astuple(batch.key), spool.in_memory, raw, flush=True)
    finally:
        spool.close()


def _draft(rng: random.Random) -> Draft:
    body = rng.randbytes(rng.choice((10, 100, 3000))).hex().encode()
    return Draft(
        stream=rng.choice(("alarm", "data")),
        clock="synced",
        boot_id="b",
        created_ms=1,
        from_at=1,
        to_at=2,
        records=1,
        records_raw=b'[{"kind":"status","at":1,"uptime_s":1,"counters":{"%b":1}}]' % body,
    )


if __name__ == "__main__":
    main()
