"""Urgent messages and their way to the feed: published and read by this process alone.

Each lift of the prober's own gains code 90 (the alarm button), loses it a second later, and comes
again when its alarm has returned to normal. Measured: from the publish call to the line on the
feed (server-sent events over TCP). A worker of the rig: `begin`, then `end`.
"""

import asyncio
import json
import sys
import time
from typing import Annotated, Any

import msgspec
import typer

from protocols.envelope import wrap
from protocols.messages import State
from protocols.records import Readings, encode_records
from protocols.topics import of
from simulators.mqtt_light import LightClient
from tests.benchmarks.messages import spool_id
from tests.benchmarks.rig import percentile, say

GATEWAY = "gw-urgent"
LAST_S = 3.0
"""So long the last alarms may take."""
CYCLE_S = 15.0
"""Longer than an alarm lasts: one second, and `keep_firing_for`."""


class Prober:
    """Publishes on one connection and reads the feed on another."""

    def __init__(self, port: int, http: int, token: str, per_s: float, run: str) -> None:
        self._port, self._http, self._token = port, http, token
        self._client = LightClient(f"prober-{run}")
        self._spool, self._topic = spool_id(GATEWAY, run), of(GATEWAY, "up/alarm").encode()
        self._interval_s = 2 / per_s  # one message raises, one takes back
        self._assets = [f"elevator:URGENT{n:06d}" for n in range(int(per_s / 2 * CYCLE_S))]
        self._seq = 0
        self._raised: dict[str, float] = {}
        self.latencies: list[float] = []
        """ms, by alarm."""

    async def run(self) -> None:
        """Do what the lines of standard input say."""
        await self._client.connect(self._port)
        state = msgspec.json.encode(State(online=True, boot_id="prober", version="1"))
        self._client.publish(of(GATEWAY, "state").encode(), state, retain=True)
        reading = asyncio.create_task(self._read_feed())
        say("ready")
        await asyncio.to_thread(sys.stdin.readline)
        sending = asyncio.create_task(self._send())
        say("begun")
        await asyncio.to_thread(sys.stdin.readline)
        sending.cancel()
        await asyncio.sleep(LAST_S)
        reading.cancel()
        found = self.latencies
        say(
            {
                "alarms": len(found),
                "missing": len(self._raised),
                "p50_ms": percentile(found, 0.5),
                "p99_ms": percentile(found, 0.99),
                "max_ms": percentile(found, 1.0),
            }
        )

    async def _send(self) -> None:
        raised: list[str] = []
        began, number = time.perf_counter(), 0
        while True:
            asset = self._assets[number % len(self._assets)]
            self._raised[asset] = time.perf_counter()
            self._publish(asset, ["90"])
            raised.append(asset)
            if len(raised) * self._interval_s > 1.0:
                self._publish(raised.pop(0), [])
            number += 1
            await asyncio.sleep(max(0, began + number * self._interval_s - time.perf_counter()))

    def _publish(self, asset: str, codes: list[str]) -> None:
        now_ms = time.time_ns() // 1_000_000
        self._seq += 1
        values: dict[str, list[Any]] = {"message_code": [codes], "service_mode": ["normal"]}
        record = Readings(asset=asset, at=[now_ms], values=values)
        payload = wrap(
            spool=self._spool,
            seq=self._seq,
            boot_id="prober",
            clock="synced",
            sent_at=now_ms,
            records_raw=encode_records([record]),
        )
        self._client.publish(self._topic, payload)

    async def _read_feed(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._http)
        writer.write(
            b"GET /api/v1/feed HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n\r\n"
            % self._token.encode()
        )
        while line := await reader.readline():
            if not line.startswith(b"data: {"):
                continue
            now, data = time.perf_counter(), json.loads(line[6:])
            if data.get("alert") == "Entrapment" and data["state"] == "unacknowledged":
                began = self._raised.pop(data["asset"], None)
                if began is not None:
                    self.latencies.append((now - began) * 1000)


def main(
    port: Annotated[int, typer.Option()],
    http: Annotated[int, typer.Option()],
    token: Annotated[str, typer.Option()],
    per_s: Annotated[float, typer.Option(help="urgent messages per second")] = 60,
    name: Annotated[str, typer.Option()] = "1",
) -> None:
    """Probe the urgent way; the first line of input begins, the second one ends it."""
    asyncio.run(Prober(port, http, token, per_s, name).run())


if __name__ == "__main__":
    typer.run(main)
