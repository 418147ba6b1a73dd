"""`suyuan-sim run filling_station`: a filling hall on real interfaces, up to the service's records.

At the gate an LLRP reader sees each cylinder's tag, at the desk its label is scanned, at the
filling place a UHF module reads the tag again while a scale weighs; a second scale speaks Modbus.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from protocols.border import load_toml
from protocols.clock import SystemClock
from protocols.epc import grai
from protocols.errors import StopService
from simulators.dialect import Dialect
from simulators.llrp_reader import LlrpReader
from simulators.modbus_server import LineServers
from simulators.platform import Platform
from simulators.plug import SerialPlug
from simulators.processes import free_port
from simulators.serve import known_controllers
from simulators.site import SiteBus, SiteDevice, site_text
from simulators.tell import Teller
from simulators.uhf_module import UhfModule
from simulators.uhf_tags import cylinder_tag
from simulators.waiting import until
from simulators.weighing import FRAME_S, FRAMES, ServedScale, Weight, run_modbus_scale
from simulators.weighing import Filling as ScaleCycle

NAME = "filling_station"
FILE = Path(__file__).parent / f"{NAME}.toml"
ARRIVES_S = 30.0
GATE_S = 1.5
"""So long a cylinder stands in the gate."""
SCALE, MODBUS_SCALE = "scale:fill-1", "scale:fill-2"
PROTOCOL, CONTROLLER = "comma-line", "id551pn"
MODBUS_CYCLE = ScaleCycle(rate_kg_s=2.0, rest_s=1.0)

_READERS = """
[[readers]]
id = "gate-1"
kind = "llrp"
device = "{llrp}"
step = "receiving"
away_s = 0.5

[[readers]]
id = "fill-1"
kind = "uhf_serial"
device = "{module}"
step = "filling"
away_s = 0.5

[[scanners]]
id = "desk-1"
kind = "barcode_serial"
device = "{scanner}"
step = "receiving"

[[scales]]
id = "scale-1"
kind = "scale_serial"
asset = "{scale}"
protocol = "{protocol}"
device = "{indicator}"
"""


class Cylinder(Struct, frozen=True, forbid_unknown_fields=True):
    """One cylinder of the story."""

    serial: Annotated[int, Meta(ge=1)]
    tare_kg: float
    charge_kg: float
    torn: bool = False
    spoiled: bool = False

    @property
    def label(self) -> bytes:
        """The element string of its QR code as a scanner sends it: AI 8003, GRAI."""
        text = f"8003{grai('0614141', '12345', str(self.serial))}"
        if self.spoiled:
            text = text.replace("6141", "6741", 1)
        return f"]Q3{text}\r\n".encode()


class Story(Struct, frozen=True, forbid_unknown_fields=True):
    """The file `filling_station.toml`."""

    schema: Literal[1]
    title: str
    title_zh: str
    gateway: str
    rate_kg_s: Annotated[float, Meta(gt=0)]
    rest_s: Annotated[float, Meta(ge=0.5)]
    cylinders: tuple[Cylinder, ...]


class Hall:
    """All devices of the station, plugged in."""

    def __init__(self, folder: Path) -> None:
        self.module_link = folder / "uhf-module"
        self.module = UhfModule(self.module_link)
        self.gate = LlrpReader()
        self.scanner = SerialPlug(folder / "scanner")
        self.indicator = SerialPlug(folder / "indicator")
        self.weight = Weight(0.0)
        self._clock = SystemClock()
        self._scale = ServedScale(1, Dialect(known_controllers(None, "scale")[CONTROLLER]))
        self._servers = LineServers(self._clock)
        self._port = free_port()

    async def open(self, stack: contextlib.AsyncExitStack) -> None:
        """Switch all on until the stack ends."""
        self.gate.start()
        stack.callback(self.gate.stop)
        for device in (self.module, self.scanner, self.indicator):
            device.plug()
            stack.callback(device.unplug)
        stack.push_async_callback(self._servers.stop)
        await self._servers.serve_tcp([self._scale], self._port)
        for work in (self._weigh(), run_modbus_scale(self._scale, MODBUS_CYCLE, self._clock)):
            task = asyncio.create_task(work)
            stack.callback(task.cancel)

    def site(self, gateway: str, broker: str) -> str:
        """Write the gateway's site file."""
        bus = SiteBus(
            "hall-scales",
            "modbus_tcp",
            [SiteDevice(MODBUS_SCALE, CONTROLLER, 1, poll_interval_s=0.5)],
            port=self._port,
        )
        return site_text(gateway, broker, [bus]) + _READERS.format(
            llrp=self.gate.address,
            module=self.module_link,
            scanner=self.scanner.link,
            indicator=self.indicator.link,
            scale=SCALE,
            protocol=PROTOCOL,
        )

    async def _weigh(self) -> None:
        write = FRAMES[PROTOCOL]
        while True:
            await asyncio.to_thread(self.indicator.send, write(self.weight))
            await asyncio.sleep(FRAME_S)


class Watch:
    """Prints what arrives at the service, and remembers it."""

    def __init__(self, platform: Platform, tell: Teller) -> None:
        self._platform, self._tell = platform, tell
        self.scans: list[dict[str, Any]] = []
        self.weights: list[float] = []

    async def run(self) -> None:
        """Look twice a second until cancelled."""
        while True:
            await self._look_at_scans()
            await self._look_at_weight()
            await asyncio.sleep(0.5)

    async def _look_at_scans(self) -> None:
        last = self.scans[-1]["id"] if self.scans else 0
        _, found = await self._platform.api.call("GET", "/api/v1/scans?limit=100")
        for scan in reversed(found or []):
            if scan["id"] <= last:
                continue
            self.scans.append(scan)
            told = [f"{code['scheme']} {code['value']}" for code in scan["codes"]]
            but = f"  ! {', '.join(scan['findings'])}" if scan["findings"] else ""
            self._arrived(f"{scan['reader']}  {'  '.join(told)[:100]}{but}")

    async def _look_at_weight(self) -> None:
        _, found = await self._platform.api.call("GET", f"/api/v1/assets/{SCALE}/latest")
        point = ((found or {}).get("points") or {}).get("gross_kg")
        if point is None or point["value"] is None or point["quality"] != "good":
            return
        if not self.weights or self.weights[-1] != point["value"]:
            self.weights.append(point["value"])
            self._arrived(f"{SCALE}  {point['value']:.2f} kg")

    def _arrived(self, what: str) -> None:
        self._tell.say("   云端收到", f"arrived: {what}")


async def run_station(write: Callable[[str], None]) -> None:
    """Play the story once.

    Raises:
        StopService: something did not arrive, or a child process has ended.

    """
    story, tell = load_toml(FILE, Story), Teller(write)
    tell.plain(f"{story.title_zh} | {story.title}")
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="suyuan-hall-")))
        platform, hall = Platform(folder, tell), Hall(folder)
        stack.callback(platform.stop)
        await hall.open(stack)
        await platform.start_cloud()
        await platform.start_gateway(hall.site(story.gateway, platform.broker_url))
        platform.invite("/scans")
        watch = Watch(platform, tell)
        watching = asyncio.create_task(watch.run())
        stack.callback(watching.cancel)
        await _first_weight(watch, platform)
        for cylinder in story.cylinders:
            platform.check()
            await _visit(cylinder, story, hall, tell)
        await _all_arrived(story, watch, platform)
        tell.say("场景结束", f"{len(watch.scans)} scans and {len(watch.weights)} weights arrived")


async def _visit(cylinder: Cylinder, story: Story, hall: Hall, tell: Teller) -> None:
    """Take one cylinder through gate, desk and filling place."""
    tag = cylinder_tag(cylinder.serial)
    tell.say(f"气瓶 {cylinder.serial} 进站", f"cylinder {cylinder.serial} comes through the gate")
    seen = replace(tag, readable=False) if cylinder.torn else tag
    hall.gate.field.put(seen)
    await asyncio.sleep(GATE_S)
    hall.gate.field.take(seen)
    tell.say("扫描瓶身二维码", "its label is scanned at the desk")
    await asyncio.to_thread(hall.scanner.send, cylinder.label)
    tell.say(
        "上秤充装", f"it is filled: tare {cylinder.tare_kg} kg, {cylinder.charge_kg} kg of gas"
    )
    hall.module.field.put(tag)
    await _fill(cylinder, story, hall)
    hall.module.field.take(tag)
    hall.weight = Weight(0.0)
    await asyncio.sleep(story.rest_s)


async def _fill(cylinder: Cylinder, story: Story, hall: Hall) -> None:
    hall.weight = Weight(cylinder.tare_kg)
    await asyncio.sleep(story.rest_s)
    step_kg = story.rate_kg_s * FRAME_S
    filled_kg = 0.0
    while filled_kg < cylinder.charge_kg:
        filled_kg = min(cylinder.charge_kg, filled_kg + step_kg)
        hall.weight = Weight(round(cylinder.tare_kg + filled_kg, 2), in_motion=True)
        await asyncio.sleep(FRAME_S)
    hall.weight = Weight(round(cylinder.tare_kg + cylinder.charge_kg, 2))
    await asyncio.sleep(story.rest_s)


async def _first_weight(watch: Watch, platform: Platform) -> None:
    async def weighed() -> bool | None:
        return True if watch.weights else None

    await until(weighed, timeout_s=ARRIVES_S, what="the empty scale", alive=platform.check)


async def _all_arrived(story: Story, watch: Watch, platform: Platform) -> None:
    """Wait for the last; then there is exactly one scan of each place for each cylinder."""
    wanted = 3 * len(story.cylinders)
    weights = {round(one.tare_kg + one.charge_kg, 2) for one in story.cylinders}

    async def there() -> bool | None:
        seen = {round(one, 2) for one in watch.weights}
        return True if len(watch.scans) >= wanted and weights <= seen else None

    what = f"{wanted} scans and the weights {sorted(weights)}"
    await until(there, timeout_s=ARRIVES_S, what=what, alive=platform.check)
    if len(watch.scans) != wanted:
        raise StopService(f"{len(watch.scans)} scans, expected {wanted}")
