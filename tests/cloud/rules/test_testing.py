"""The notation of rule tests."""

from pathlib import Path

import pytest

from cloud.rules.load import load_rules
from cloud.rules.testing import RuleTest, load_tests, parse_series, run_test
from protocols.catalog.points import load_points
from protocols.errors import FixConfiguration

POINTS = load_points("elevator")


def test_series_holds_values_gaps_and_marks() -> None:
    assert parse_series("true*2 _ false null stale", POINTS["door_status"]) == [
        (True, "good"),
        (True, "good"),
        None,
        (False, "good"),
        (None, "no_value"),
        (None, "stale"),
    ]


def test_series_of_codes_numbers_floors_and_words() -> None:
    assert parse_series("[] [02,90]", POINTS["message_code"]) == [
        ([], "good"),
        (["02", "90"], "good"),
    ]
    assert parse_series("1 -2 B1", POINTS["car_position"]) == [
        (1, "good"),
        (-2, "good"),
        ("B1", "good"),
    ]
    assert parse_series("1.5", POINTS["speed"]) == [(1.5, "good")]
    assert parse_series("stopped", POINTS["car_status"]) == [("stopped", "good")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("door_status", "maybe"),
        ("car_status", "flying"),
        ("message_code", "[1000]"),
        ("speed", "*3"),
    ],
)
def test_sample_that_the_point_cannot_have_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=name):
        parse_series(text, POINTS[name])


def test_series_of_no_point_is_refused() -> None:
    rules = load_rules()
    test = RuleTest(about="x", case="other", series={"wings": "true"})
    with pytest.raises(ValueError, match="wings"):
        run_test(rules, rules.by_alert["Entrapment"], test)


def test_faulty_test_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.test.toml"
    path.write_text(
        'schema = 1\n[[tests]]\nabout = "x"\ncase = "sometimes"\nseries = {}\nextra = 1\n'
    )
    with pytest.raises(FixConfiguration) as caught:
        load_tests(path)
    assert {fault.key for fault in caught.value.faults} == {"tests[0].case", "tests[0].extra"}
