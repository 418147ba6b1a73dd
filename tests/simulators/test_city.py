from pathlib import Path

import pytest

from protocols.clock import ManualClock
from protocols.errors import RefuseInput
from protocols.modbus.registers import decode
from simulators import actions
from simulators.city import City
from simulators.dialect import Dialect
from simulators.scenario import Group, build_lift
from tests.support.full_board import full_board


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def city(tmp_path: Path, clock: ManualClock) -> City:
    dialect = Dialect(full_board(tmp_path))
    group = Group(id="g", controller="full-board", lifts=3, traffic="none")
    return City([build_lift(dialect, group, i, i + 1, 1) for i in range(3)], clock)


def shown(city: City, lift: int) -> dict[str, object]:
    served = city.lifts[lift]
    decoded = decode(served.dialect.controller, served.image)
    assert {quality for _, quality in decoded.values()} == {"good"}
    return {name: value for name, (value, _) in decoded.items()}


def test_registers_say_what_the_lift_says(city: City) -> None:
    city.apply(actions.Call(lift=0, from_floor=0, to_floor=9))
    seen = set()
    for _ in range(600):
        city.step(0.1)
        expected = city.lifts[0].lift.values()
        found = shown(city, 0)
        assert found == {**expected, "speed": pytest.approx(expected["speed"])}
        seen.add(found["car_status"])
    assert seen == {"running", "stopped"}


def test_held_values_stand_against_the_physics_until_release(city: City) -> None:
    city.apply(actions.SetValues(lift=1, values={"passenger_status": True, "car_position": 77}))
    city.apply(actions.Call(lift=1, from_floor=0, to_floor=9))
    for _ in range(300):
        city.step(0.1)
        assert shown(city, 1)["car_position"] == 77
        assert shown(city, 1)["passenger_status"] is True
    city.apply(actions.Release(lift=1))
    assert shown(city, 1)["car_position"] != 77
    assert shown(city, 0)["car_position"] != 77


def test_entrapment_by_button_is_in_the_registers_at_once(city: City, clock: ManualClock) -> None:
    clock.advance(1_000)
    city.apply(actions.Fault(lift=2, name="entrapment", evidence="alarm_button"))
    assert shown(city, 2)["message_code"] == ["90"]
    assert city.lifts[2].changed_at == clock.wall_ms()
    assert city.lifts[0].changed_at < clock.wall_ms()


def test_fetched_tells_when_the_last_change_was_read(city: City, clock: ManualClock) -> None:
    served = city.lifts[0]
    served.fetched("coil", 0, 1, clock.wall_ms())
    city.apply(actions.Fault(lift=0, name="entrapment", evidence="alarm_button"))
    clock.advance(50)
    for table, words in served.image.items():
        assert served.seen_at < clock.wall_ms()
        for address in words:
            served.fetched(table, address, 1, clock.wall_ms())
    assert served.seen_at == clock.wall_ms()


def test_action_without_lift_is_done_to_all(city: City) -> None:
    city.apply(actions.Fault(name="power_cut"))
    assert [shown(city, i)["message_code"] for i in range(3)] == [["41"]] * 3
    city.apply(actions.Clear())
    assert [shown(city, i)["message_code"] for i in range(3)] == [[]] * 3


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (actions.Clear(lift=3), "no_such_lift"),
        (actions.Clear(lift=-1), "no_such_lift"),
        (actions.Silence(unit=9, on=True), "no_such_unit"),
        (actions.SetValues(lift=0, values={"colour": 1}), "no_such_point"),
        (actions.SetValues(lift=0, values={"fault_code": "E49"}), "not_expressible"),
        (actions.SetValues(lift=0, values={"service_mode": "asleep"}), "not_expressible"),
        (actions.SetValues(lift=0, values={"message_code": ["99"]}), "not_expressible"),
        (actions.Call(lift=0, from_floor=0, to_floor=99), "bad_action"),
        (actions.Call(lift=0, from_floor=0, to_floor=1, persons=0), "bad_action"),
        (actions.Delay(lift=0, delay_s=-1), "bad_delay"),
        (actions.ChangeTraffic(lift=0, pattern="mixed", trips_per_hour=-1), "bad_action"),
    ],
)
def test_impossible_action_is_refused_with_its_reason(
    city: City, action: actions.Action, reason: str
) -> None:
    before = city.stats()
    with pytest.raises(RefuseInput) as refused:
        city.apply(action)
    assert refused.value.reason == reason
    assert city.stats() == before


def test_board_without_a_code_refuses_what_only_that_code_would_show(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "poor.toml"
    path.write_text(
        'schema = 1\nid = "poor"\nkind = "elevator"\n\n[[points]]\nname = "message_code"\n'
        'table = "holding_register"\naddress = 1\ntype = "enum16"\n'
        'codes = { 41 = "01", 49 = "02", 7 = "41" }\n',
        encoding="utf-8",
    )
    from protocols.catalog.controller import load_controller

    dialect = Dialect(load_controller(path, shipped=False))
    group = Group(id="g", controller="poor", traffic="none")
    city = City([build_lift(dialect, group, 0, 1, 1)], clock)
    with pytest.raises(RefuseInput, match="not_expressible"):
        city.apply(actions.Fault(name="entrapment", evidence="alarm_button"))
    city.lifts[0].lift.set_fault("power_cut")
    city.lifts[0].lift.alarm_button = True
    city.refresh()
    assert city.lifts[0].image["holding_register"][1] == 7
    assert "message_code=90" in dialect.missed
