"""Notices that the terminal is gone: nobody can see or type, and what was done is on the disk."""

import asyncio
import select

LOOK_S = 1.0
_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


def is_gone(descriptor: int) -> bool:
    """Tell whether the other side of a terminal, or of a pipe that stands for one, was closed."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & _GONE for _, event in poll.poll(0))


async def until_gone(descriptor: int, look_s: float = LOOK_S) -> None:
    """Return when it is; also where the signal of it (SIGHUP) went to somebody else."""
    while True:
        if is_gone(descriptor):
            return
        await asyncio.sleep(look_s)
