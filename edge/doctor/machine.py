"""The state folder, the disk below it, and the clock."""

import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from edge.doctor.finding import Finding, fault, ok, warning
from edge.timekeeper import BUILT_AT_MS

SYNC_SLOW_S = 0.25
SYNC_TRIES = 5
ROOM_SPARE_BYTES = 64 * 1024 * 1024
"""What a disk should have free beyond the spool's bound: logs, and the next software."""
_PROBE = ".doctor"


def folder(state: Path, spool_bytes_max: int) -> Iterator[Finding]:
    """Look at the state folder: can it be written, is there room, how long does a sync take."""
    if not state.is_dir():
        yield warning(
            "state folder",
            f"{state} is not there",
            "suyuan-edge run makes it; the user that it runs as must be allowed to",
        )
        return
    try:
        slowest_s = _slowest_sync_s(state / _PROBE)
    except OSError as error:
        yield fault(
            "state folder",
            f"{state} cannot be written: {error.strerror}",
            "give it to the user that the daemon runs as (chown), or replace a card that the"
            " kernel has set read-only (dmesg tells)",
        )
        return
    if slowest_s > SYNC_SLOW_S:
        yield warning(
            "disk",
            f"making data safe takes up to {slowest_s * 1000:.0f} ms",
            "a card this slow is worn or counterfeit: an alarm waits for it; replace it by an"
            " industrial card or an SSD",
        )
    else:
        yield ok("disk", f"making data safe takes up to {slowest_s * 1000:.0f} ms")
    yield _room(state, spool_bytes_max)


def clock(wall_ms: int) -> Finding:
    """Look at the clock: was it ever set."""
    shown = datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(timespec="seconds")
    if wall_ms < BUILT_AT_MS:
        return warning(
            "clock",
            f"it shows {shown}, which is past",
            "let it be set by NTP (timedatectl set-ntp true) or add a clock module; until then"
            " the service places what the gateway reads",
        )
    return ok("clock", f"it shows {shown}")


def _slowest_sync_s(probe: Path) -> float:
    slowest_s = 0.0
    try:
        with probe.open("wb", buffering=0) as file:
            for _ in range(SYNC_TRIES):
                began = time.perf_counter()
                file.write(bytes(4096))
                os.fsync(file.fileno())
                slowest_s = max(slowest_s, time.perf_counter() - began)
    finally:
        probe.unlink(missing_ok=True)
    return slowest_s


def _room(state: Path, spool_bytes_max: int) -> Finding:
    free = shutil.disk_usage(state).free
    held = sum(file.stat().st_size for file in state.glob("spool.db*"))
    wanted = max(0, spool_bytes_max - held) + ROOM_SPARE_BYTES
    found = f"{free // 1_000_000:,} MB free, the spool may still take {wanted // 1_000_000:,} MB"
    if free < wanted:
        return warning(
            "room",
            found,
            "make room, or lower bytes_max in [spool] of the site file: a full disk loses data",
        )
    return ok("room", found)
