import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.car import DOOR_ZONE_M, Shaft
from simulators.lift import FAULT_NAMES, Evidence, FaultName, Lift, ServiceMode

MODES: list[ServiceMode] = [
    "normal",
    "out_of_service",
    "inspection",
    "fire_recall",
    "firefighter",
    "emergency_power",
    "earthquake",
]
EVIDENCE: list[Evidence] = ["alarm_button", "at_level", "off_level"]
SHAFTS = st.builds(
    Shaft,
    floors=st.integers(2, 40),
    floor_height_m=st.sampled_from([2.8, 3.0, 4.5]),
    speed_m_s=st.sampled_from([0.4, 1.0, 1.75, 6.0]),
    capacity_persons=st.integers(1, 20),
)
EVENTS = st.one_of(
    st.tuples(st.just("fault"), st.sampled_from(FAULT_NAMES), st.sampled_from(EVIDENCE)),
    st.tuples(st.just("mode"), st.sampled_from(MODES)),
    st.tuples(st.just("call"), st.integers(0, 10_000), st.integers(1, 10_000)),
    st.tuples(st.just("clear")),
)
SCRIPTS = st.lists(st.tuples(EVENTS, st.floats(0.05, 30.0)), max_size=20)


def lift_of(floors: int = 12, seed: int = 1, floor: int = 0) -> Lift:
    return Lift(Shaft(floors=floors), random.Random(seed), floor=floor)


def do(lift: Lift, event: tuple[object, ...]) -> None:
    floors = lift.shaft.floors
    match event:
        case ("fault", str(name), str(evidence)):
            lift.set_fault(name, evidence)  # type: ignore[arg-type]
        case ("mode", str(mode)):
            lift.set_mode(mode)  # type: ignore[arg-type]
        case ("call", int(start), int(way)):
            origin = start % floors
            lift.call(origin, (origin + 1 + way % (floors - 1)) % floors)
        case _:
            lift.clear()


def run(lift: Lift, seconds: float) -> None:
    for _ in range(round(seconds * 10)):
        lift.step(0.1)


def check_invariants(lift: Lift) -> None:
    car, doors, shaft = lift.car, lift.doors, lift.shaft
    assert 0.0 <= car.position_m <= shaft.top_m
    assert 0.0 <= doors.opening <= 1.0
    assert abs(car.velocity_m_s) <= shaft.speed_m_s + 1e-9
    assert len(lift.riders) <= shaft.capacity_persons
    assert all(0 <= floor < shaft.floors for floor in lift.riders)
    if car.moving and "unintended_movement" not in lift.faults:
        assert doors.closed, "moves with open doors"
    values = lift.values()
    assert values["door_zone"] == (abs(car.offset_m) <= DOOR_ZONE_M)
    assert shaft.bottom_floor <= car.floor + shaft.bottom_floor < shaft.bottom_floor + shaft.floors
    assert (values["car_status"] == "running") == car.moving
    assert (values["car_direction"] == "none") == (values["car_status"] == "stopped")


@settings(max_examples=100, deadline=None, derandomize=True)
@given(SHAFTS, SCRIPTS, st.integers(0, 1000))
def test_lift_whatever_happens_keeps_to_physics(
    shaft: Shaft, script: list[tuple[tuple[object, ...], float]], seed: int
) -> None:
    lift = Lift(shaft, random.Random(seed), floor=seed % shaft.floors)
    for event, wait_s in script:
        do(lift, event)
        for _ in range(int(wait_s / 0.1) + 1):
            before = lift.car.position_m, lift.doors.opening
            lift.step(0.1)
            check_invariants(lift)
            moved, opened = lift.car.position_m - before[0], lift.doors.opening - before[1]
            assert abs(moved) <= shaft.speed_m_s * 0.1 + 1e-6, "jumps"
            assert opened <= 0 or before[0] == lift.car.position_m or lift.faults, "opens moving"


@settings(max_examples=40, deadline=None, derandomize=True)
@given(SHAFTS, SCRIPTS, st.integers(0, 1000))
def test_lift_after_clear_comes_to_rest_without_anyone_in_it(
    shaft: Shaft, script: list[tuple[tuple[object, ...], float]], seed: int
) -> None:
    lift = Lift(shaft, random.Random(seed))
    for event, wait_s in script:
        do(lift, event)
        lift.step(wait_s)
    lift.clear()
    lift.set_mode("normal")
    for _ in range(40_000):
        if not lift.step(0.5):
            break
    values = lift.values()
    assert values["message_code"] == []
    assert values["passenger_status"] is False
    assert values["car_status"] == "stopped"
    assert values["door_zone"] is True


def test_passenger_is_carried_and_trip_counted() -> None:
    lift = lift_of()
    lift.call(0, 5)
    floors = set()
    for _ in range(400):
        lift.step(0.1)
        floors.add(lift.values()["car_position"])
    assert floors == {1, 2, 3, 4, 5, 6}
    assert lift.car.floor == 5
    assert not lift.riders
    assert lift.trips == 1


def test_ride_takes_the_time_that_speed_and_acceleration_give() -> None:
    lift = lift_of()
    lift.call(0, 10)
    run_s = 0.0
    while lift.trips == 0 or lift.car.moving:
        lift.step(0.1)
        run_s += 0.1 if lift.car.moving else 0
    assert run_s == pytest.approx(30 / 1.75 + 1.75 / 0.8, abs=0.6)


def test_people_who_find_the_car_full_wait_for_its_return() -> None:
    lift = Lift(Shaft(floors=3, capacity_persons=2), random.Random(1))
    for _ in range(3):
        assert lift.call(0, 2)
    most = 0
    for _ in range(1500):
        lift.step(0.1)
        most = max(most, len(lift.riders))
    assert most == 2
    assert lift.trips == 3
    assert not lift.waiting[0]


def test_call_that_is_no_trip_is_refused() -> None:
    lift = lift_of()
    for trip in ((0, 0), (-1, 3), (0, 12)):
        with pytest.raises(ValueError):
            lift.call(*trip)


@pytest.mark.parametrize("evidence", EVIDENCE)
@pytest.mark.parametrize("ride_s", [0.0, 3.0, 9.5, 14.0, 33.0])
def test_entrapment_shows_its_evidence_and_ends_by_clear(evidence: Evidence, ride_s: float) -> None:
    lift = lift_of()
    lift.call(0, 9)
    run(lift, ride_s)
    lift.set_fault("entrapment", evidence)
    if evidence == "alarm_button":
        assert lift.values()["message_code"] == ["90"]
    run(lift, 20)
    for _ in range(600):
        lift.step(0.1)
        values = lift.values()
        assert values["car_status"] == "stopped"
        assert values["door_status"] is True
        assert values["passenger_status"] is True
        assert values["message_code"] == (["90"] if evidence == "alarm_button" else [])
        if evidence != "alarm_button":
            assert values["door_zone"] is (evidence == "at_level")
    lift.clear()
    run(lift, 40)
    assert lift.values()["passenger_status"] is False
    assert lift.values()["message_code"] == []


def test_entrapment_evidence_can_be_upgraded_without_a_clear_between() -> None:
    lift = lift_of()
    lift.set_fault("entrapment", "alarm_button")
    run(lift, 10)
    lift.set_fault("entrapment", "at_level")
    run(lift, 30)
    assert lift.values()["door_zone"] is True
    lift.set_fault("entrapment", "off_level")
    run(lift, 30)
    assert lift.values()["door_zone"] is False
    assert lift.values()["message_code"] == ["90"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("door_cannot_close", "02"),
        ("door_cannot_open", "03"),
        ("stopped_outside_zone", "04"),
        ("unintended_movement", "05"),
        ("run_time_exceeded", "06"),
        ("position_lost", "07"),
        ("out_of_order", "08"),
        ("power_cut", "41"),
    ],
)
@pytest.mark.parametrize("ride_s", [0.0, 9.5])
def test_fault_shows_its_code_from_rest_and_on_the_way(
    fault: FaultName, code: str, ride_s: float
) -> None:
    lift = lift_of()
    if ride_s:
        lift.call(0, 9)
    run(lift, ride_s)
    lift.set_fault(fault)
    run(lift, 45)
    assert code in lift.codes()
    lift.clear()
    run(lift, 1)
    assert code not in lift.codes()


def test_safety_circuit_opening_on_the_way_stops_the_car_with_code_01() -> None:
    lift = lift_of()
    lift.call(0, 9)
    run(lift, 12)
    assert lift.car.moving
    lift.set_fault("safety_circuit_open")
    run(lift, 2)
    assert lift.values()["safety_circuit"] is False
    assert lift.values()["car_status"] == "stopped"
    assert "01" in lift.codes()


def test_safety_circuit_opening_at_rest_has_no_code() -> None:
    lift = lift_of()
    lift.set_fault("safety_circuit_open")
    run(lift, 60)
    assert lift.values()["safety_circuit"] is False
    assert lift.codes() == []


def test_trapped_people_press_the_button_when_their_patience_ends() -> None:
    lift = lift_of()
    lift.call(0, 9)
    run(lift, 12)
    lift.set_fault("power_cut")
    run(lift, 7)
    assert lift.codes() == ["41"]
    run(lift, 50)
    assert lift.codes() == ["41", "90"]


def test_empty_car_in_a_power_cut_presses_no_button() -> None:
    lift = lift_of()
    lift.set_fault("power_cut")
    run(lift, 200)
    assert lift.codes() == ["41"]


def test_fire_recall_goes_to_the_lowest_floor_and_stays_open() -> None:
    lift = lift_of(floor=8)
    lift.call(8, 11)
    run(lift, 12)
    lift.set_mode("fire_recall")
    run(lift, 60)
    values = lift.values()
    assert (values["car_position"], values["door_status"]) == (1, False)
    assert values["passenger_status"] is False
    assert values["message_code"] == ["44"]
    lift.set_mode("normal")
    run(lift, 5)
    assert lift.codes() == ["40"]
    run(lift, 10)
    assert lift.codes() == []


def test_inspection_takes_no_calls() -> None:
    lift = lift_of()
    lift.set_mode("inspection")
    assert not lift.call(3, 5)
    run(lift, 30)
    assert lift.trips == 0
    assert lift.codes() == ["43"]


def test_same_seed_gives_the_same_day() -> None:
    days = []
    for _ in range(2):
        lift, rng = lift_of(seed=5), random.Random(9)
        trace = []
        for _ in range(3000):
            if rng.random() < 0.02:
                origin, target = rng.sample(range(12), 2)
                lift.call(origin, target)
            lift.step(0.1)
            trace.append(lift.values())
        days.append(trace)
    assert days[0] == days[1]


def test_shaft_that_nothing_could_move_in_is_refused() -> None:
    for wrong in ({"floors": 1}, {"speed_m_s": 0.0}, {"floor_height_m": 1.0}):
        with pytest.raises(ValueError):
            Shaft(**wrong)
