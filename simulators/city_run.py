"""`suyuan-sim city`: a city of lifts against a real service, over real MQTT and HTTP.

Composition root: starts or finds the service, registers the city, lets its time pass, and accounts
for every entrapment at the end.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from protocols.clock import SystemClock, iso
from protocols.errors import FixConfiguration, RetryLater, StopService, SuyuanError
from simulators.api import Api
from simulators.city_desk import People
from simulators.city_gateways import Gateways, names_of
from simulators.city_ledger import LATE_MS_MAX, Ledger, account
from simulators.city_places import HOUR_S, City, build_city
from simulators.city_service import INFERRED_S, all_incidents, register, start_own
from simulators.city_story import load_story
from simulators.city_told import tell_ledger, tell_state
from simulators.city_world import World
from simulators.feed_watch import FeedWatch
from simulators.platform import Platform
from simulators.tell import Teller

TICK_S = 0.1
STEP_S = 0.5
"""So much of the wall's time passes at once at most: on a machine that is too slow the city falls
behind, and still hears signals."""
TELL_S = 15.0
DOUBT_S = 3.0
"""So far, of the wall's time, it is chance whether something was heard before it ended."""
END_S = 120.0
"""So long, of the wall's time, the last rescues may take beyond LAST_S of the city's."""
LAST_S = 4 * HOUR_S
SETTLE_S = 30.0
"""So long the last acknowledgements may take."""
BROKER_PORT = 1883


@dataclass(frozen=True, kw_only=True)
class CityOptions:
    """What is asked for on the command line."""

    lifts: int
    hours: float
    pace: float
    seed: int
    troubles: float
    """People are trapped so many times as often as the story says."""
    start_hour: float = 7.0
    server: str = ""
    """http://HOST:PORT of a service that runs; empty: one of its own is started."""
    broker: str = ""
    """mqtt://HOST:PORT that it listens to."""
    token: str = ""
    late_ms_max: int = LATE_MS_MAX
    """A deadline that fired later is a fault."""


class CityRun:
    """One run.

    Args:
        options: what is asked for.
        folder: for data and logs of a service of its own.
        tell: prints what happens.

    """

    def __init__(self, options: CityOptions, folder: Path, tell: Teller) -> None:
        self._options, self._folder, self._tell = options, folder, tell
        self._clock, self._story = SystemClock(), load_story()
        self.city: City = build_city(self._story, options.lifts, options.seed)
        self._own = not options.server
        self._platform = Platform(folder, tell) if self._own else None
        rule_pace = 1.0 if not self._own else options.pace
        self.world = World(
            self._story,
            self.city,
            random.Random(f"world {options.seed}"),
            starts_s=options.start_hour * HOUR_S,
            times=options.troubles,
            inferred_s=INFERRED_S * options.pace / rule_pace,
            doubt_s=DOUBT_S * options.pace,
        )
        self._start_ms, self._told_s = 0, 0.0
        self.behind_s = 0.0
        """How far, of the wall's time, the city was behind at worst."""

    async def run(self) -> Ledger:
        """Let the hours pass, wait for the last rescue, and account for all.

        Raises:
            StopService: the service or the broker is not there, or refuses.

        """
        async with contextlib.AsyncExitStack() as stack:
            api, broker = await self._service(stack)
            await register(api, self.city, self._tell)
            gateways = await self._connect(stack, broker)
            people = self._people(api)
            feed = FeedWatch(api, self._clock, people.hear)
            await feed.skip()
            await stack.enter_async_context(_background(feed.run()))
            self._start_ms = self._clock.wall_ms()
            try:
                await self._live(gateways, people)
                await self._end(gateways, people)
            finally:
                await people.stop()
                gateways.close()
            since = iso(self._start_ms - 1_000)
            rows = await all_incidents(api, since, {one.asset for one in self.city.lifts})
        ledger = account(self.world.made, rows, start_ms=self._start_ms, pace=self._options.pace)
        tell_ledger(self._tell, ledger, self.world, people, gateways, self.behind_s)
        return ledger

    async def _service(self, stack: contextlib.AsyncExitStack) -> tuple[Api, str]:
        if self._platform is None:
            parts = urlsplit(self._options.server)
            if parts.hostname not in ("127.0.0.1", "localhost") or parts.port is None:
                raise StopService("--server: expected http://127.0.0.1:PORT")
            return Api(parts.port, self._options.token), self._options.broker
        stack.callback(self._platform.stop)
        await start_own(self._platform, self._folder, self._options.pace)
        self._platform.invite(rescue=True)
        return self._platform.api, self._platform.broker_url

    async def _connect(self, stack: contextlib.AsyncExitStack, broker: str) -> Gateways:
        parts, rng = urlsplit(broker), random.Random()
        gateways = Gateways(
            names_of(one.gateway for one in self.city.lifts),
            self._clock,
            rng,
            host=parts.hostname or "127.0.0.1",
            port=parts.port or BROKER_PORT,
        )
        await gateways.connect()
        await stack.enter_async_context(_background(gateways.mend()))
        count = len({one.gateway for one in self.city.lifts})
        self._tell.say(f"{count} 台网关已上线", "gateways online")
        return gateways

    def _people(self, api: Api) -> People:
        return People(
            api=api,
            story=self._story,
            city=self.city,
            world=self.world,
            pace=self._options.pace,
            seed=self._options.seed,
        )

    async def _live(self, gateways: Gateways, people: People) -> None:
        """Let the hours of the city pass."""
        while self.world.now_s < self._options.hours * HOUR_S:
            await self._tick(gateways, people)

    async def _end(self, gateways: Gateways, people: People) -> None:
        """Let nothing new go wrong, and wait until the last rescue is closed and all is settled."""
        self.world.troubled = False
        ends_s = self.world.now_s + LAST_S + END_S * self._options.pace
        while self.world.now_s < ends_s:
            waiting = [one for one in self.world.made if one.expected and not one.done]
            if not waiting and not people.open_cases():
                break
            await self._tick(gateways, people)
        for _ in range(int(SETTLE_S / TICK_S)):
            if not gateways.unsettled():
                return
            gateways.send()
            await asyncio.sleep(TICK_S)

    async def _tick(self, gateways: Gateways, people: People) -> None:
        if self._platform is not None:
            self._platform.check()
        pace = self._options.pace
        now_s = (self._clock.wall_ms() - self._start_ms) * pace / 1_000
        self.behind_s = max(self.behind_s, (now_s - self.world.now_s) / pace - TICK_S)
        now_s = min(now_s, self.world.now_s + STEP_S * pace)
        for change in self.world.advance(now_s):
            lift = self.city.lifts[change.lift]
            at = self._start_ms + int(change.at_s * 1_000 / pace)
            gateways.take(lift.gateway, lift.asset, at, change.values, urgent=change.urgent)
        gateways.send()
        calls, self.world.calls = self.world.calls, []
        for made in calls:
            people.phone(made)
        if now_s / pace - self._told_s >= TELL_S:
            self._told_s = now_s / pace
            tell_state(self._tell, self.world, people, gateways)
        took_s = (self._clock.wall_ms() - self._start_ms) / 1_000 - now_s / pace
        await asyncio.sleep(max(0.001, TICK_S - took_s))


@contextlib.asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run something beside the body; it ends with it."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def run_city(options: CityOptions, write: Callable[[str], None]) -> int:
    """Run a city; 0 when every entrapment is accounted for, else 1.

    The folder of a service of its own is removed, but for a failure, when its logs are of use.
    """
    folder = Path(tempfile.mkdtemp(prefix="suyuan-city-"))
    folder.chmod(0o755)
    try:
        ledger = asyncio.run(_until_signal(CityRun(options, folder, Teller(write))))
    except (SuyuanError, FixConfiguration, RetryLater) as error:
        write(f"失败 | failed: {error}")
        write(f"日志 | logs: {folder}")
        return 1
    if ledger is None:
        shutil.rmtree(folder, ignore_errors=True)
        return 1
    if faults := ledger.faults(options.late_ms_max):
        for fault in faults:
            write(f"  !! {fault}")
        write(f"日志 | logs: {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


async def _until_signal(run: CityRun) -> Ledger | None:
    work = asyncio.ensure_future(run.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, work.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        return None


def token_from(environment: str) -> str:
    """Read the access token from an environment variable; empty when it is not set."""
    return os.environ.get(environment, "")
