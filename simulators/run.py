"""`suyuan-sim run`: a scenario in real time over real Modbus, with a gateway if wanted."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from protocols.clock import SystemClock
from simulators.city import ServedLift
from simulators.lines import open_lines
from simulators.processes import Family, module_command, module_environment
from simulators.scenario import Event, Play, load_scenario
from simulators.serve import known_controllers, open_control
from simulators.site import site_text
from simulators.tell import Teller

TICK_S = 0.1
NO_BROKER = "mqtt://127.0.0.1:1883"


async def run_scenario(
    path: Path, *, broker: str, site: Path | None, control: int, write: Callable[[str], None]
) -> None:
    """Play a scenario to its end.

    Args:
        path: the scenario file.
        broker: URL of the broker for a gateway to start; empty: start none.
        site: where to write the gateway's site file; None: nowhere in particular.
        control: port of the control socket, 0 for none.
        write: prints a line.

    Raises:
        FixConfiguration: a file has faults.
        RetryLater: a port cannot be opened.
        StopService: the gateway has ended.

    """
    clock, scenario = SystemClock(), load_scenario(path)
    play = Play(scenario, known_controllers(None), clock)
    tell = Teller(write)
    tell.plain(f"{scenario.title_zh} | {scenario.title}")
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="suyuan-run-")))
        family = Family(folder)
        stack.callback(family.stop)
        buses = await stack.enter_async_context(open_lines(play, clock, asset_of))
        for bus in buses:
            where = bus.device or f"127.0.0.1:{bus.port}"
            tell.plain(f"  {bus.id}: {bus.kind} {where}, units 1 to {len(bus.devices)}")
        gateway = f"gw-{scenario.id}"[:64]
        text = site_text(gateway, broker or NO_BROKER, buses)
        file = site or folder / "site.toml"
        await asyncio.to_thread(file.write_text, text, encoding="utf-8")
        if control:
            await open_control(stack, play.city, control, write)
        if broker:
            state = str(folder / "gateway")
            command = module_command("edge", "run", "--site", str(file.resolve()), "--state", state)
            family.start("gateway", command, module_environment())
            tell.say(f"网关 {gateway} 已启动", f"gateway {gateway} sends to {broker}")
        await _play(play, family, tell)
        tell.say("场景结束", "the scenario has ended")


def asset_of(lift: ServedLift) -> str:
    """Give a simulated lift a registration code; 9999 is no year of a real one."""
    return f"elevator:31102202029999{lift.index + 1:06d}"


async def _play(play: Play, family: Family, tell: Teller) -> None:
    loop = asyncio.get_running_loop()
    last_s = loop.time()
    while not play.over:
        await asyncio.sleep(TICK_S)
        family.check()
        now_s = loop.time()
        for event in play.advance(min(now_s - last_s, 1.0)):
            tell.plain(f"{event.at_s:9.1f} s  {_words(event)}")
        last_s = now_s


def _words(event: Event) -> str:
    refused = f"  refused: {event.refused}" if event.refused else ""
    fields = msgspec.to_builtins(event.action)
    words = [str(fields.pop("op"))]
    words += [f"{name}={value}" for name, value in fields.items() if value is not None]
    return f"{event.group} {event.lift + 1}: {' '.join(words)}{refused}"
