"""Sources as parts of a running daemon: each is started, kept going, and replaced by itself."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from edge.sources.base import Emit, Source
from protocols.clock import Clock
from protocols.errors import RefuseInput

log = logging.getLogger(__name__)

RESTART_FIRST_S = 1.0
RESTART_MAX_S = 60.0


class Service(Protocol):
    """Something that runs beside the daemon."""

    @property
    def counters(self) -> Mapping[str, int]:
        """Its counters."""
        ...

    async def run(self) -> None:
        """Run until cancelled."""
        ...


class Sources:
    """Runs sources; one that breaks is started again, ever more rarely."""

    def __init__(self, sources: Iterable[Source], *, take: Emit, clock: Clock) -> None:
        self._take, self._clock = take, clock
        self._sources = {source.name: source for source in sources}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.failures = 0
        """How often a source broke."""

    def start(self) -> None:
        """Start all."""
        for name in self._sources:
            self._begin(name)

    async def replace(self, gone: Collection[str], new: Iterable[Source]) -> None:
        """Stop some sources, then start others; the rest run on untouched.

        All that go are stopped before any starts: both may want the same serial line.
        """
        await end([task for name in gone if (task := self._tasks.pop(name, None))])
        for name in gone:
            self._sources.pop(name, None)
        for source in new:
            self._sources[source.name] = source
            self._begin(source.name)

    async def restart(self, name: str) -> None:
        """Stop a source and start it again.

        Raises:
            RefuseInput: `unknown_source`.

        """
        await self.replace([name], [self.find(name)])

    def find(self, name: object) -> Source:
        """Return a source by its id.

        Raises:
            RefuseInput: `unknown_source`.

        """
        found = self._sources.get(name) if isinstance(name, str) else None
        if found is None:
            known = ", ".join(self._sources) or "none"
            raise RefuseInput("unknown_source", f"expected one of {known}, found {name!r}"[:300])
        return found

    async def stop(self) -> None:
        """Stop all."""
        await end(list(self._tasks.values()))

    def status(self) -> dict[str, dict[str, Any]]:
        """Return the status of each source by its id."""
        return {name: source.status() for name, source in self._sources.items()}

    def _begin(self, name: str) -> None:
        self._tasks[name] = asyncio.create_task(self._keep_reading(self._sources[name]))

    async def _keep_reading(self, source: Source) -> None:
        wait_s = RESTART_FIRST_S
        while True:
            began_ms = self._clock.boot_ms()
            try:
                await source.run(self._take)
                reason = "it ended"
            except Exception as error:  # the other sources must go on whatever one of them does
                log.exception("source %s broke", source.name)
                reason = repr(error)
            if self._clock.boot_ms() - began_ms > RESTART_MAX_S * 1000:
                wait_s = RESTART_FIRST_S
            self.failures += 1
            log.warning("source %s starts again in %g s: %s", source.name, wait_s, reason)
            await asyncio.sleep(wait_s)
            wait_s = min(RESTART_MAX_S, 2 * wait_s)


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for them; some libraries swallow a cancellation, so insist."""
    waiting = {task for task in tasks if not task.done()}
    for _ in range(10):
        for task in waiting:
            task.cancel()
        if not waiting:
            return
        _, waiting = await asyncio.wait(waiting, timeout=0.3)
