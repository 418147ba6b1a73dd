"""A thousand gateways in one process that keep the wire contract, each on a connection of its own.

Each has live data every second and, after the broker was away, a backlog. They keep the windows
(20 batches without PUBACK, 64 batches or 2 MiB without ack, of which history takes three eighths),
send what is new first and of the backlog the newest, as fast as the acks allow, and come back with
jitter. A worker of the rig: `live SECONDS`, `away` (the backlog grows), `drain SECONDS`, `report`.
"""

import asyncio
import random
import sys
import time
from typing import Annotated, Any

import msgspec
import typer

from protocols.limits import (
    BACKLOG_BYTES_S,
    PROBE_AFTER_S,
    UNACKED_BATCHES_MAX,
    UNACKED_BYTES_MAX,
    UNPUBACKED_BATCHES_MAX,
)
from protocols.messages import State, ack_decoder
from protocols.ranges import RangeSet
from protocols.topics import of
from simulators.mqtt_light import LightClient
from tests.benchmarks.messages import VALUES_PER_RECORD, Pool, spool_id
from tests.benchmarks.rig import allow_files, percentile, say

FIRST_TRY_S = 2.0
TICK_S = 0.1
HISTORY_BATCHES, HISTORY_BYTES = UNACKED_BATCHES_MAX * 3 // 8, UNACKED_BYTES_MAX * 3 // 8


class Gateway:
    """One gateway: what it holds, what is under way, what is settled."""

    def __init__(self, pool: Pool, port: int, rng: random.Random) -> None:
        self._pool, self._port, self._rng = pool, port, rng
        self.id, self.spool = pool.gateway, spool_id(pool.gateway, "catch-up")
        self._client: LightClient | None = None
        self.up = False
        self.last = 0
        """The newest batch."""
        self._at: dict[int, int] = {}
        """Unsettled batch -> ms of its readings."""
        self._live: dict[int, float] = {}
        """Unsettled batch that was sent when it was new -> when."""
        self._waiting: list[int] = []
        """Batches of history, the newest last."""
        self._flying: dict[int, tuple[float, int]] = {}
        """Batch -> (when it was sent, its bytes)."""
        self._unpubacked = 0
        self._rate, self._tokens, self._filled = float(BACKLOG_BYTES_S), 0.0, 0.0
        self.settled = RangeSet()
        self.sent = self.sent_again = self.connects = 0
        self.live_ms: list[float] = []

    @property
    def drained(self) -> bool:
        """Whether all that it made is settled."""
        return self.settled.through == self.last

    def produce(self) -> None:
        """Make the next batch; sent at once when the line is up."""
        self.last += 1
        self._at[self.last] = time.time_ns() // 1_000_000
        if self.up:
            self._live[self.last] = time.perf_counter()
            self._send(self.last)
        else:
            self._waiting.append(self.last)

    def was_away(self, batches: int) -> None:
        """Have so many batches of the last hours."""
        now_ms = time.time_ns() // 1_000_000
        for number in range(batches):
            self.last += 1
            self._at[self.last] = now_ms - (batches - number) * 1_000
            self._waiting.append(self.last)

    async def keep_up(self) -> None:
        """Connect, and again whenever the connection is lost, with jitter, doubling to 60 s."""
        wait_s = FIRST_TRY_S
        while True:
            await asyncio.sleep(self._rng.uniform(0, wait_s))
            lost = asyncio.Event()
            try:
                await self._connect(lost)
            except (OSError, TimeoutError):
                wait_s = min(60.0, wait_s * 2)
                continue
            wait_s = FIRST_TRY_S
            await lost.wait()
            self.up, self._unpubacked = False, 0
            self._waiting = sorted({*self._waiting, *self._flying})
            self._flying.clear()
            self._live.clear()

    def tick(self, now: float) -> None:
        """Send of the backlog what rate and windows allow; probe when no ack comes."""
        if not self.up:
            return
        self._tokens = min(self._rate, self._tokens + self._rate * (now - self._filled))
        self._filled = now
        while self._waiting and self._tokens > 0 and self._unpubacked < UNPUBACKED_BATCHES_MAX // 2:
            if len(self._flying) >= HISTORY_BATCHES or self._bytes() >= HISTORY_BYTES:
                break
            self._tokens -= self._send(self._waiting.pop())
        oldest = min(self._flying, default=None, key=lambda seq: self._flying[seq][0])
        if oldest is not None and now - self._flying[oldest][0] > PROBE_AFTER_S:
            self.sent_again += 1
            self._send(oldest)

    async def _connect(self, lost: asyncio.Event) -> None:
        client = LightClient(
            self._pool.gateway,
            on_message=self._on_ack,
            on_puback=self._on_puback,
            on_lost=lost.set,
        )
        await client.connect(self._port)
        await client.subscribe(of(self._pool.gateway, "down/ack"))
        state = State(online=True, boot_id="catch-up", version="1")
        client.publish(
            of(self._pool.gateway, "state").encode(), msgspec.json.encode(state), retain=True
        )
        self._unpubacked = 1
        self._client, self.up = client, True
        self.connects += 1
        self._tokens, self._filled = self._rate, time.perf_counter()

    def _send(self, seq: int) -> int:
        assert self._client is not None
        message = self._pool.messages[seq % len(self._pool.messages)]
        payload = message.payload(self.spool.encode(), seq, self._at[seq])
        self._client.publish(self._pool.topic, payload)
        self._flying[seq] = (time.perf_counter(), len(payload))
        self._unpubacked += 1
        self.sent += 1
        return len(payload)

    def _bytes(self) -> int:
        return sum(size for _, size in self._flying.values())

    def _on_puback(self, _number: int) -> None:
        self._unpubacked = max(0, self._unpubacked - 1)

    def _on_ack(self, _topic: str, payload: bytes) -> None:
        ack, now = ack_decoder.decode(payload), time.perf_counter()
        if ack.spool != self.spool:
            return
        self._rate = float(ack.backlog_bytes_s)
        self.settled.add(1, ack.through)
        for low, high in ack.received:
            self.settled.add(low, high)
        for seq in [seq for seq in self._flying if seq in self.settled]:
            del self._flying[seq], self._at[seq]
            if (sent := self._live.pop(seq, None)) is not None:
                self.live_ms.append((now - sent) * 1000)


class Fleet:
    """All of them."""

    def __init__(self, port: int, count: int, lifts: int, records: int) -> None:
        rng = random.Random(1)
        self.gateways = [
            Gateway(Pool(n, lifts=lifts, records=records, seed=1), port, rng) for n in range(count)
        ]
        self._records = records
        self._tasks = [asyncio.create_task(one.keep_up()) for one in self.gateways]

    async def live(self, seconds: float, *, until_drained: bool = False) -> float:
        """Let everyone produce once a second; return how long it lasted."""
        began = time.perf_counter()
        tick, count = 0, len(self.gateways)
        while (now := time.perf_counter()) - began < seconds:
            due = min(int((now - began) * count), tick + count)
            for number in range(tick, due):
                self.gateways[number % count].produce()
            tick = due
            for one in self.gateways:
                one.tick(now)
            if until_drained and all(one.settled.count() >= one.last - 2 for one in self.gateways):
                break
            await asyncio.sleep(TICK_S)
        return time.perf_counter() - began

    async def settle(self) -> None:
        """Produce no more and wait until all is settled."""
        for _ in range(300):
            if all(one.drained for one in self.gateways):
                return
            for one in self.gateways:
                one.tick(time.perf_counter())
            await asyncio.sleep(TICK_S)

    def report(self) -> dict[str, Any]:
        """Sum up."""
        live_ms = [ms for one in self.gateways for ms in one.live_ms]
        return {
            "undrained": sum(not one.drained for one in self.gateways),
            "batches": sum(one.last for one in self.gateways),
            "values": sum(one.last for one in self.gateways) * self._records * VALUES_PER_RECORD,
            "sent": sum(one.sent for one in self.gateways),
            "sent_again": sum(one.sent_again for one in self.gateways),
            "connects": sum(one.connects for one in self.gateways),
            "live_ack_p50_ms": percentile(live_ms, 0.5),
            "live_ack_p99_ms": percentile(live_ms, 0.99),
            "last_by_gateway": {one.id: one.last for one in self.gateways},
        }


async def run(port: int, count: int, lifts: int, records: int, backlog: int) -> None:
    """Do what the lines of standard input say."""
    fleet = Fleet(port, count, lifts, records)
    say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        order, *arguments = line.split()
        if order == "live":
            say(await fleet.live(float(arguments[0])))
        elif order == "away":
            for one in fleet.gateways:
                one.was_away(backlog)
                one.live_ms.clear()
            say(sum(one.up for one in fleet.gateways))
        elif order == "drain":
            say(await fleet.live(float(arguments[0]), until_drained=True))
        else:
            await fleet.settle()
            say(fleet.report())


def main(
    port: Annotated[int, typer.Option()],
    gateways: Annotated[int, typer.Option()] = 1_000,
    lifts: Annotated[int, typer.Option(help="of each gateway")] = 20,
    records: Annotated[int, typer.Option(help="in each batch")] = 4,
    backlog: Annotated[int, typer.Option(help="batches of each gateway")] = 100,
) -> None:
    """Be a fleet that keeps the wire contract."""
    allow_files(gateways + 200)
    asyncio.run(run(port, gateways, lifts, records, backlog))


if __name__ == "__main__":
    typer.run(main)
