"""Fetches the station's snapshots: asks now and then, takes one issue after another, merges."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from edge.remote.fetch import fetch_file
from protocols.cylinders.manifest import Blob
from protocols.errors import RefuseInput, RetryLater

log = logging.getLogger(__name__)

PATH = "/api/v1/stations/{filler}/snapshot"
INTERVAL_S = 600.0
JITTER = 0.2
"""Of the interval: a city's gateways do not all ask at once."""
FIRST_S = 5.0
RETRY_FIRST_S = 15.0
AT_ONCE_MAX = 100
"""Issues that are taken one after another before others get their turn."""


class Keeper(Protocol):
    """What keeps them; all blocking. See `edge.interlock.snapshot`."""

    @property
    def folder(self) -> Path:
        """Where a fetched file is put."""
        ...

    @property
    def filler(self) -> str:
        """Whose snapshot it is."""
        ...

    @property
    def have(self) -> int:
        """Number of the newest state that it ever had."""
        ...

    @property
    def need_whole(self) -> bool:
        """Whether an increment is of no use."""
        ...

    @property
    def counters(self) -> Mapping[str, int]:
        """Its counters."""
        ...

    def look(self, signed: bytes, now_ms: int | None) -> Blob | None:
        """Return the file that an offer needs."""
        ...

    def take(self, signed: bytes, file: Path | None, now_ms: int | None) -> bool:
        """Take an offer; tells whether it was new."""
        ...

    def refuse(self, error: RefuseInput) -> None:
        """Count a refusal."""
        ...

    def merge_due(self, now_ms: int | None) -> bool:
        """Tell whether it is time to merge."""
        ...

    def merge(self) -> None:
        """Merge."""
        ...


class SnapshotFetcher:
    """Runs beside the daemon."""

    def __init__(
        self,
        keeper: Keeper,
        *,
        get: Callable[[str], bytes],
        url: Callable[[str], str],
        now_ms: Callable[[], int | None],
        tell: Callable[[str, str], None],
        rng: random.Random,
        interval_s: float = INTERVAL_S,
    ) -> None:
        """Make a fetcher; `run` begins.

        Args:
            keeper: takes what comes.
            get: the answer of the service to this gateway; RefuseInput, RetryLater.
            url: the address of a path of the service; RefuseInput.
            now_ms: the time, ms since 1970; None while nobody knows it.
            tell: tells the service of a refusal: reason and detail.
            rng: jitter.
            interval_s: between two questions.

        """
        self._keeper, self._get, self._url, self._now_ms = keeper, get, url, now_ms
        self._tell, self._rng, self._interval_s = tell, rng, interval_s
        self._failures, self._told = 0, ""
        self._asked: Counter[str] = Counter(snapshot_fetches=0, snapshot_fetches_failed=0)

    @property
    def counters(self) -> Mapping[str, int]:
        """Those of the keeper, too."""
        return {**self._keeper.counters, **self._asked}

    async def run(self) -> None:
        """Ask until cancelled."""
        wait_s = self._rng.uniform(0, FIRST_S)
        while True:
            await asyncio.sleep(wait_s)
            wait_s = await self.once()

    async def once(self) -> float:
        """Take all that there is; return how long to wait then, in seconds."""
        try:
            for _ in range(AT_ONCE_MAX):
                taken = await asyncio.to_thread(self._step)
                if self._keeper.merge_due(self._now_ms()):
                    await asyncio.to_thread(self._keeper.merge)
                if not taken:
                    break
        except RetryLater as error:
            log.info("no snapshot: %s", error)
            return self._failed()
        except RefuseInput as error:
            first = not self._failures
            self._refused(error)
            wait_s = self._failed()
            return 0.0 if first and self._keeper.need_whole and self._keeper.have else wait_s
        self._failures, self._told = 0, ""
        return self._interval_s * self._rng.uniform(1 - JITTER, 1 + JITTER)

    def _step(self) -> bool:
        """Ask, and take what is offered; tells whether it was new."""
        keeper, now_ms = self._keeper, self._now_ms()
        self._asked["snapshot_fetches"] += 1
        path = PATH.format(filler=keeper.filler)
        whole = "&whole=true" if keeper.need_whole else ""
        signed = self._get(f"{path}?have={keeper.have}{whole}")
        wanted, file = keeper.look(signed, now_ms), None
        if wanted is not None:
            file = keeper.folder / f"{wanted.sha256}.packed"
            url = self._url(f"{path}/{wanted.sha256}")
            fetch_file(url, file, size=wanted.size, sha256=wanted.sha256)
        return keeper.take(signed, file, now_ms)

    def _refused(self, error: RefuseInput) -> None:
        """Count it; the service is told of each reason once until something is taken."""
        self._keeper.refuse(error)
        if error.reason != self._told:
            self._told = error.reason
            self._tell(error.reason, error.detail)

    def _failed(self) -> float:
        self._asked["snapshot_fetches_failed"] += 1
        longest = min(self._interval_s, RETRY_FIRST_S * 2 ** min(self._failures, 16))
        self._failures += 1
        return self._rng.uniform(longest / 2, longest)
