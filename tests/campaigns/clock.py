"""Gateways whose clocks are wrong in every way: is each reading placed right, or marked?

    python -m tests.campaigns.clock --cases 200 --seed 1 [--processes 10]

Most cases run the real agent in this process, with a scripted clock, against a real mosquitto and
the model cloud: starts in 1970 or before the last known time, NTP that comes late, steps, drift,
jumps back, words of the cloud that are seconds late. `--processes` more are real daemons under
faketime, over TLS. A reading must be placed within `TOLERANCE_MS` of the truth by the rules of the
wire, or within what its clock was wrong by before anybody could know. Exit 0 only if every reading
came, once, and within its tolerance, and no agent ended by itself.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.agent import Agent
from edge.settings import Site, SpoolSettings, Uplink
from edge.sources.base import Emit, Sample
from protocols.clock import SystemClock
from protocols.envelope import Envelope
from protocols.messages import Ack
from protocols.records import Readings
from protocols.topics import Stream
from tests.campaigns.clock_processes import run_processes
from tests.support.model_cloud import ModelCloud
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_cloud import MqttCloud
from tests.support.setups import setup_of

TOLERANCE_MS = 2_500
"""Latency of the cloud's word and of a batch, as scripted, and a busy machine."""
CONFIRMED_AFTER_MS, DELIVERY_MS = 1_200, 500
KEPT_BY_AGREEMENT_MS = 60_000
"""A system clock that differs less from the cloud's is not corrected (`edge.timekeeper`)."""
AT_ONCE = 8
SAMPLES = 24
STEP_S = 0.25
YEAR_MS = 365 * 24 * 3_600_000


class ScriptedClock(SystemClock):
    """The machine's clocks; the wall clock is wrong by `error_ms`, and both drift."""

    def __init__(self, error_ms: int, drift_ppm: int) -> None:
        self.error_ms, self._drift_ppm = error_ms, drift_ppm
        self._began_ms = super().boot_ms()

    def boot_ms(self) -> int:
        """Milliseconds since boot, by a crystal that is not quite right."""
        true_ms = super().boot_ms()
        return true_ms + (true_ms - self._began_ms) * self._drift_ppm // 1_000_000

    def wall_ms(self) -> int:
        """What the wall clock shows."""
        drifted_ms = self.boot_ms() - super().boot_ms()
        return super().wall_ms() + drifted_ms + self.error_ms


@dataclass
class Script:
    """What happens to the clock of one case."""

    name: str
    error_ms: int
    steps: dict[int, int] = field(default_factory=dict)
    """Before sample n the error becomes this."""
    drift_ppm: int = 0
    late_ms: int = 0
    """How late words of the cloud are at most."""
    link_from: int = 0
    """The cloud listens only from sample n."""


def script(rng: random.Random) -> Script:
    """Draw a case."""
    now_ms = SystemClock().wall_ms()
    in_1970 = rng.randint(0, 10**6) - now_ms
    wrong = rng.choice((-1, 1)) * rng.choice((90_000, 3_600_000, 20 * 3_600_000, 40 * YEAR_MS))
    middle = SAMPLES // 2
    made = rng.choice(
        (
            Script("1970", in_1970),
            Script("1970, NTP late", in_1970, {middle: 0}),
            Script("1970, cloud late", in_1970, link_from=middle),
            Script("wrong", wrong),
            Script("wrong, cloud late", wrong, link_from=middle),
            Script("right", 0),
            Script("steps and comes back", 0, {middle: wrong, middle + 3: 0}),
            Script("jumps to 1970", 0, {middle: in_1970}),
            Script("jumps back", 0, {middle: -rng.choice((2_000, 50_000, 7_200_000))}),
            Script("right, cloud late", 0, link_from=middle),
        )
    )
    made.drift_ppm = rng.choice((0, 0, -200, 200))
    made.late_ms = rng.choice((0, 0, 500, 1_500))
    return made


class LateCloud(ModelCloud):
    """A cloud whose words were under way for a while; notes when batches came."""

    def __init__(self, rng: random.Random, late_ms: int) -> None:
        super().__init__(SystemClock())
        self._rng, self._late_ms = rng, late_ms
        self.came_ms: list[int] = []
        self.said_ms: list[int] = []
        """When it told the time."""

    def take(self, stream: Stream, payload: bytes) -> None:
        """Take one message."""
        super().take(stream, payload)
        self.came_ms.append(SystemClock().wall_ms())

    def known_from_ms(self) -> int:
        """Return when a gateway could know the time: two words, a second apart, have arrived."""
        first_ms = min(self.said_ms, default=0)
        later = [at_ms for at_ms in self.said_ms if at_ms >= first_ms + CONFIRMED_AFTER_MS]
        return min(later) + DELIVERY_MS if later else SystemClock().wall_ms()

    def ack(self, line: tuple[str, Stream]) -> Ack:
        """Acknowledge, with the time of a moment ago."""
        made = super().ack(line)
        self.said_ms.append(SystemClock().wall_ms())
        late_ms = self._rng.randint(0, self._late_ms)
        return Ack(
            spool=made.spool,
            stream=made.stream,
            through=made.through,
            received=made.received,
            time=(made.time or 0) - late_ms,
            backlog_bytes_s=made.backlog_bytes_s,
        )


class Counting:
    """A source that says numbers."""

    name = "counting"

    def __init__(self, clock: ScriptedClock) -> None:
        self._clock, self._emit = clock, asyncio.get_running_loop().create_future()
        self.said: dict[int, int] = {}
        """Number -> the true time."""

    async def run(self, emit: Emit) -> None:
        """Wait for numbers."""
        if not self._emit.done():
            self._emit.set_result(emit)
        await asyncio.Event().wait()

    def status(self) -> dict[str, Any]:
        """Tell nothing."""
        return {}

    async def say(self, stream: Stream) -> None:
        """Emit the next number."""
        emit = await self._emit
        number = len(self.said)
        self.said[number] = SystemClock().wall_ms()
        values: dict[str, Any] = {"car_position": number}
        at_ms = self._clock.boot_ms()
        emit(Sample(asset="elevator:1", at_boot_ms=at_ms, stream=stream, values=values))


def placed(envelope: Envelope, at: int, came_ms: int) -> int:
    """Return ms since 1970 of a reading, as the wire's rules place it."""
    return at if envelope.clock == "synced" else came_ms - (envelope.sent_at - at)


def allowed_ms(told: Script, *, known: bool) -> int:
    """Return how wrong a reading may be placed: what nobody could know is not held against it."""
    errors = [abs(error) for error in (told.error_ms, *told.steps.values()) if error > -YEAR_MS]
    kept = [error for error in errors if error < KEPT_BY_AGREEMENT_MS]
    return TOLERANCE_MS + max(kept if known else errors, default=0)


async def agent_case(folder: Path, port: int, seed: int) -> tuple[str, list[str], int]:
    """Run one agent through its script; return its name, faults, and the worst error in ms."""
    rng = random.Random(seed)
    told, gateway_id = script(rng), f"gw-{seed}"
    clock = ScriptedClock(told.error_ms, told.drift_ppm)
    source, stop = Counting(clock), asyncio.Event()
    cloud = MqttCloud(port, gateway_id, model=LateCloud(rng, told.late_ms))
    site = Site(
        schema=1,
        gateway_id=gateway_id,
        uplink=Uplink(broker=f"mqtt://127.0.0.1:{port}"),
        spool=SpoolSettings(bytes_max=2**20),
    )
    agent = Agent(
        setup_of(site),
        lambda _site, _catalog: ([source], []),
        state_dir=folder,
        clock=clock,
        rng=rng,
        version="1",
    )
    running = asyncio.create_task(agent.run(stop))
    for number in range(SAMPLES):
        if number == told.link_from:
            await cloud.start()
        clock.error_ms = told.steps.get(number, clock.error_ms)
        await source.say(rng.choice(("alarm", "data")))
        await asyncio.sleep(STEP_S)
    with suppress(TimeoutError):
        await cloud.until(lambda: len(numbers(cloud)) >= SAMPLES, 15)
    ended = running.done()
    stop.set()
    await asyncio.wait_for(running, 15)
    await cloud.stop()
    faults, worst_ms = judge(cloud, source.said, told)
    return told.name, faults + ["ended by itself"] * ended, worst_ms


def numbers(cloud: MqttCloud) -> dict[int, list[int]]:
    """Return number -> where its readings are placed."""
    found: dict[int, list[int]] = {}
    seen = set()
    assert isinstance(cloud.model, LateCloud)
    for (stream, envelope), came_ms in zip(cloud.model.received, cloud.model.came_ms, strict=True):
        key = (envelope.spool, stream, envelope.seq)
        if key in seen:
            continue
        seen.add(key)
        for record in envelope.records:
            if isinstance(record, Readings):
                for at, value in zip(record.at, record.values["car_position"], strict=True):
                    assert isinstance(value, int)
                    found.setdefault(value, []).append(placed(envelope, at, came_ms))
    return found


def judge(cloud: MqttCloud, said: dict[int, int], told: Script) -> tuple[list[str], int]:
    """Compare what came with the truth."""
    faults, worst_ms, came = [], 0, numbers(cloud)
    assert isinstance(cloud.model, LateCloud)
    known_from_ms = cloud.model.known_from_ms()
    for number, true_ms in said.items():
        at = came.get(number, [])
        if len(at) != 1:
            faults.append(f"{told.name}: reading {number} came {len(at)} times")
            continue
        error_ms = abs(at[0] - true_ms)
        allowed = allowed_ms(told, known=true_ms >= known_from_ms)
        if true_ms >= known_from_ms:
            worst_ms = max(worst_ms, error_ms if allowed == TOLERANCE_MS else 0)
        if error_ms > allowed:
            faults.append(f"{told.name}: reading {number} is {at[0] - true_ms} ms off ({told})")
    if cloud.model.conflicts:
        faults.append(f"{told.name}: conflicts")
    return faults, worst_ms


async def run_agents(
    folder: Path, port: int, cases: int, seed: int
) -> tuple[Counter[str], list[str], int]:
    """Run all cases in this process, some at a time."""
    names, faults, worst, gate = Counter[str](), list[str](), [0], asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with gate:
            state = folder / f"case{number}"
            state.mkdir()
            name, found, worst_ms = await agent_case(state, port, seed * 100_003 + number)
            names[name] += 1
            faults.extend(f"case {number}: {fault}" for fault in found)
            worst[0] = max(worst[0], worst_ms)
            if names.total() % 20 == 0:
                print(f"\r  case {names.total()}/{cases}, {len(faults)} faults", end="", flush=True)

    await asyncio.gather(*(one(number) for number in range(cases)))
    print()
    return names, faults, worst[0]


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="suyuan-clock-") as name:
        folder = Path(name)
        broker = Mosquitto(folder / "broker")
        broker.start()
        try:
            names, faults, worst_ms = asyncio.run(
                run_agents(folder, broker.port, options.cases, options.seed)
            )
        finally:
            broker.stop()
        more = run_processes(folder / "processes", options.processes, options.seed)
    faults += more
    for fault in faults[:20]:
        print(f"  {fault}")
    print(
        f"clock: {options.cases} agents and {options.processes} processes under faketime in"
        f" {time.monotonic() - began:.0f} s, seed {options.seed}: {len(faults)} faults; the"
        f" worst reading that could be known is {worst_ms} ms off, {TOLERANCE_MS} are allowed"
        f" ({dict(names)})"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
