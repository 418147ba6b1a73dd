"""Every shipped gun map: its samples, what it writes, and what a simulated gun makes of it."""

import pytest

from edge.interlock.permit import KIND, SAID_BY_DEVICE, Permit, map_faults, written
from protocols.catalog.check_samples import is_abnormal, same_value
from protocols.catalog.controller import load_controllers
from protocols.catalog.files import data_files
from protocols.catalog.point_map import Controller
from protocols.catalog.points import load_points
from protocols.modbus.registers import MutableImage, decode, encode, width
from protocols.readings import Value

GUNS, FAULTS = load_controllers(None, "gates")
EACH = [pytest.param(one, id=one.id) for one in GUNS.values()]


def permit_for(gun: Controller) -> Permit:
    """Permit all that a map writes."""
    taken: dict[str, set[int]] = {"coil": set(), "holding_register": set()}
    for point in written(gun):
        taken[point.table] |= set(range(point.address, point.address + width(point)))
    return Permit(
        unit_id=1,
        coils=frozenset(taken["coil"]),
        holding_registers=frozenset(taken["holding_register"]),
    )


def test_every_shipped_file_loads_and_none_of_them_is_a_lift() -> None:
    assert not FAULTS, "\n".join(map(str, FAULTS))
    assert {path.stem for path, _ in data_files("gates")} == set(GUNS)
    assert {one.kind for one in GUNS.values()} == {KIND}
    assert set(load_points(KIND)) >= SAID_BY_DEVICE


@pytest.mark.parametrize("gun", EACH)
def test_samples_are_read_as_expected_and_show_a_fault(gun: Controller) -> None:
    for sample in gun.samples:
        found = decode(gun, sample.image)
        for name, value in sample.expect.items():
            assert same_value(found[name][0], value), name
    assert any(map(is_abnormal, gun.samples))
    assert gun.caveats, "how it closes when nobody speaks to it"


@pytest.mark.parametrize("gun", EACH)
def test_it_writes_what_can_be_written_and_release_stands_alone(gun: Controller) -> None:
    assert list(map_faults(gun, permit_for(gun))) == []
    assert list(map_faults(gun, Permit(unit_id=1))) != []


@pytest.mark.parametrize("gun", EACH)
def test_all_that_a_gate_says_can_be_written_and_read_back(gun: Controller) -> None:
    says: dict[str, Value] = {"release": True, "heartbeat": 0x7FFF, "gross_limit_kg": 30.5}
    says |= {"net_limit_kg": 14.5, "lamp_green": True, "lamp_yellow": False, "lamp_red": False}
    says |= {"buzzer": True}
    names = {point.name for point in written(gun)}
    image: MutableImage = {}
    encode(gun, {name: value for name, value in says.items() if name in names}, image)
    found = decode(gun, image)
    assert {name: found[name][0] for name in names} == {name: says[name] for name in names}
