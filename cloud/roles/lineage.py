"""The lineage index inside the service: kept in a folder beside the data, on a thread."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from cloud.roles.common import Common
from cloud.trace.lineage.desk import LineageDesk
from cloud.trace.lineage.keeper import Keeper
from protocols.errors import RetryLater

FOLDER = "lineage"
LOOK_S = 5.0
"""Between looks whether there is enough that is new for a file."""

_log = logging.getLogger(__name__)


class LineagePart:
    """Answers lineages; while its files are not ready, from the tables."""

    def __init__(self, common: Common) -> None:
        self._stopping = common.stopping
        self._keeper = Keeper(common.state_db, common.data / FOLDER)
        self.desk = LineageDesk(common.state_db, self._keeper, common.schemes)

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs until the process stops."""
        return {"keep lineage": self._run()}

    async def _run(self) -> None:
        opened = False
        while not self._stopping.is_set():
            try:
                if not opened:
                    await asyncio.to_thread(self._keeper.open)
                    opened = True
                if await asyncio.to_thread(self._keeper.keep):
                    continue
            except (RetryLater, OSError) as error:
                _log.warning("lineage index: %s; traces are answered from the tables", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._stopping.wait()
