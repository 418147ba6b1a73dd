"""The load: a fleet of gateways on a few dozen connections, a process of its own.

A worker of the rig: `send SECONDS` sends and answers with what that took, `report` waits until all
is acknowledged and sums up; acknowledgements are measured of what the last `send` sent. Nothing is
sent twice: what the service loses stays lost, and shows.
"""

import asyncio
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import typer

from protocols.messages import State, ack_decoder
from protocols.topics import of
from simulators.mqtt_light import LightClient
from tests.benchmarks.messages import VALUES_PER_RECORD, Pool, spool_id
from tests.benchmarks.rig import percentile, say

TICK_S = 0.004
DRAIN_S = 20.0


@dataclass
class Sender:
    """One gateway: what it sent, and what of it is acknowledged."""

    pool: Pool
    spool: bytes
    client: LightClient
    sent: int = 0
    acked: int = 0
    flying: deque[float] = field(default_factory=deque)
    """When the batches after `acked` were sent."""

    def send(self, now: float) -> tuple[int, int]:
        """Send the next batch; return its records and nulls."""
        message = self.pool.messages[self.sent % len(self.pool.messages)]
        self.sent += 1
        payload = message.payload(self.spool, self.sent, time.time_ns() // 1_000_000)
        self.client.publish(self.pool.topic, payload)
        self.flying.append(now)
        return message.count, message.nulls

    def settle(self, through: int) -> list[float]:
        """Take an ack; return when the batches that it settles were sent."""
        settled = [self.flying.popleft() for _ in range(self.acked, min(through, self.sent))]
        self.acked = max(self.acked, through)
        return settled


class Load:
    """All gateways."""

    def __init__(self, port: int, pools: list[Pool], connections: int, run: str) -> None:
        self._port = port
        self.clients = [LightClient(f"load-{run}-{n}") for n in range(connections)]
        self.senders = [
            Sender(pool, spool_id(pool.gateway, run).encode(), self.clients[number % connections])
            for number, pool in enumerate(pools)
        ]
        self._by_id = {one.pool.gateway: one for one in self.senders}
        self._listener = LightClient(f"load-{run}-acks", on_message=self._on_ack)
        self.records = self.nulls = 0
        self.ack_ms: list[float] = []
        self.since = float("inf")
        """Acks of what was sent from now on are measured."""
        self.late_s = 0.0

    async def open(self) -> None:
        """Connect, and say that every gateway is online."""
        for client in (*self.clients, self._listener):
            await client.connect(self._port)
        await self._listener.subscribe("suyuan/v1/+/+/down/ack")
        state = msgspec.json.encode(State(online=True, boot_id="load", version="1"))
        for number, one in enumerate(self.senders):
            one.client.publish(of(one.pool.gateway, "state").encode(), state, retain=True)
            if number % 100 == 99:
                await asyncio.sleep(0.05)

    async def send(self, messages_s: float, seconds: float) -> float:
        """Send evenly, gateway after gateway; return the CPU time that it took."""
        cpu, began, sent = time.process_time(), time.perf_counter(), 0
        total = int(messages_s * seconds)
        while sent < total:
            now = time.perf_counter()
            due = min(total, int((now - began) * messages_s) + 1)
            for number in range(sent, due):
                records, nulls = self.senders[number % len(self.senders)].send(now)
                self.records += records
                self.nulls += nulls
            self.late_s = max(self.late_s, now - began - sent / messages_s)
            sent = due
            await asyncio.sleep(TICK_S)
        return time.process_time() - cpu

    async def report(self) -> dict[str, Any]:
        """Wait until all is acknowledged; sum up."""
        began = time.perf_counter()
        while time.perf_counter() - began < DRAIN_S and any(one.flying for one in self.senders):
            await asyncio.sleep(0.02)
        return {
            "batches": sum(one.sent for one in self.senders),
            "acked": sum(one.acked for one in self.senders),
            "sent_by_gateway": {one.pool.gateway: one.sent for one in self.senders},
            "records": self.records,
            "values": self.records * VALUES_PER_RECORD - self.nulls,
            "drained_s": time.perf_counter() - began,
            "ack_p50_ms": percentile(self.ack_ms, 0.5),
            "ack_p99_ms": percentile(self.ack_ms, 0.99),
        }

    def _on_ack(self, topic: str, payload: bytes) -> None:
        now, sender = time.perf_counter(), self._by_id.get(topic.split("/")[3])
        if sender is None:
            return
        ack = ack_decoder.decode(payload)
        if ack.spool.encode() != sender.spool:
            return
        self.ack_ms += [(now - at) * 1000 for at in sender.settle(ack.through) if at >= self.since]


async def run(load: Load, messages_s: float) -> None:
    """Do what the lines of standard input say."""
    await load.open()
    say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        order, *arguments = line.split()
        if order == "send":
            load.since, load.late_s, load.ack_ms = time.perf_counter(), 0.0, []
            cpu_s = await load.send(messages_s, float(arguments[0]))
            say({"cpu_s": cpu_s, "late_s": load.late_s})
        else:
            say(await load.report())


def main(
    port: Annotated[int, typer.Option()],
    gateways: Annotated[int, typer.Option()] = 1_000,
    lifts: Annotated[int, typer.Option(help="of each gateway")] = 20,
    records: Annotated[int, typer.Option(help="in each message")] = 4,
    messages_s: Annotated[float, typer.Option(help="of all gateways")] = 1_000,
    connections: Annotated[int, typer.Option()] = 40,
    name: Annotated[str, typer.Option(help="of this run: its spools are its own")] = "1",
) -> None:
    """Send a steady load and print what was sent and acknowledged."""
    pools = [Pool(number, lifts=lifts, records=records, seed=1) for number in range(gateways)]
    load = Load(port, pools, min(connections, gateways), name)
    asyncio.run(run(load, messages_s))


if __name__ == "__main__":
    typer.run(main)
