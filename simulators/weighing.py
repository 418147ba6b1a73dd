"""A filling scale: what stands on it over time, and how indicators tell it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from protocols.clock import Clock
from protocols.modbus.registers import Table
from protocols.readings import Value
from simulators.dialect import Dialect, Image
from simulators.plug import SerialPlug

FRAME_S = 0.1
"""An indicator sends its weight so often."""
CAPACITY_KG = 150.0
_STX, _ETX = b"\x02", b"\x03"


@dataclass(frozen=True, slots=True)
class Weight:
    """What stands on a scale at one moment."""

    kg: float
    in_motion: bool = False

    @property
    def over_capacity(self) -> bool:
        """Whether it is too heavy."""
        return self.kg > CAPACITY_KG


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """Cylinders that are put on a scale, filled and taken off, one after the other."""

    tare_kg: float = 16.0
    charge_kg: float = 14.5
    rate_kg_s: float = 0.5
    rest_s: float = 3.0
    """So long the scale stands empty, then with the empty cylinder, then with the full one."""
    settle_s: float = 0.5
    """So long it swings when something was put on or taken off."""

    @property
    def cycle_s(self) -> float:
        """Time of one cylinder."""
        return 3 * (self.settle_s + self.rest_s) + self.charge_kg / self.rate_kg_s

    def at(self, time_s: float) -> Weight:
        """Tell what stands on the scale so long after the start."""
        left_s = time_s % self.cycle_s
        full_kg = self.tare_kg + self.charge_kg
        for weight_kg in (0.0, self.tare_kg):
            if left_s < self.settle_s + self.rest_s:
                return Weight(weight_kg, in_motion=left_s < self.settle_s)
            left_s -= self.settle_s + self.rest_s
        filled_kg = left_s * self.rate_kg_s
        if filled_kg < self.charge_kg:
            return Weight(round(self.tare_kg + filled_kg, 2), in_motion=True)
        left_s -= self.charge_kg / self.rate_kg_s
        return Weight(full_kg, in_motion=left_s < self.settle_s)


def comma_line(weight: Weight) -> bytes:
    """Write `ST,GS,+  30.50kg`."""
    if weight.over_capacity:
        return b"OL,GS,--------kg\r\n"
    state, sign = "US" if weight.in_motion else "ST", "-" if weight.kg < 0 else "+"
    return f"{state},GS,{sign}{abs(weight.kg):7.2f}kg\r\n".encode()


def toledo_continuous(weight: Weight) -> bytes:
    """Write three status bytes, weight and tare, two digits behind the point."""
    status = 0x30 | (weight.kg < 0) << 1 | weight.over_capacity << 2 | weight.in_motion << 3
    return _STX + b"," + bytes([status]) + f" {abs(weight.kg) * 100:6.0f}     0\r".encode()


def xk3190_continuous(weight: Weight) -> bytes:
    """Write sign, six digits, place of the point and checksum."""
    body = f"{'-' if weight.kg < 0 else '+'}{abs(weight.kg) * 100:06.0f}2".encode()
    check = 0
    for byte in body:
        check ^= byte
    return _STX + body + f"{check:02X}".encode() + _ETX


FRAMES: Mapping[str, Callable[[Weight], bytes]] = {
    "comma-line": comma_line,
    "toledo-continuous": toledo_continuous,
    "xk3190-continuous": xk3190_continuous,
}
"""Writers by the id of a scale file."""


async def run_serial_scale(plug: SerialPlug, protocol: str, filling: Filling) -> None:
    """Send the weight over and over until cancelled."""
    write, loop = FRAMES[protocol], asyncio.get_running_loop()
    start_s = loop.time()
    while True:
        await asyncio.to_thread(plug.send, write(filling.at(loop.time() - start_s)))
        await asyncio.sleep(FRAME_S)


@dataclass
class ServedScale:
    """A scale behind the registers of an indicator; serve it with `LineServers`."""

    unit_id: int
    dialect: Dialect
    where: str = ""
    image: Image = field(default_factory=dict)
    silent: bool = False
    delay_s: float = 0.0
    refused: int = 0
    reads: int = 0

    def __post_init__(self) -> None:
        """Start empty and at rest."""
        self.image = self.dialect.blank()
        self.show(Weight(0.0))

    def show(self, weight: Weight) -> None:
        """Put a weight into the registers; what the indicator does not have is left out."""
        values: dict[str, Value] = {
            "in_motion": weight.in_motion,
            "over_capacity": weight.over_capacity,
            "weight_valid": not weight.over_capacity,
            "at_zero": weight.kg == 0,
        }
        values |= dict.fromkeys(("gross_kg", "net_kg", "displayed_kg"), weight.kg)
        self.dialect.write(values, self.image)

    def fetched(self, table: Table, address: int, count: int, now_ms: int) -> None:
        """Count a request."""
        del table, address, count, now_ms
        self.reads += 1


async def run_modbus_scale(scale: ServedScale, filling: Filling, clock: Clock) -> None:
    """Let what stands on the scale change until cancelled."""
    start_ms = clock.boot_ms()
    while True:
        scale.show(filling.at((clock.boot_ms() - start_ms) / 1000))
        await asyncio.sleep(FRAME_S)
