"""From the gates of a site file to filling places."""

from collections.abc import Mapping

from edge.interlock.gate import Gate
from edge.interlock.hall import Hall
from edge.interlock.judge import Judging
from edge.interlock.output import GunLink, client_for
from edge.interlock.permit import Permit, map_faults
from edge.interlock.state import Place
from edge.settings import Gate as GateSettings
from edge.settings import GateOutput, Site
from protocols.catalog.point_map import Controller
from protocols.clock import Clock
from protocols.errors import Fault

_FILE = "site file"


def build_gates(
    site: Site, guns: Mapping[str, Controller], hall: Hall, clock: Clock
) -> tuple[list[Gate], list[Fault]]:
    """Make the gates of a site, and a fault for each that is set aside."""
    gates: list[Gate] = []
    faults: list[Fault] = []
    hall.utc_offset_min = site.interlock.utc_offset_min
    for index, settings in enumerate(site.gates):
        wrong = gate_faults(settings, guns, f"gates[{index}]")
        if wrong:
            faults += wrong
            continue
        gate = _gate(settings, guns[settings.output.gun], hall, clock)
        hall.gates[settings.id] = gate
        gates.append(gate)
    return gates, faults


def gate_faults(
    settings: GateSettings, guns: Mapping[str, Controller], key: str, file: str = _FILE
) -> list[Fault]:
    """Tell why a gate cannot be used, if it cannot."""
    gun = guns.get(settings.output.gun)
    if gun is None:
        known = ", ".join(sorted(guns)) or "none"
        expected = f"the id of a file in gates/ without faults ({known})"
        return [Fault(file, f"{key}.output.gun", expected, repr(settings.output.gun))]
    return [
        Fault(file, f"{key}.output", expected, found)
        for expected, found in map_faults(gun, permit_of(settings.output))
    ]


def permit_of(output: GateOutput) -> Permit:
    """Return what a site file lets be written."""
    return Permit(
        unit_id=output.unit_id,
        coils=frozenset(output.writes.get("coil", ())),
        holding_registers=frozenset(output.writes.get("holding_register", ())),
    )


def _gate(settings: GateSettings, gun: Controller, hall: Hall, clock: Clock) -> Gate:
    output = settings.output
    judging = Judging(
        filler=settings.filler,
        gas=settings.gas,
        components=settings.components,
        facts=hall.facts,
        now=hall.now,
        filled_on=hall.keeper.filled_on,
        names=hall.names,
    )
    link = GunLink(gun, permit_of(output), client_for(output), tcp=output.kind == "modbus_tcp")
    return Gate(
        settings,
        place_of(settings, judging),
        link=link,
        keeper=hall.keeper,
        ledger=hall.ledger,
        prepare=hall.prepare,
        readers=frozenset({settings.reader, *settings.scanners}),
        clock=clock,
    )


def place_of(settings: GateSettings, judging: Judging) -> Place:
    """Return what the state machine needs of a site file."""
    return Place(
        judge=judging,
        review=judging.review,
        weighs=settings.scale is not None,
        asks_operator=True,
        release_ms=_ms(settings.release_s),
        fill_ms=_ms(settings.fill_s),
        settle_ms=_ms(settings.settle_s),
        reweigh_ms=_ms(settings.reweigh_s),
        rest_ms=_ms(settings.rest_s),
        load_kg=settings.load_kg,
        rise_kg=settings.rise_kg,
        stop_before_kg=settings.stop_before_kg,
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
