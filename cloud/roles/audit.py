"""The audit inside the service: its key, and the heads of it that are kept beside the database."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection

from cloud.audit.book import AuditBook
from cloud.audit.heads import HEADS_FILE, HeadsFile
from cloud.audit.key import KEY_FILE, fits, is_begun, make_key, read_key
from cloud.model.audit import TURN, Entry, append, is_proven, open_head, read_head
from cloud.model.database import Work, take_turn
from cloud.roles.common import Common
from cloud.settings import Settings
from protocols.errors import RetryLater, StopService

logger = logging.getLogger("suyuan.cloud")

HEAD_EACH_S = 2.0


def key_file(data: Path, settings: Settings) -> Path:
    """Return where the key of the audit is."""
    return Path(settings.audit.key_file) if settings.audit.key_file else data / KEY_FILE


class AuditPart:
    """Opens the audit with the one key that it has, and keeps its heads.

    Raises:
        StopService: the key is missing, damaged, or another than the audit was begun with.

    """

    def __init__(self, common: Common) -> None:
        self._database = common.state_db
        file = key_file(common.data, common.settings)
        if not file.exists():
            if common.state_db.read_now(is_begun):
                raise StopService(_LOST.format(file=file))
            make_key(file)
        key = read_key(file)
        if not common.state_db.write_now(lambda connection: _open(connection, key)):
            raise StopService(_OTHER.format(file=file))
        head = common.state_db.read_now(read_head)
        if head is not None and head.seq and not (common.data / HEADS_FILE).exists():
            logger.warning("no %s: it begins with entry %d of the audit", HEADS_FILE, head.seq)
        self.book = AuditBook(common.state_db, common.clock, key)
        common.access.noted = self.book.noted
        self._heads = HeadsFile(common.data, key, common.clock)
        self.keep_head()

    async def run(self) -> None:
        """Keep a head every few seconds until cancelled, and the last one then."""
        try:
            while True:
                await asyncio.sleep(HEAD_EACH_S)
                await asyncio.to_thread(self.keep_head)
        finally:
            self.keep_head()

    def keep_head(self) -> None:
        """Keep the newest head if there is one; blocking. A failure is logged and stops nothing."""
        try:
            self._heads.follow(self._database)
        except (RetryLater, OSError) as error:
            logger.error("no head of the audit was kept: %s", error)  # noqa: TRY400


def noting(data: Path, settings: Settings) -> Callable[..., Work]:
    """Return what writes entries of work that is done whether or not the audit can be written.

    A process that serves nobody may lack the key: it says so in the log, and goes on.
    """
    file = key_file(data, settings)

    def noted(*entries: Entry) -> Work:
        def work(connection: Connection) -> None:
            try:
                key = read_key(file)
            except StopService as error:
                logger.error("not noted in the audit: %s", error)  # noqa: TRY400
                return
            if fits(connection, key):
                append(connection, key, *entries)
            else:
                logger.error("not noted in the audit: %s is another audit's key", file)

        return work if entries else lambda _connection: None

    return noted


def _open(connection: Connection, key: bytes) -> bool:
    """Begin the audit or go on with it; False when it is of another key."""
    take_turn(connection, TURN)
    if not fits(connection, key):
        return False
    if not is_begun(connection):
        open_head(connection, key)
    elif not is_proven(connection, key):
        logger.error("the head of the audit is bent: run suyuan-cloud audit verify")
    return True


_LOST = (
    "the audit was begun with a key, and {file} is missing: put it back (another process of this "
    "service has the same, see audit.key_file); without it nothing proves the audit any more"
)
_OTHER = (
    "{file} is not the key that the audit was begun with: all processes of a service share one, "
    "see audit.key_file; a second chain is not begun"
)
