"""`suyuan-sim demo`: the whole system alive on this machine, on free ports, in its own folder.

Composition root: starts the service with its embedded broker and a gateway as processes, serves
lifts over real Modbus, and drives entrapments through all of it.
"""

import asyncio
import contextlib
import random
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

from protocols.clock import SystemClock
from protocols.errors import StopService, SuyuanError
from simulators import actions
from simulators.city import ServedLift
from simulators.demo_city import load_city
from simulators.drill import NORMAL_TIMEOUT_S, Drill, Subject
from simulators.feed_watch import FeedWatch, Heard
from simulators.lift import Evidence
from simulators.lines import open_lines
from simulators.modbus_server import run_city
from simulators.platform import Platform
from simulators.site import SiteBus, site_text
from simulators.tell import Teller
from simulators.traffic import Pattern
from simulators.waiting import until

GATEWAY = "gw-demo-1"
FIRST_VALUES_TIMEOUT_S = 40.0
EVIDENCE: tuple[Evidence, ...] = ("alarm_button", "at_level", "off_level")


class Demo:
    """One run of the demonstration.

    Args:
        folder: for data, state and logs of the children.
        tell: prints what happens.
        pause_s: shortest and longest time between two events of the endless run.

    """

    def __init__(
        self, folder: Path, tell: Teller, *, pause_s: tuple[float, float] = (45.0, 120.0)
    ) -> None:
        self._folder, self._tell, self._pause_s = folder, tell, pause_s
        self._clock = SystemClock()
        self._play, self._entries = load_city()
        self._platform = Platform(folder, tell)
        self._rng = random.Random()

    async def run(self, *, once: bool) -> None:
        """Run once through an entrapment, or until cancelled.

        Raises:
            StopService: something did not come in time, or a child process has ended.

        """
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._platform.stop)
            drill = await self._start(stack)
            if once:
                await self._once(drill)
            else:
                self._platform.invite(rescue=True)
                await self._endless(drill)

    async def _start(self, stack: contextlib.AsyncExitStack) -> Drill:
        buses = await stack.enter_async_context(
            open_lines(self._play, self._clock, lambda lift: self._entries[lift.index].asset)
        )
        await stack.enter_async_context(_background(run_city(self._play.city)))
        self._tell_lines(buses)
        await self._platform.start_cloud()
        await self._register()
        feed = FeedWatch(self._platform.api, self._clock, self._tell_alarm)
        await stack.enter_async_context(_background(feed.run()))
        await self._platform.start_gateway(site_text(GATEWAY, self._platform.broker_url, buses))
        await self._first_values()
        return Drill(
            city=self._play.city,
            api=self._platform.api,
            feed=feed,
            tell=self._tell,
            clock=self._clock,
            alive=self._platform.check,
        )

    def _tell_lines(self, buses: list[SiteBus]) -> None:
        self._tell.plain(f"目录 | folder: {self._folder}")
        for bus in buses:
            where = bus.device or f"127.0.0.1:{bus.port}"
            count = len(bus.devices)
            self._tell.say(
                f"{count} 台模拟电梯已上线（{bus.devices[0].controller}）",
                f"{count} simulated lifts on {bus.kind} {where}",
            )

    async def _register(self) -> None:
        for entry in self._entries.values():
            await self._platform.register(
                entry.asset,
                kind="elevator",
                name=entry.name,
                gateway=GATEWAY,
                attributes={
                    "district": entry.district,
                    "address": entry.address,
                    "rescue_code": entry.rescue_code,
                },
            )
        self._tell.say(f"已登记 {len(self._entries)} 台电梯", "lifts registered")

    async def _first_values(self) -> None:
        for entry in self._entries.values():

            async def known(asset: str = entry.asset) -> bool | None:
                status, answer = await self._platform.api.call(
                    "GET", f"/api/v1/assets/{asset}/latest"
                )
                return True if status == 200 and "car_position" in answer["points"] else None

            await until(
                known,
                timeout_s=FIRST_VALUES_TIMEOUT_S,
                what=f"first values of {entry.asset}",
                alive=self._platform.check,
                every_s=0.1,
            )
        self._tell.say("所有电梯的数据已到达云端", "values of every lift have arrived")

    async def _once(self, drill: Drill) -> None:
        subject = self._subject(self._trappable()[0])
        heard, latency_ms = await drill.entrap(subject, "alarm_button", GATEWAY)
        await drill.acknowledge(subject, heard)
        since = await drill.rescue(subject)
        await drill.hear(subject, "normal", since=since, timeout_s=NORMAL_TIMEOUT_S)
        self._tell.say("⑦ 告警已恢复正常", "alarm is back to normal")
        self._tell.plain(f"延迟 {latency_ms} 毫秒 | latency: {latency_ms} ms, register to feed")

    async def _endless(self, drill: Drill) -> None:
        evidence: Evidence = "alarm_button"
        while True:
            subject = self._subject(self._rng.choice(self._trappable()))
            try:
                await drill.entrap(subject, evidence, GATEWAY)
            except StopService as error:  # a laptop that slept; a child that ended is no excuse
                self._platform.check()
                self._tell.say("没有等到", f"not seen: {error}")
            await self._pause()
            await drill.rescue(subject)
            await self._pause()
            self._change_traffic()
            await self._door_fault()
            evidence = self._rng.choice(EVIDENCE)

    async def _door_fault(self) -> None:
        able = [served for served in self._play.city.lifts if "02" in served.dialect.codes]
        served = self._rng.choice(able)
        name = self._entries[served.index].name
        self._play.city.apply(actions.Fault(lift=served.index, name="door_cannot_close"))
        self._tell.say(f"{name}：门关不上", f"unit {served.unit_id}: doors do not close")
        await self._pause()
        self._play.city.apply(actions.Clear(lift=served.index))
        self._tell.say(f"{name}：已修复", f"unit {served.unit_id}: repaired")
        await self._pause()

    def _change_traffic(self) -> None:
        patterns: list[Pattern] = ["mixed", "up_peak", "down_peak"]
        for lifts in self._play.groups.values():
            pattern, rate = self._rng.choice(patterns), self._rng.uniform(30, 180)
            for served in lifts:
                self._play.city.apply(
                    actions.ChangeTraffic(lift=served.index, pattern=pattern, trips_per_hour=rate)
                )
        self._tell.say("客流变化", "traffic changes")

    async def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self._rng.uniform(*self._pause_s)
        while loop.time() < end_s:
            self._platform.check()
            await asyncio.sleep(0.5)

    def _trappable(self) -> list[ServedLift]:
        """List the lifts whose controller knows the alarm button and the people in the car."""
        return [
            served
            for served in self._play.city.lifts
            if "90" in served.dialect.codes and "passenger_status" in served.dialect.names
        ]

    def _subject(self, served: ServedLift) -> Subject:
        entry = self._entries[served.index]
        return Subject(served, entry.asset, entry.name)

    def _tell_alarm(self, heard: Heard) -> None:
        data = heard.item.data
        names = {entry.asset: entry.name for entry in self._entries.values()}
        asset = str(data.get("asset"))
        self._tell.say(
            f"   推送 {heard.item.offset}：{names.get(asset, asset)}",
            f"feed: {data.get('alert')} {data.get('state')} {data.get('evidence') or ''}".rstrip(),
        )


@contextlib.asynccontextmanager
async def _background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run something beside the body; it ends with it."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _run_until_signal(demo: Demo, *, once: bool) -> bool:
    """Run; False when a signal ended it."""
    work = asyncio.ensure_future(demo.run(once=once))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        return False
    return True


def run_demo(*, once: bool, write: Callable[[str], None]) -> int:
    """Run the demonstration; return the exit code.

    The folder is removed at the end, but for a failure, when its logs are of use.
    """
    folder = Path(tempfile.mkdtemp(prefix="suyuan-demo-"))
    try:
        ended = asyncio.run(_run_until_signal(Demo(folder, Teller(write)), once=once))
    except SuyuanError as error:
        write(f"失败 | failed: {error}")
        write(f"日志 | logs: {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0 if ended or not once else 1
