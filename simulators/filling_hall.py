"""`suyuan-sim run filling_hall`: a hall whose gateway decides at the gun, on real interfaces.

Readers on serial lines and in a pcscd of our own, indicators on serial lines and behind Modbus,
guns behind Modbus, service and broker with certificates, the station's snapshot over the network.
People press the page of the gates. What became of each bottle is compared with the story's word.
"""

import contextlib
import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path

from protocols.border import load_toml
from protocols.errors import StopService
from simulators import pcscd
from simulators.hall import Hall
from simulators.hall_crew import Result
from simulators.hall_story import Story
from simulators.tell import Teller
from simulators.trusted_platform import TrustedPlatform
from simulators.waiting import until

NAME = "filling_hall"
FILE = Path(__file__).parent / f"{NAME}.toml"
SNAPSHOT_S = 300.0
_WORDS = {
    "filled": "已充装",
    "refused": "拒绝",
    "undecided": "无法判定",
    "taken_off": "中途取下",
    "blocked": "本位停用",
    None: "无结果",
}


def load_story(path: Path = FILE) -> Story:
    """Read a story. Raises FixConfiguration."""
    return load_toml(path, Story)


def lacking(story: Story) -> str | None:
    """Say what this machine lacks for the readers of a story, if anything."""
    readers = {one.reader for one in story.places}
    for reader, module in (("nfc", "nfc"), ("pcsc", "smartcard")):
        if reader in readers and importlib.util.find_spec(module) is None:
            return f"the Python library {module} is not installed (tests/reader_packages.sh)"
    return pcscd.missing() if "pcsc" in readers else None


async def run_hall(write: Callable[[str], None]) -> None:
    """Play the story once.

    Raises:
        StopService: a library or package is lacking, a child process has ended, or something
            became of a bottle that must not.

    """
    story, tell = load_story(), Teller(write)
    if (why := lacking(story)) is not None:
        raise StopService(why)
    tell.plain(f"{story.title_zh} | {story.title}")
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="suyuan-hall-")))
        daemon = open_pcscd(stack, story, folder)
        hall = Hall(story, folder, dial=daemon.dial, tell=lambda one: tell.say(*_told(one)))
        platform = TrustedPlatform(folder, daemon.environment)
        stack.callback(platform.family.stop)
        await hall.open(stack)
        await platform.start()
        await platform.register(story)
        await platform.enrol(story.gateway, hall.site())
        platform.start_gateway()
        tell.say("网关已启动，等待快照", f"gateway started; its page: 127.0.0.1:{hall.screen_port}")
        await has_snapshot(hall, platform)
        tell.say("快照已签收", f"snapshot {hall.panel.page['snapshot']['version']} is there")
        results = await hall.work()
        platform.family.check()
    wrong = [one for one in results if one.fault]
    filled = sum(one.flowed_kg for one in results)
    tell.say("场景结束", f"{len(results)} bottles, {filled:.1f} kg of gas, {len(wrong)} wrong")
    if wrong:
        raise StopService("; ".join(f"{one.visit.bottle}: {one.fault}" for one in wrong))


def open_pcscd(stack: contextlib.AsyncExitStack, story: Story, folder: Path) -> pcscd.Pcscd:
    """Start a pcscd with the story's PC/SC readers, until the stack ends."""
    names = [one.id for one in story.places if one.reader == "pcsc"]
    daemon = pcscd.Pcscd(folder / "pcscd", names)
    if names:
        daemon.start()
        stack.callback(daemon.stop)
    return daemon


async def has_snapshot(hall: Hall, platform: TrustedPlatform) -> None:
    """Wait until the gateway judges by a snapshot. Raises StopService."""

    async def fresh() -> bool | None:
        return True if hall.panel.page.get("snapshot", {}).get("state") == "fresh" else None

    await until(
        fresh,
        timeout_s=SNAPSHOT_S,
        what="the gateway has its snapshot",
        alive=platform.family.check,
    )


def _told(result: Result) -> tuple[str, str]:
    visit = result.visit
    what = " ".join(filter(None, (result.outcome or "nothing", result.block)))
    why = f" ({', '.join(sorted(result.reasons))})" if result.reasons else ""
    gas = f", {result.flowed_kg:.2f} kg" if result.flowed_kg else ""
    fault = f"  ! {result.fault}" if result.fault else ""
    return f"{visit.place} {_WORDS[result.outcome]}", f"{visit.bottle}: {what}{why}{gas}{fault}"
