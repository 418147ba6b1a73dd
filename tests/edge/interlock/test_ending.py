"""What is owed at an end."""

import asyncio
import contextlib

from edge.interlock.ending import to_the_end
from edge.running import end


async def test_what_a_task_owes_is_done_however_often_it_is_cancelled() -> None:
    done, running = list[str](), asyncio.Event()

    async def owed() -> None:
        await asyncio.sleep(0.05)
        done.append("closed")
        await asyncio.sleep(0.05)
        done.append("remembered")

    async def work() -> None:
        try:
            running.set()
            await asyncio.sleep(60)
        finally:
            await to_the_end(owed())

    task = asyncio.create_task(work())
    await running.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    await end([task])
    assert task.cancelled()
    assert done == ["closed", "remembered"]


async def test_what_it_owes_may_fail() -> None:
    async def owed() -> None:
        raise OSError

    with contextlib.suppress(OSError):
        await to_the_end(owed())
        raise AssertionError
