from pathlib import Path
from typing import get_args

import pytest

from protocols.catalog.files import data_files
from protocols.catalog.points import (
    Point,
    PointType,
    fits,
    kinds,
    load_codes,
    load_points,
)
from protocols.readings import Value

GB_T_24476 = {
    "service_mode",
    "car_status",
    "car_direction",
    "door_zone",
    "car_position",
    "door_status",
    "passenger_status",
    "message_code",
    "total_running_time",
    "present_counter_value",
}
URGENT = {"message_code", "fault_code", "safety_circuit", "controller_online"}


def test_points_of_a_lift_are_those_of_the_standard_and_ours() -> None:
    points = load_points("elevator")
    ours = {"speed", "load_percent", "power_status", "next_stopping_floor"} | URGENT
    ours |= {
        "up_limit",
        "down_limit",
        "door_operation_count",
        "energy_meter",
        "motor_current",
        "drive_temperature",
    }
    assert set(points) == GB_T_24476 | ours
    assert {name for name, point in points.items() if point.urgent} == URGENT | {"service_mode"}


def test_kinds_are_those_with_a_file() -> None:
    assert set(kinds()) == {"elevator", "filling_gun", "gateway", "scale", "service"}
    assert set(load_points("gateway")) == {"online", "key_conflict"}
    assert set(load_points("service")) == {"broker_connected", "data_taken"}
    for kind in ("escalator", "", "../points/elevator"):
        with pytest.raises(KeyError):
            load_points(kind)


@pytest.mark.parametrize("kind", kinds())
def test_points_have_titles_in_both_languages(kind: str) -> None:
    for point in load_points(kind).values():
        assert point.title
        assert any("\u4e00" <= sign <= "\u9fff" for sign in point.title_zh), point.name
        assert point.type in get_args(PointType)
        assert not point.deadband or point.type in ("int", "float")
    for code in load_codes(kind).values():
        assert code.title
        assert code.title_zh


def test_message_codes_are_the_national_ones_and_words() -> None:
    codes = load_codes("elevator")
    national = {f"{number:02}" for number in (*range(1, 9), *range(40, 48), *range(61, 66), 90)}
    assert {code for code in codes if code.isdigit()} == national
    assert {"entrapment", "over_top", "in_pit"} <= set(codes)
    assert codes["90"].kind == "alarm"
    assert codes["41"].kind == "event"


VALUES: list[tuple[PointType, Value, bool]] = [
    ("bool", True, True),
    ("bool", 1, False),
    ("int", 1, True),
    ("int", True, False),
    ("int", 1.0, False),
    ("float", 1, True),
    ("float", 1.5, True),
    ("float", "1", False),
    ("word", "up", True),
    ("word", "left", False),
    ("codes", [], True),
    ("codes", ["up"], True),
    ("codes", ["left"], False),
    ("codes", "up", False),
    ("text", "41", True),
    ("text", 41, False),
    ("text", ["41"], False),
    ("floor", -1, True),
    ("floor", "B1", True),
    ("floor", "", False),
    ("floor", "a floor too long", False),
    ("floor", 1.5, False),
]


@pytest.mark.parametrize(("type_", "value", "good"), VALUES)
def test_value_fits_its_point(type_: PointType, value: Value, good: bool) -> None:
    words = ("up",) if type_ in ("word", "codes") else ()
    point = Point(name="p", type=type_, title="t", title_zh="t", words=words)
    assert fits(point, value) is good
    assert fits(point, None)


def test_data_files_of_an_overlay_replace_the_shipped(tmp_path: Path) -> None:
    assert all(is_shipped for _, is_shipped in data_files("points"))
    (tmp_path / "points").mkdir()
    for name in ("gateway.toml", "a.toml", ".a.toml.swp.toml", "notes.txt"):
        (tmp_path / "points" / name).write_text("")
    found = {path.name: is_shipped for path, is_shipped in data_files("points", tmp_path)}
    assert found == {
        "a.toml": False,
        "elevator.toml": True,
        "filling_gun.toml": True,
        "gateway.toml": False,
        "scale.toml": True,
        "service.toml": True,
    }
    assert list(found) == sorted(found)
    assert data_files("no_such_folder") == []
