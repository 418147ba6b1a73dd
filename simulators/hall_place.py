"""One filling place: reader, scale and gun on real interfaces, and gas that flows while it may."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

from protocols.catalog.controller import load_controllers
from protocols.clock import SystemClock
from simulators.dialect import Dialect
from simulators.filling_gun import FillingGun
from simulators.hall_story import Bottle, Place, Story, hf_tag, label_of, uhf_tag
from simulators.hf_field import HfField
from simulators.modbus_server import LineServers
from simulators.pcsc_slot import PcscSlot
from simulators.plug import SerialPlug
from simulators.pn532 import Pn532
from simulators.processes import free_port
from simulators.serve import known_controllers
from simulators.site import SiteBus, SiteDevice
from simulators.uhf_module import UhfModule
from simulators.uhf_tags import UhfTag
from simulators.weighing import FRAME_S, FRAMES, ServedScale, Weight

STEP_S = 0.05
SWING_S = 0.3
"""A scale swings so long after something was put on or taken off, or gas has stopped."""
HOSE_S = 0.2
REACTS_S = 1.5
"""From a weight on the scale to a gun that is closed, on a busy machine."""
PROTOCOL, INDICATOR = "comma-line", "id551pn"
GUN_UNIT, SCALE_UNIT = 7, 1

_GATE = """
[[readers]]
id = "{id}-reader"
kind = "{kind}"
device = "{reader}"
step = "filling"
away_s = 0.5
{more}
[[gates]]
id = "{id}"
reader = "{id}-reader"
scanners = {scanners}
scale = "{asset}"
filler = "{filler}"
gas = "{gas}"
settle_s = 1.0
reweigh_s = 10.0
rest_s = 2.0
stop_before_kg = {stop_before}
people = [
  {{ id = "op-7", name = "王伟" }},
  {{ id = "m-1", name = "李娜", role = "enterprise_manager" }},
]
[gates.output]
kind = "modbus_tcp"
gun = "{gun}"
host = "127.0.0.1"
port = {port}
unit_id = {unit}
writes = {writes}
refresh_s = 0.3
"""
_SERIAL_SCALE = """
[[scales]]
id = "{id}-scale"
kind = "scale_serial"
asset = "{asset}"
protocol = "{protocol}"
device = "{device}"
"""
_SCANNER = """
[[scanners]]
id = "{id}-label"
kind = "barcode_serial"
device = "{device}"
step = "filling"
pair = "{id}-reader"
"""
_WRITES = {
    "coil-gun": "{ coil = [0, 1, 2, 3, 4] }",
    "setpoint-scale": "{ holding_register = [256, 257, 258, 259, 260] }",
}


class FillingPlace:
    """What stands at one place; times are of the running loop.

    Args:
        place: what it has.
        story: how gas flows.
        folder: where the names of its serial lines are.
        dial: connects to the slot of its PC/SC reader, where it has one.

    """

    def __init__(
        self,
        place: Place,
        story: Story,
        folder: Path,
        *,
        dial: Callable[[], socket.socket] | None,
    ) -> None:
        self.place, self._story, self._folder, self._dial = place, story, folder, dial
        self.asset = f"scale:{place.id}"
        guns = load_controllers(None, "gates")[0]
        self.gun = FillingGun(unit_id=GUN_UNIT, dialect=Dialect(guns[place.gun]))
        self.gun_port, self._scale_port = free_port(), free_port()
        self._scale = ServedScale(SCALE_UNIT, Dialect(known_controllers(None, "scale")[INDICATOR]))
        self._indicator = SerialPlug(folder / f"{place.id}-scale")
        self._scanner = SerialPlug(folder / f"{place.id}-label")
        self._link = folder / f"{place.id}-reader"
        self._module = UhfModule(self._link) if place.reader == "uhf" else None
        self._field = HfField()
        self._servers = LineServers(SystemClock())
        self._tags: list[UhfTag] = []
        self.kg = 0.0
        """What stands on the scale now."""
        self.flowed_kg = 0.0
        """Gas that came out of the gun since something was put there."""
        self.by_hand_kg_s = 0.0
        """Gas that comes past the gun."""
        self.hand_valve_shut = False
        """Before the gun: none comes, though it is open."""
        self._stands = False
        self._moved_s, self._in_hose_kg = -1e9, 0.0

    @property
    def opened(self) -> int:
        """How often the valve has opened, as the valve knows it."""
        return sum(is_open for _, is_open in self.gun.history)

    async def open(self, stack: contextlib.AsyncExitStack) -> None:
        """Switch all on until the stack ends."""
        self._plug_reader(stack)
        stack.push_async_callback(self._servers.stop)
        await self._servers.serve_tcp([self.gun], self.gun_port)
        if self.place.scale == "modbus":
            await self._servers.serve_tcp([self._scale], self._scale_port)
        else:
            self._indicator.plug()
            stack.callback(self._indicator.unplug)
        if self.place.scanner:
            self._scanner.plug()
            stack.callback(self._scanner.unplug)
        for work in (self._flow(), self._tell()):
            task = asyncio.create_task(work)
            stack.callback(task.cancel)

    def bus(self) -> list[SiteBus]:
        """Return the bus of a Modbus indicator, for the site file."""
        if self.place.scale == "serial":
            return []
        device = SiteDevice(self.asset, INDICATOR, SCALE_UNIT, poll_interval_s=0.2)
        return [SiteBus(f"{self.place.id}-bus", "modbus_tcp", [device], port=self._scale_port)]

    def site(self) -> str:
        """Write the rest of its part of the site file."""
        place = self.place
        more = ""
        if place.scale == "serial":
            more += _SERIAL_SCALE.format(
                id=place.id, asset=self.asset, protocol=PROTOCOL, device=self._indicator.link
            )
        if place.scanner:
            more += _SCANNER.format(id=place.id, device=self._scanner.link)
        kinds = {"uhf": "uhf_serial", "nfc": "nfc", "pcsc": "pcsc"}
        return _GATE.format(
            id=place.id,
            kind=kinds[place.reader],
            reader=place.id if place.reader == "pcsc" else self._link,
            more=more,
            scanners=f'["{place.id}-label"]' if place.scanner else "[]",
            asset=self.asset,
            filler=self._story.filler,
            gas=place.gas,
            stop_before=round(self._story.hose_kg + self._story.rate_kg_s * REACTS_S, 2),
            gun=place.gun,
            port=self.gun_port,
            unit=GUN_UNIT,
            writes=_WRITES[place.gun],
        )

    def put(self, number: int, bottle: Bottle, heel_kg: float) -> None:
        """Put a bottle on the scale, its tag before the reader."""
        self._stands, self.flowed_kg, self._in_hose_kg = True, 0.0, 0.0
        self.kg = bottle.tare_kg + heel_kg
        self._moved_s = asyncio.get_running_loop().time()
        self.bring(number, bottle)

    def bring(self, number: int, bottle: Bottle) -> None:
        """Bring a tag before the reader, beside those that are there."""
        if self._module is None:
            self._field.place(hf_tag(number, bottle))
            return
        tag = uhf_tag(number, bottle)
        self._tags.append(tag)
        self._module.field.put(tag)

    async def scan(self, number: int) -> None:
        """Scan the label of a bottle."""
        await asyncio.to_thread(self._scanner.send, label_of(number))

    def take(self) -> None:
        """Take all away."""
        self._stands, self.kg, self.by_hand_kg_s = False, 0.0, 0.0
        self._moved_s = asyncio.get_running_loop().time()
        if self._module is None:
            self._field.remove()
        else:
            self._module.field.take(*self._tags)
            self._tags.clear()

    def _plug_reader(self, stack: contextlib.AsyncExitStack) -> None:
        if self._module is not None:
            self._module.plug()
            stack.callback(self._module.unplug)
        elif self._dial is not None:
            stack.callback(PcscSlot(self._field, self._dial).close)
        else:
            chip = Pn532(self._field, self._link)
            stack.callback(chip.unplug)

    async def _flow(self) -> None:
        """Let gas flow; what the hose holds comes when the valve has closed."""
        loop = asyncio.get_running_loop()
        last_s = loop.time()
        while True:
            await asyncio.sleep(STEP_S)
            passed_s, last_s = loop.time() - last_s, loop.time()
            come_kg = self._come_kg(passed_s) if self._stands else 0.0
            self.flowed_kg += come_kg
            come_kg += self.by_hand_kg_s * passed_s
            if come_kg > 0:
                self.kg, self._moved_s = self.kg + come_kg, last_s

    def _come_kg(self, passed_s: float) -> float:
        """Return what came out of the gun; a scale with a set point closes it by itself."""
        limit = self.gun.value("gross_limit_kg")
        room_kg = 1e9
        if isinstance(limit, int | float) and limit > 0:
            room_kg = max(0.0, limit - self._story.hose_kg - self.kg)
        if self.gun.open and room_kg > 0 and not self.hand_valve_shut:
            self._in_hose_kg = self._story.hose_kg
            return min(room_kg, self._story.rate_kg_s * passed_s)
        late_kg = min(self._in_hose_kg, self._story.hose_kg * passed_s / HOSE_S)
        self._in_hose_kg -= late_kg
        return late_kg

    async def _tell(self) -> None:
        """Let the indicator say what stands there."""
        loop, write = asyncio.get_running_loop(), FRAMES[PROTOCOL]
        while True:
            weight = Weight(round(self.kg, 2), in_motion=loop.time() - self._moved_s < SWING_S)
            if self.place.scale == "modbus":
                self._scale.show(weight)
            else:
                with contextlib.suppress(TimeoutError):  # nobody reads: it goes on all the same
                    await asyncio.to_thread(self._indicator.send, write(weight))
            await asyncio.sleep(FRAME_S)
