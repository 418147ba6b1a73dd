"""Every shipped scale file: its samples, and the frames that simulated indicators write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.catalog.files import data_files
from protocols.catalog.points import fits, load_points
from protocols.weighing.decode import MOVING, Weighed, decode_stream
from protocols.weighing.protocol import Sample, ScaleProtocol, load_protocols
from simulators.weighing import CAPACITY_KG, FRAMES, Filling, Weight

PROTOCOLS, FAULTS = load_protocols(None)
EACH = [pytest.param(one, id=one.id) for one in PROTOCOLS.values()]
SAMPLES = [
    pytest.param(one, sample, id=f"{one.id}-{index}")
    for one in PROTOCOLS.values()
    for index, sample in enumerate(one.samples)
]
KG = st.floats(-99, CAPACITY_KG).map(lambda kg: round(kg, 2) + 0.0)


def decoded(protocol: ScaleProtocol, raw: bytes) -> list[Weighed]:
    found, dropped = decode_stream(protocol.frame, protocol.marks, raw)
    assert dropped == 0
    return found


def weight_of(one: Weighed) -> object:
    (weight,) = {value for name, value in one.values.items() if name.endswith("_kg")} - {
        0.0,
        None,
    } or {0.0}
    return weight


def test_every_shipped_file_loads_and_can_be_simulated() -> None:
    assert not FAULTS, "\n".join(map(str, FAULTS))
    assert {path.stem for path, _ in data_files("scales")} == set(PROTOCOLS) == set(FRAMES)


@pytest.mark.parametrize(("protocol", "sample"), SAMPLES)
def test_values_are_points_of_a_scale(protocol: ScaleProtocol, sample: Sample) -> None:
    points = load_points("scale")
    found, _ = decode_stream(protocol.frame, protocol.marks, sample.raw.encode("latin-1"))
    for one in found:
        for name, value in one.values.items():
            if name == MOVING:
                continue
            assert fits(points[name], value)
            assert (value is None) == (one.quality.get(name, "good") != "good")


@pytest.mark.parametrize("protocol", EACH)
def test_simulated_weights_are_read_as_they_are(protocol: ScaleProtocol) -> None:
    @given(st.lists(KG, min_size=1, max_size=5))
    def check(weights: list[float]) -> None:
        raw = b"".join(FRAMES[protocol.id](Weight(kg)) for kg in weights)
        assert [weight_of(one) for one in decoded(protocol, raw)] == weights

    check()


@pytest.mark.parametrize("protocol", EACH)
@pytest.mark.parametrize("weight", [Weight(17.42, in_motion=True), Weight(CAPACITY_KG + 1)])
def test_a_weight_is_taken_only_at_rest_and_in_range_where_the_frame_can_say(
    protocol: ScaleProtocol, weight: Weight
) -> None:
    (one,) = decoded(protocol, FRAMES[protocol.id](weight))
    if protocol.marks:
        weights = dict(one.values)
        moving = weights.pop(MOVING, None)
        assert moving == (weight.kg if weight.in_motion else None)
        assert {value for name, value in weights.items() if name.endswith("_kg")} == {None}
        assert one.values["in_motion" if weight.in_motion else "over_capacity"] is True
    else:
        assert "in_motion" not in one.values


@pytest.mark.parametrize("protocol", EACH)
def test_a_changed_or_torn_frame_is_dropped_or_says_nothing_else(protocol: ScaleProtocol) -> None:
    good = FRAMES[protocol.id](Weight(30.5))

    @given(st.binary(max_size=40), st.integers(1, len(good) - 1))
    def check(noise: bytes, cut: int) -> None:
        end = protocol.frame.end.encode()
        found, _ = decode_stream(protocol.frame, protocol.marks, good[cut:] + noise + end + good)
        assert weight_of(found[-1]) == 30.5
        assert len(found) <= 2

    check()


@pytest.mark.parametrize("protocol", EACH)
def test_any_bytes_are_read_or_dropped(protocol: ScaleProtocol) -> None:
    @given(st.binary(max_size=300))
    def check(raw: bytes) -> None:
        decode_stream(protocol.frame, protocol.marks, raw)

    check()


def test_a_filling_rests_before_and_after() -> None:
    filling = Filling(charge_kg=10.0, rate_kg_s=1.0, rest_s=2.0, settle_s=0.5)
    seen = [filling.at(tenth / 10) for tenth in range(round(filling.cycle_s * 10))]
    rests = list(dict.fromkeys(one.kg for one in seen if not one.in_motion))
    assert rests == [0.0, 16.0, 26.0]
    assert filling.at(filling.cycle_s + 1) == filling.at(1)
    assert any(one.in_motion and 16 < one.kg < 26 for one in seen)
