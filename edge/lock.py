"""One daemon on one state folder."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from protocols.errors import StopService

LOCK = "lock"

log = logging.getLogger(__name__)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a state folder for this process; made if missing.

    A card that takes nothing, not even the lock, keeps no gateway from starting.

    Raises:
        StopService: another daemon holds it.

    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((folder / LOCK).open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StopService(f"another gateway daemon runs on {folder}") from None
        except OSError as error:
            log.warning("no lock on %s: %s", folder, error)
        yield
