"""The BACnet Lift object: every word and code there and back, and the numbers of the standard."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from protocols.catalog.files import data_root
from protocols.catalog.points import load_codes, load_points
from protocols.errors import FixConfiguration
from protocols.lifts.bacnet import canonical_of, instance_of, lift_object, load_crosswalk, shipped
from protocols.readings import Value

LIFT = "elevator:31102202022026010017"
POINTS = load_points("elevator")


def test_every_code_comes_back_the_same() -> None:
    for code in load_codes("elevator"):
        lift = lift_object(LIFT, {"message_code": [code]})
        assert canonical_of(lift)["message_code"] == [code]
    codes: Value = sorted(load_codes("elevator"), key=lambda code: code != "90")
    assert canonical_of(lift_object(LIFT, {"message_code": codes}))["message_code"] == codes


def test_every_state_comes_back_the_same() -> None:
    for mode, status, way, doors, zone in product(
        POINTS["service_mode"].words,
        POINTS["car_status"].words,
        POINTS["car_direction"].words,
        (True, False),
        (True, False),
    ):
        values: dict[str, Value] = {
            "service_mode": mode,
            "car_status": status,
            "car_direction": way,
            "door_status": doors,
            "door_zone": zone,
            "car_position": 7,
            "load_percent": 40.0,
            "message_code": [],
        }
        assert canonical_of(lift_object(LIFT, values)) == values


def test_what_nobody_knows_is_not_told() -> None:
    lift = lift_object(
        LIFT, {"car_position": "B1", "door_status": None, "controller_online": False}
    )
    told = lift.properties
    assert not {"carPosition", "carMode", "carDoorZone", "faultSignals"} & set(told)
    assert told["carDoorStatus"].words == ["unknown"]
    assert told["carMovingDirection"].words == "unknown"
    assert told["reliability"].words == "communicationFailure"
    assert told["outOfService"].value is False
    assert canonical_of(lift) == {}
    named = lift_object(LIFT, {"car_position": "B1"}, floor_labels=["B2", "B1", "1"])
    assert named.properties["carPosition"].value == 2


def test_lift_out_of_service_is_no_object_out_of_service() -> None:
    told = lift_object(LIFT, {"service_mode": "out_of_service"}).properties
    assert (told["carMode"].value, told["outOfService"].value) == (12, False)


def test_codes_of_the_facts_have_their_twins() -> None:
    twins = {"01": 5, "02": 6, "03": 7, "04": 8, "06": 13, "07": 14, "41": 4}
    walk = shipped()
    assert {code: walk.fault(code) for code in twins} == twins
    others = {code: walk.fault(code) for code in walk.codes if isinstance(walk.codes[code], int)}
    assert min(others.values()) >= 1024
    assert others["05"] == 1029
    assert others["08"] == 1032


def test_instances_fit_and_differ() -> None:
    found = {instance_of(f"elevator:{number}") for number in range(1000)}
    assert len(found) > 990
    assert max(found) < 2**22 - 1


def test_file_that_leaves_a_code_out_or_gives_a_number_twice_is_refused(tmp_path: Path) -> None:
    text = (data_root() / "bacnet" / "lift.toml").read_text()
    for old, new in (
        ('"05" = 1029', ""),
        ('"05" = 1029', '"05" = 1032'),
        ('"05" = 1029', '"05" = 17'),
        ('up = "up"', 'up = "upward"'),
    ):
        path = tmp_path / "lift.toml"
        path.write_text(text.replace(old, new))
        with pytest.raises(FixConfiguration):
            load_crosswalk(path)


def test_numbers_are_those_of_bacpypes3() -> None:
    base: Any = pytest.importorskip("bacpypes3.basetypes")
    walk = shipped()
    for name, words in walk.enumerations.items():
        for word, number in words.items():
            assert int(getattr(base, name)(word)) == number, (name, word)
    for name, number in walk.properties.items():
        assert int(base.PropertyIdentifier(name)) == number, name
    assert int(base.ObjectType("lift")) == walk.object_type
    required = pytest.importorskip("bacpypes3.object").LiftObject._required
    lift = lift_object(LIFT, {"car_position": 1, "message_code": []})
    assert set(required) <= set(lift.properties)
