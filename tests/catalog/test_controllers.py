"""Every shipped controller file: its samples, its round trips, its limits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.catalog.check_samples import is_abnormal, same_value
from protocols.catalog.controller import Controller, PointMap, Sample, load_controllers
from protocols.catalog.files import data_files
from protocols.catalog.points import fits, load_points
from protocols.modbus.fields import spans_of
from protocols.modbus.registers import MutableImage, codes_of, decode, decode_point, encode, width
from protocols.readings import Value

CONTROLLERS, FAULTS = load_controllers(None)
EACH = [pytest.param(one, id=one.id) for one in CONTROLLERS.values()]


SAMPLES = [
    pytest.param(controller, sample, id=f"{controller.id}-{index}")
    for controller in CONTROLLERS.values()
    for index, sample in enumerate(controller.samples)
]


def known(controller: Controller, sample: Sample) -> dict[str, Value]:
    found = decode(controller, sample.image)
    return {name: value for name, (value, quality) in found.items() if quality == "good"}


def test_every_shipped_file_loads() -> None:
    assert not FAULTS, "\n".join(map(str, FAULTS))
    assert {path.stem for path, _ in data_files("controllers")} == set(CONTROLLERS)
    assert {"monarch-nice3000plus", "techno-board", "gbt24476-adapter"} <= set(CONTROLLERS)


@pytest.mark.parametrize(("controller", "sample"), SAMPLES)
def test_sample_decodes_as_expected(controller: Controller, sample: Sample) -> None:
    found = decode(controller, sample.image)
    for name, value in sample.expect.items():
        assert same_value(found[name][0], value), name
    for name, quality in sample.expect_quality.items():
        assert found[name][1] == quality, name


@pytest.mark.parametrize(("controller", "sample"), SAMPLES)
def test_sample_encoded_decodes_to_itself(controller: Controller, sample: Sample) -> None:
    values = known(controller, sample)
    image: MutableImage = {}
    encode(controller, values, image)
    again = decode(controller, image)
    assert {name: again[name] for name in values} == {
        name: (value, "good") for name, value in values.items()
    }


@pytest.mark.parametrize(("controller", "sample"), SAMPLES)
def test_sample_encoded_over_itself_changes_nothing(controller: Controller, sample: Sample) -> None:
    image: MutableImage = {table: dict(words) for table, words in sample.image.items()}
    values = known(controller, sample)
    encode(controller, {name: values[name] for name in values if name != "message_code"}, image)
    assert image == sample.image
    encode(controller, values, image)  # codes may move to another place that tells the same
    assert decode(controller, image) == decode(controller, sample.image)


@pytest.mark.parametrize("controller", EACH)
def test_every_point_is_covered_and_something_is_abnormal(controller: Controller) -> None:
    covered = {name for one in controller.samples for name in (*one.expect, *one.expect_quality)}
    assert covered == {point.name for point in controller.points}
    assert len(controller.samples) >= 2
    assert any(map(is_abnormal, controller.samples))


@pytest.mark.parametrize("controller", EACH)
def test_overlapping_points_read_the_very_same_bits(controller: Controller) -> None:
    taken = [(point, span) for point in controller.points for span in spans_of(point)]
    for point, span in taken:
        for other, other_span in taken:
            if point is not other and span.overlaps(other_span):
                assert span == other_span, (point.name, other.name)


@pytest.mark.parametrize("controller", EACH)
def test_every_named_value_is_one_the_catalog_knows(controller: Controller) -> None:
    canonical = load_points(controller.kind)
    for point in controller.points:
        for value in (point.values or {}).values():
            assert fits(canonical[point.name], value), (point.name, value)
    if "message_code" in canonical:
        assert codes_of(controller) <= set(canonical["message_code"].words)


@pytest.mark.parametrize("controller", EACH)
def test_any_register_gives_a_fitting_value_or_null_with_a_quality(controller: Controller) -> None:
    canonical = load_points(controller.kind)

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(words=st.lists(st.integers(0, 0xFFFF), min_size=2, max_size=2))
    def check(words: list[int]) -> None:
        for point in controller.points:
            value, quality = decode_point(point, words[: width(point)], controller.word_order)
            assert fits(canonical[point.name], value), (point.name, value)
            assert (value is None) == (quality != "good")

    check()


@pytest.mark.parametrize("controller", EACH)
def test_every_value_that_a_register_can_tell_round_trips(controller: Controller) -> None:
    for point in controller.points:
        for raw in _interesting(point):
            words = [raw >> 16, raw & 0xFFFF][-width(point) :]
            value, quality = decode_point(point, words, "big")
            if quality != "good":
                continue
            image: MutableImage = {}
            encode(controller, {point.name: value, **(point.valid_when or {})}, image)
            assert decode(controller, image)[point.name] == (value, "good"), (point.name, raw)


def _interesting(point: PointMap) -> set[int]:
    top = 0xFFFF_FFFF if width(point) == 2 else 0xFFFF
    base = point.bits[0] if point.bits else 0
    named = {raw << base for raw in (point.values or {})} | set(point.codes or {})
    return named | {0, 1, 2, 9, 0x7F, 0x80, 0x1234, top // 2, top // 2 + 1, top - 1, top}
