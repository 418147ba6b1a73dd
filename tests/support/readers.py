"""What a reader's harness offers, and a source that runs in it: for the contract and the campaign.

To bring a kind of reader under the contract, write a `Harness` for it and add it to `HARNESSES` in
`tests/support/reader_harnesses.py`.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol

from edge.settings import Reader
from edge.sources.base import Emitted, Gone, OpenDriver, Recognised, Scanned, TagSeen
from edge.sources.device import DeviceSource
from edge.sources.presence import Presence
from edge.sources.scans import TagScans
from protocols.clock import SystemClock
from protocols.records import Code


class Told(NamedTuple):
    """What must be told of a tag that was read whole."""

    key: bytes
    banks: dict[str, bytes]


class Harness(Protocol):
    """A real reader, or a simulated one behind a real interface; calls block, at most some seconds.

    Tags go by number; each number is another tag, the same at each call.
    """

    @property
    def reader(self) -> Reader:
        """Its entry in a site file; `away_s` as short as this kind of reader permits."""
        ...

    def open(self, reader: Reader) -> OpenDriver:
        """Call `opener` of the driver's module."""
        ...

    def told(self, number: int) -> Told:
        """Return what must be told of a tag."""
        ...

    def bring(self, number: int) -> None:
        """Bring a tag to the reader, where there is none."""
        ...

    def take_away(self) -> None:
        """Take every tag away, and wait until the reader has noticed."""
        ...

    def tear(self, number: int) -> None:
        """Bring a tag that is torn away in the middle of being read, and wait until it is."""
        ...

    def two_at_once(self, number: int, other: int) -> None:
        """Bring two tags, as badly as this kind of reader permits: both, or one turns into other.

        The second one stays.
        """
        ...

    def spoil(self, *, on: bool) -> None:
        """Garble what the reader sends from now on, or no more."""
        ...

    def unplug(self) -> None:
        """Pull the reader out; tags stay where they are."""
        ...

    def plug_in(self) -> None:
        """Plug it in again."""
        ...

    def restart_daemon(self) -> None:
        """Restart what stands between reader and driver: a daemon, or the reader itself."""
        ...

    def close(self) -> None:
        """End everything."""
        ...


class Watched:
    """A source on a harness, and what it has told."""

    def __init__(self, harness: Harness) -> None:
        reader = harness.reader
        self.scans: list[Scanned] = []
        self.gone: list[Gone] = []
        self._handler = TagScans(
            reader=reader.id,
            step=reader.step,
            recognise=self._recognise,
            presence=Presence(round(reader.away_s * 1000)),
        )
        self.away_s = reader.away_s
        self.source = DeviceSource(
            name=reader.id,
            kind=reader.kind,
            device=reader.device,
            open_driver=harness.open(reader),
            handler=self._handler,
            clock=SystemClock(),
            rng=random.Random(1),
        )

    def emit(self, told: Emitted) -> None:
        """Take what the source tells."""
        if isinstance(told, Gone):
            self.gone.append(told)
            return
        assert isinstance(told, Scanned)
        self.scans.append(told)

    @property
    def keys(self) -> list[bytes]:
        """The tags of all scans, in order."""
        return [bytes.fromhex(one.codes[0].value) for one in self.scans]

    @property
    def up(self) -> bool:
        """Whether the device is open."""
        return bool(self.source.status()["link"] == "up")

    def dropped(self) -> int:
        """Count what was wrong with the device or its answers."""
        counters = self.source.status()["counters"]
        return sum(n for name, n in counters.items() if name not in ("scans", "device_opens"))

    async def until(self, check: Callable[[], bool], *, within_s: float, what: str) -> float:
        """Wait until `check` holds; return the seconds that it took."""
        began = time.monotonic()
        while not check():
            if time.monotonic() - began > within_s:
                status = self.source.status()
                raise AssertionError(f"{what}: not within {within_s} s; {self.scans}; {status}")
            await asyncio.sleep(0.01)
        return time.monotonic() - began

    async def quiet(self, seconds: float) -> None:
        """Check that nothing is told for a while."""
        before = len(self.scans)
        await asyncio.sleep(seconds)
        assert self.scans[before:] == []

    @staticmethod
    def _recognise(seen: TagSeen) -> Recognised:
        codes = [Code("key", seen.key.hex())]
        if seen.complete:
            codes += [Code(name, bank.hex() or "-") for name, bank in sorted(seen.banks.items())]
        return Recognised(tuple(codes), () if seen.complete else ("incomplete_read",))


def whole(told: Told) -> tuple[Code, ...]:
    """Return the codes of a scan that tells all of a tag."""
    banks = [Code(name, bank.hex() or "-") for name, bank in sorted(told.banks.items())]
    return (Code("key", told.key.hex()), *banks)


@asynccontextmanager
async def watching(harness: Harness) -> AsyncIterator[Watched]:
    """Run a source on a harness; at the end it stops within 2 s."""
    watched = Watched(harness)
    task = asyncio.create_task(watched.source.run(watched.emit))
    try:
        yield watched
    finally:
        task.cancel()
        began = time.monotonic()
        await asyncio.wait({task})
        stopping_s = time.monotonic() - began
    assert task.cancelled(), task.exception()
    assert stopping_s < 2, f"stopping took {stopping_s:.1f} s"
