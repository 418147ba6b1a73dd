"""The snapshot of the station whose gates a gateway has: kept, fetched, and given to who judges."""

import asyncio
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edge.setup import Setup
from protocols.readings import ClockState

if TYPE_CHECKING:  # a gateway without gates spares what snapshots need
    from edge.interlock.snapshot import SnapshotKeeper
    from edge.remote.snapshots import SnapshotFetcher
    from protocols.cylinders.snapshot import Snapshot

LOOK_S = 5.0
"""A new configuration may bring the first gate, or another filler, at any time."""


class Daemon(Protocol):
    """The daemon, as far as a station needs it."""

    @property
    def setup(self) -> Setup:
        """What is in effect now."""
        ...

    def time(self) -> tuple[ClockState, int]:
        """Return whether anybody knows the time, and now."""
        ...

    def reply(self, command_id: str, *, ok: bool, result: dict[str, Any]) -> None:
        """Say something to the cloud, in stream `alarm`."""
        ...


class Station:
    """A service of the daemon; idle where there are no gates."""

    def __init__(self, state: Path, daemon: Callable[[], Daemon], rng: random.Random) -> None:
        """Make it; `run` begins.

        Args:
            state: the daemon's state folder.
            daemon: the daemon, once it is made.
            rng: jitter of asking.

        """
        self._state, self._daemon, self._rng = state, daemon, rng
        self._keeper: SnapshotKeeper | None = None
        self._counters: Callable[[], Mapping[str, int]] = dict

    @property
    def counters(self) -> Mapping[str, int]:
        """Those of the keeper and the fetcher."""
        return self._counters()

    def snapshot(self) -> "Snapshot | None":
        """Return what is kept now; None: nothing, or no gates."""
        return None if self._keeper is None else self._keeper.snapshot

    async def run(self) -> None:
        """Keep and fetch for the filler of the site file in effect, until cancelled."""
        filler, fetching = "", None
        try:
            while True:
                gates = self._daemon().setup.site.gates
                wanted = gates[0].filler if gates else ""
                if wanted != filler:
                    await _end(fetching)
                    filler, fetching = wanted, None
                    if wanted:
                        fetching = asyncio.create_task(await self._begin(wanted))
                if fetching is not None and fetching.done():
                    fetching.result()
                await asyncio.sleep(LOOK_S)
        finally:
            await _end(fetching)

    async def _begin(self, filler: str) -> Any:
        """Open what is kept, and return what fetches more."""
        from edge.interlock.snapshot import SnapshotKeeper  # noqa: PLC0415
        from edge.remote.anchors import read_anchors, verify  # noqa: PLC0415

        keeper = SnapshotKeeper(
            self._state, filler=filler, anchors=lambda: read_anchors(self._state), verify=verify
        )
        await asyncio.to_thread(keeper.load)
        fetcher = self._fetcher(keeper)
        self._keeper, self._counters = keeper, lambda: fetcher.counters
        return fetcher.run()

    def _fetcher(self, keeper: "SnapshotKeeper") -> "SnapshotFetcher":
        from edge.identity.files import IdentityFolder  # noqa: PLC0415
        from edge.identity.proving import Prover  # noqa: PLC0415
        from edge.remote.snapshots import SnapshotFetcher  # noqa: PLC0415

        prover = Prover(IdentityFolder(self._state), now_ms=self._now_ms)
        return SnapshotFetcher(
            keeper,
            get=prover.get,
            url=prover.url,
            now_ms=self._now_ms,
            tell=self._tell,
            rng=self._rng,
        )

    def _now_ms(self) -> int | None:
        clock, now_ms = self._daemon().time()
        return now_ms if clock == "synced" else None

    def _tell(self, reason: str, detail: str) -> None:
        """Tell the service of a refusal."""
        result = {"reason": reason, "detail": detail[:500]}
        self._daemon().reply("snapshot:refused", ok=False, result=result)


async def _end(task: "asyncio.Task[Any] | None") -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
