"""Emergencies and their way to the feed: published and read by this process alone.

Two kinds of load beside what `cloud_load` sends. *Steady*: alarm buttons of single lifts, pressed
and released evenly. *Storm*: a district loses its mains; its lifts say so within a minute, and some
of them then say that somebody presses the button. A worker of the rig: `steady PER_S SECONDS`,
`storm LIFTS TRAPPED SECONDS`; each answers when its last alarm has come, or LAST_S later without.

Measured: from the publish call to the line on the feed (server-sent events over TCP).
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Annotated, Any

import httpx
import msgspec
import typer

from protocols.envelope import wrap
from protocols.messages import State
from protocols.records import Readings, encode_records
from protocols.topics import of
from simulators.mqtt_light import LightClient
from tests.benchmarks.messages import spool_id
from tests.benchmarks.rig import percentile, say

LAST_S = 30.0
"""So long the last alarms may take."""
PRESSED_S = 1.0
ACKNOWLEDGE_S = 2.0
"""So long after it came an operator has seen an emergency of the steady kind."""
LIFTS_PER_GATEWAY = 20
PRESS_WITHIN_S = 20.0
"""Of a storm: so soon after the light went out the trapped press the button."""


class Gateways:
    """Gateways of the prober's own, all on one connection."""

    def __init__(self, client: LightClient, run: str) -> None:
        self._client, self._run = client, run
        self._seq: Counter[str] = Counter()

    def send(self, asset: str, gateway: str, **values: object) -> float:
        """Send one urgent reading of a lift; return when, by the performance counter."""
        if gateway not in self._seq:
            state = msgspec.json.encode(State(online=True, boot_id="prober", version="1"))
            self._client.publish(of(gateway, "state").encode(), state, retain=True)
        now_ms = time.time_ns() // 1_000_000
        self._seq[gateway] += 1
        columns: dict[str, list[Any]] = {name: [value] for name, value in values.items()}
        payload = wrap(
            spool=spool_id(gateway, self._run),
            seq=self._seq[gateway],
            boot_id="prober",
            clock="synced",
            sent_at=now_ms,
            records_raw=encode_records([Readings(asset=asset, at=[now_ms], values=columns)]),
        )
        began = time.perf_counter()
        self._client.publish(of(gateway, "up/alarm").encode(), payload)
        return began


class Prober:
    """Publishes on one connection and reads the feed on another."""

    def __init__(self, port: int, http: int, token: str, run: str) -> None:
        self._port, self._http, self._token, self._run = port, http, token, run
        self._client = LightClient(f"prober-{run}")
        self._gateways = Gateways(self._client, run)
        self._rng = random.Random(run)
        self._operator = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{http}", headers={"Authorization": f"Bearer {token}"}
        )
        self._answering: set[asyncio.Task[None]] = set()
        self._acknowledges, self._pressed = True, 0
        self._raised: dict[str, float] = {}
        self._sent_at: dict[str, int] = {}
        self._came: list[tuple[float, float]] = []
        self._rescues: dict[str, int] = {}
        """By asset, the id of the rescue that was opened last."""
        self._ids: Counter[tuple[str, int]] = Counter()

    async def run(self) -> None:
        """Do what the lines of standard input say."""
        await self._client.connect(self._port)
        reading = asyncio.create_task(self._read_feed())
        say("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            order, *rest = line.split()
            self._raised.clear()
            self._came, self._sent_at = [], {}
            numbers = [float(word) for word in rest]
            self._acknowledges = order == "steady"
            await (self._steady(*numbers) if order == "steady" else self._storm(*numbers))
            await self._wait()
            say(self._report())
        reading.cancel()

    async def _steady(self, per_s: float, seconds: float) -> None:
        """Press a button `per_s` times a second, and let each go a second later."""
        pressed, began, number = list[str](), time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            asset = f"elevator:URGENT{self._pressed:06d}"
            self._press(asset, f"gw-urgent-{self._pressed // LIFTS_PER_GATEWAY}", ["90"])
            self._pressed += 1
            pressed.append(asset)
            if len(pressed) > per_s * PRESSED_S:
                self._let_go(pressed.pop(0))
            number += 1
            await asyncio.sleep(max(0, began + number / per_s - time.perf_counter()))
        for asset in pressed:
            self._let_go(asset)

    async def _storm(self, lifts: float, trapped: float, seconds: float) -> None:
        """Let a district's lifts lose their mains within `seconds`."""
        names = [f"elevator:STORM{number:06d}" for number in range(int(lifts))]
        inside = set(self._rng.sample(names, int(trapped)))
        last = max(0.0, seconds - PRESS_WITHIN_S)
        events = []
        for number, asset in enumerate(names):
            at = self._rng.uniform(0, last if asset in inside else seconds)
            events.append((at, asset, number, ["41"]))
            if asset in inside:
                pressed_at = at + self._rng.uniform(2, PRESS_WITHIN_S)
                events.append((pressed_at, asset, number, ["41", "90"]))
        began = time.perf_counter()
        for at, asset, number, codes in sorted(events):
            await asyncio.sleep(max(0, began + at - time.perf_counter()))
            gateway = f"gw-storm-{number // LIFTS_PER_GATEWAY:04d}"
            if "90" in codes:
                self._press(asset, gateway, codes)
            else:
                self._gateways.send(asset, gateway, message_code=codes, car_status="stopped")

    def _press(self, asset: str, gateway: str, codes: list[str]) -> None:
        self._sent_at[asset] = time.time_ns() // 1_000_000
        self._raised[asset] = self._gateways.send(asset, gateway, message_code=codes)

    def _let_go(self, asset: str) -> None:
        number = int(asset[-6:])
        self._gateways.send(asset, f"gw-urgent-{number // LIFTS_PER_GATEWAY}", message_code=[])

    async def _wait(self) -> None:
        ends = time.perf_counter() + LAST_S
        while self._raised and time.perf_counter() < ends:
            await asyncio.sleep(0.05)

    def _report(self) -> dict[str, Any]:
        latencies = [ms for _, ms in self._came]
        seconds = Counter[int]()
        for at, ms in self._came:
            seconds[int(at)] = max(seconds[int(at)], round(ms))
        return {
            "alarms": len(latencies),
            "missing": len(self._raised),
            "doubled": sum(count - 1 for count in self._ids.values()),
            "p50_ms": percentile(latencies, 0.5),
            "p99_ms": percentile(latencies, 0.99),
            "max_ms": percentile(latencies, 1.0),
            "sent_at": self._sent_at,
            "rescues": self._rescues,
            "worst": sorted(seconds.items(), key=lambda one: -one[1])[:8],
        }

    async def _read_feed(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._http)
        writer.write(
            b"GET /api/v1/feed HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n\r\n"
            % self._token.encode()
        )
        while line := await reader.readline():
            if line.startswith(b"data: {"):
                self._hear(json.loads(line[6:]), time.perf_counter())

    def _hear(self, data: dict[str, Any], now: float) -> None:
        if "number" in data:  # a rescue, which also names the alert
            self._hear_rescue(data)
            return
        if data.get("alert") != "Entrapment" or data.get("state") != "unacknowledged":
            return
        self._ids[data["asset"], data["raised_at"]] += data.get("change", "fired") == "fired"
        began = self._raised.pop(data["asset"], None)
        if began is not None:
            self._came.append((now, (now - began) * 1000))
            if self._acknowledges:
                self._later(self._acknowledge(data["id"]))

    def _hear_rescue(self, data: dict[str, Any]) -> None:
        if data["change"] == "opened":
            self._rescues[data["asset"]] = data["id"]
            if self._acknowledges:
                self._later(self._end(data["id"]))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _acknowledge(self, alarm: int) -> None:
        await asyncio.sleep(ACKNOWLEDGE_S)
        await self._operator.post(f"/api/v1/alarms/{alarm}/acknowledge", json={"note": "seen"})

    async def _end(self, incident: int) -> None:
        """End a rescue as an operator does who spoke to the car; in a storm they stay open."""
        await asyncio.sleep(ACKNOWLEDGE_S)
        path = f"/api/v1/incidents/{incident}/false_alarm"
        await self._operator.post(path, json={"note": "a bench"})


def main(
    port: Annotated[int, typer.Option()],
    http: Annotated[int, typer.Option()],
    token: Annotated[str, typer.Option()],
    name: Annotated[str, typer.Option()] = "1",
) -> None:
    """Probe the urgent way as the lines of input say."""
    asyncio.run(Prober(port, http, token, name).run())


if __name__ == "__main__":
    typer.run(main)
