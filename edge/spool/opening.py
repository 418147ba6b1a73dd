"""A spool to start with, whatever the disk is like."""

import uuid
from pathlib import Path

from edge.spool.memory import MemorySpool
from edge.spool.salvage import open_spool
from edge.spool.sqlite import SqliteSpool
from edge.spool.standby import StandbySpool
from protocols.clock import Clock

MEMORY_SPOOL_BYTES = 8 * 1024 * 1024


def open_any_spool(folder: Path, *, boot_id: str, clock: Clock, bytes_max: int) -> StandbySpool:
    """Open the spool of a state folder; one in memory stands in while no disk takes it."""

    def disk() -> SqliteSpool:
        return open_spool(
            folder, spool_id=uuid.uuid4().hex, boot_id=boot_id, clock=clock, bytes_max=bytes_max
        )

    def memory() -> MemorySpool:
        return MemorySpool(
            spool_id=uuid.uuid4().hex, boot_id=boot_id, clock=clock, bytes_max=MEMORY_SPOOL_BYTES
        )

    return StandbySpool(disk=disk, memory=memory, clock=clock)
