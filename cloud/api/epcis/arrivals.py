"""Bodies of captures: on disk while they arrive, and large ones one at a time in memory."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request

from protocols.errors import RetryLater

SMALL_BYTES = 1024 * 1024
"""Up to this size a body stays in memory."""
ARRIVING_MAX, ARRIVING_OF_ONE_MAX = 32, 4
"""Bodies on their way, of all callers and of one."""


class Arrivals:
    """Takes bodies in; how large one may be is what `cloud.api.limits` looks at."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()
        self._large = asyncio.Lock()

    @asynccontextmanager
    async def whole(self, request: Request, caller: str) -> AsyncIterator[bytes]:
        """Give a body whole, for as long as the block runs.

        Raises:
            RetryLater: too many are on their way.
            RefuseInput: `too_large`, `too_slow`.

        """
        if self._of.total() >= ARRIVING_MAX or self._of[caller] >= ARRIVING_OF_ONE_MAX:
            raise RetryLater("too many documents are on their way in")
        self._of[caller] += 1
        try:
            with tempfile.SpooledTemporaryFile(max_size=SMALL_BYTES) as file:
                size = await _take_in(request, file)
                if size <= SMALL_BYTES:
                    yield _all_of(file)
                else:
                    async with self._large:
                        yield await asyncio.to_thread(_all_of, file)
        finally:
            self._of -= Counter((caller,))


async def _take_in(request: Request, file: "tempfile.SpooledTemporaryFile[bytes]") -> int:
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > SMALL_BYTES:
            await asyncio.to_thread(file.write, part)
        else:
            file.write(part)
    return size


def _all_of(file: "tempfile.SpooledTemporaryFile[bytes]") -> bytes:
    file.seek(0)
    return file.read()
