"""Site files for the gateways that stand before simulated lifts."""

from collections.abc import Sequence
from dataclasses import dataclass

from simulators.scenario import Transport


@dataclass(frozen=True, slots=True)
class SiteDevice:
    """One lift on a bus."""

    asset: str
    controller: str
    unit_id: int
    poll_interval_s: float = 1.0


@dataclass(frozen=True, slots=True)
class SiteBus:
    """One Modbus port or serial line."""

    id: str
    kind: Transport
    devices: Sequence[SiteDevice]
    port: int = 0
    """TCP port at 127.0.0.1; 0 for a serial line."""
    device: str = ""
    """Serial device; empty for TCP."""
    baud_rate: int = 9600


def site_text(gateway_id: str, broker: str, buses: Sequence[SiteBus]) -> str:
    """Write a site file in the format that `suyuan-edge` reads."""
    parts = [
        f'schema = 1\ngateway_id = "{gateway_id}"\n\n[uplink]\nbroker = "{broker}"\n',
        *map(_bus_text, buses),
    ]
    return "\n".join(parts)


def _bus_text(bus: SiteBus) -> str:
    if bus.kind == "modbus_rtu":
        where = f'device = "{bus.device}"\nbaud_rate = {bus.baud_rate}\n'
    else:
        where = f'host = "127.0.0.1"\nport = {bus.port}\ntimeout_s = 1.0\n'
    head = f'[[buses]]\nid = "{bus.id}"\nkind = "{bus.kind}"\n{where}'
    devices = [
        f'\n  [[buses.devices]]\n  asset = "{device.asset}"\n'
        f'  controller = "{device.controller}"\n  unit_id = {device.unit_id}\n'
        f"  poll_interval_s = {device.poll_interval_s}\n"
        for device in bus.devices
    ]
    return head + "".join(devices)
