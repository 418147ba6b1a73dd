"""One daemon on one state folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocols.errors import StopService

LOCK = "lock"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a state folder for this process; made if missing.

    Raises:
        StopService: another daemon holds it, or it cannot be made.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield
    except BlockingIOError:
        raise StopService(f"another gateway daemon runs on {folder}") from None
