"""Waiting for something in another process, with an end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from protocols.errors import RetryLater, StopService

T = TypeVar("T")


async def until(
    check: Callable[[], Awaitable[T | None]],
    *,
    timeout_s: float,
    what: str,
    alive: Callable[[], None],
    every_s: float = 0.02,
) -> T:
    """Ask again and again until `check` gives something; RetryLater counts as nothing.

    Args:
        check: the question.
        timeout_s: how long to wait at most.
        what: what is waited for, for the error.
        alive: raises StopService when going on waiting has no sense.
        every_s: pause between two questions.

    Raises:
        StopService: it did not come in time.

    """
    loop = asyncio.get_running_loop()
    deadline, last = loop.time() + timeout_s, ""
    while loop.time() < deadline:
        alive()
        try:
            found = await check()
        except RetryLater as error:
            last = f" ({error})"
        else:
            if found is not None:
                return found
        await asyncio.sleep(every_s)
    raise StopService(f"{what}: not within {timeout_s:.0f} s{last}")
