"""A spool to start with, whatever the disk is like."""

import logging
import uuid
from pathlib import Path

from edge.spool.base import Spool
from edge.spool.memory import MemorySpool
from edge.spool.salvage import open_spool
from protocols.clock import Clock
from protocols.errors import RetryLater

log = logging.getLogger(__name__)

MEMORY_SPOOL_BYTES = 8 * 1024 * 1024


def open_any_spool(folder: Path, *, boot_id: str, clock: Clock, bytes_max: int) -> Spool:
    """Open the spool of a state folder; where there is no disk to write on, one in memory."""
    spool_id = uuid.uuid4().hex
    try:
        return open_spool(
            folder, spool_id=spool_id, boot_id=boot_id, clock=clock, bytes_max=bytes_max
        )
    except RetryLater as error:
        log.error("no spool on disk, so nothing outlives this run: %s", error)  # noqa: TRY400
        return MemorySpool(
            spool_id=spool_id, boot_id=boot_id, clock=clock, bytes_max=MEMORY_SPOOL_BYTES
        )
