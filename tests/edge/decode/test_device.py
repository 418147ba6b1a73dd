"""What a device's registers make the gateway say."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest

from edge.decode.codec import Codec
from edge.decode.deadband import Found, worth_telling
from edge.decode.device import Columns, Decoders, DeviceDecoder, phase_ms
from protocols.catalog.controller import load_controllers
from protocols.catalog.point_map import Controller, PointMap, Table
from protocols.modbus.registers import decode
from protocols.readings import Value

MINUTE = 60_000


@dataclass(frozen=True)
class Part:
    """Registers of a block."""

    table: Table
    address: int
    count: int


def point(name: str, address: int, **more: object) -> PointMap:
    fields = {"type": "uint16", **more}
    return PointMap(name=name, table="holding_register", address=address, **fields)  # type: ignore[arg-type]


BOARD = Controller(
    schema=1,
    id="board",
    kind="elevator",
    points=(
        point("car_position", 0, invalid=frozenset({0xFFFF})),
        point("car_direction", 1, type="enum16", bits=(0, 1), values={0: "none", 1: "up"}),
        point("door_status", 1, type="bool", bits=(8, 8)),
        point("load_percent", 2),
        point("message_code", 3, type="bitfield16", codes={0: "90", 1: "02"}),
        point("message_code", 4, type="enum16", codes={1: "41", 2: "02"}),
        point("present_counter_value", 5, type="uint32"),
    ),
)
WHOLE = Part("holding_register", 0, 7)
START = [3, 0x0101, 50, 0, 0, 1, 2]


def merged(columns: Sequence[Columns]) -> dict[str, tuple[str, Value, str]]:
    """Point -> stream, value, quality; a point stands in one stream only."""
    told: dict[str, tuple[str, Value, str]] = {}
    for stream, values, quality in columns:
        assert set(quality) <= set(values)
        for name, value in values.items():
            assert name not in told
            told[name] = stream, value, quality.get(name, "good")
    return told


SCALE = load_controllers(None)[0]["id551pn"]
STATUS = Part("holding_register", 0, 5)
VALID, MOTION = 0x8000, 0x9000


def weighing(weight: int, status: int) -> list[int]:
    return [weight, 0, weight, 0, status]


def test_weight_is_told_only_while_it_is_valid_and_at_rest() -> None:
    scale = DeviceDecoder(Codec(SCALE), snapshot_phase_ms=MINUTE)
    first = merged(scale.observe([(STATUS, weighing(0x41F4, MOTION))], 0))
    assert first["gross_kg"] == ("data", None, "no_value")
    assert first["in_motion"] == ("data", True, "good")
    assert merged(scale.observe([(STATUS, weighing(0x4200, MOTION))], 1)) == {}
    rest = merged(scale.observe([(STATUS, weighing(0x4200, VALID))], 2))
    assert rest["gross_kg"] == rest["displayed_kg"] == ("data", 32.0, "good")
    assert rest["in_motion"] == ("data", False, "good")
    lifted = merged(scale.observe([(STATUS, weighing(0x4200, MOTION))], 3))
    assert lifted["gross_kg"] == ("data", None, "no_value")
    scale.lose(STATUS)
    again = merged(scale.observe([(STATUS, weighing(0x4200, VALID))], 4))
    assert again["gross_kg"] == ("data", 32.0, "good")


@pytest.fixture
def device() -> DeviceDecoder:
    decoder = DeviceDecoder(Codec(BOARD), snapshot_phase_ms=30_000)
    decoder.observe([(WHOLE, START)], 0)
    return decoder


def but(**changes: int) -> list[int]:
    words = list(START)
    for name, word in changes.items():
        words[int(name[1:])] = word
    return words


def test_first_answer_tells_every_point_urgent_ones_at_once() -> None:
    decoder = DeviceDecoder(Codec(BOARD), snapshot_phase_ms=1)
    assert merged(decoder.observe([(WHOLE, START)], 0)) == {
        "controller_online": ("alarm", True, "good"),
        "car_position": ("data", 3, "good"),
        "car_direction": ("data", "up", "good"),
        "door_status": ("data", True, "good"),
        "load_percent": ("data", 50, "good"),
        "message_code": ("alarm", [], "good"),
        "present_counter_value": ("data", 0x0001_0002, "good"),
    }


def test_equal_registers_say_nothing(device: DeviceDecoder) -> None:
    assert device.observe([(WHOLE, list(START))], 1000) == []


def test_only_changed_points_of_a_shared_register_are_told(device: DeviceDecoder) -> None:
    assert merged(device.observe([(WHOLE, but(r1=0x0001))], 1000)) == {
        "door_status": ("data", False, "good")
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (but(r0=0xFFFF), {"car_position": ("data", None, "no_value")}),
        (but(r1=0x0103), {"car_direction": ("data", None, "unknown_value")}),
        (but(r6=3), {"present_counter_value": ("data", 0x0001_0003, "good")}),
        (but(r3=1), {"message_code": ("alarm", ["90"], "good")}),
        (but(r3=2, r4=2), {"message_code": ("alarm", ["02"], "good")}),
        (but(r3=1, r4=9), {"message_code": ("alarm", ["90"], "unknown_value")}),
        (but(r4=9), {"message_code": ("alarm", None, "unknown_value")}),
        (
            but(r0=4, r3=1),
            {"car_position": ("data", 4, "good"), "message_code": ("alarm", ["90"], "good")},
        ),
    ],
)
def test_change_is_told_in_its_stream(
    words: list[int], told: dict[str, tuple[str, Value, str]], device: DeviceDecoder
) -> None:
    assert merged(device.observe([(WHOLE, words)], 1000)) == told
    assert device.observe([(WHOLE, list(words))], 2000) == []


def test_number_within_its_deadband_waits(device: DeviceDecoder) -> None:
    """load_percent has a deadband of 1."""
    fine = Controller(
        schema=1, id="fine", kind="elevator", points=(point("load_percent", 0, scale=0.25),)
    )
    decoder, part = DeviceDecoder(Codec(fine), 1000), Part("holding_register", 0, 1)
    said = [
        merged(decoder.observe([(part, [raw])], at)).get("load_percent", ("", None, ""))[1]
        for at, raw in enumerate([40, 42, 43, 44, 43, 40, 36])
    ]
    assert said == [10.0, None, None, 11.0, None, 10.0, 9.0]


def test_snapshot_repeats_everything_in_data_once_a_minute(device: DeviceDecoder) -> None:
    times = [
        at
        for at in range(1000, 5 * MINUTE, 1000)
        if len(merged(device.observe([(WHOLE, list(START))], at))) == 6
    ]
    assert times[0] == 30_000
    assert len(times) == 5
    assert all(after - before <= MINUTE for before, after in pairwise(times))


def test_urgent_change_within_a_snapshot_still_goes_at_once(device: DeviceDecoder) -> None:
    told = merged(device.observe([(WHOLE, but(r3=1))], 2 * MINUTE))
    assert len(told) == 6
    assert told["message_code"] == ("alarm", ["90"], "good")
    told = merged(device.observe([(WHOLE, but(r3=1))], 4 * MINUTE))
    assert told["message_code"] == ("data", ["90"], "good")


def test_silence_is_said_once_and_all_points_go_stale(device: DeviceDecoder) -> None:
    told = merged(device.silence())
    assert told.pop("controller_online") == ("alarm", False, "good")
    assert set(told.values()) == {("data", None, "stale")}
    assert len(told) == 6
    assert device.silence() == []


def test_points_never_known_have_no_value_rather_than_a_stale_one() -> None:
    decoder = DeviceDecoder(Codec(BOARD), 1)
    told = merged(decoder.silence())
    assert told["car_position"] == ("data", None, "no_value")
    assert told["controller_online"] == ("alarm", False, "good")


def test_first_answer_after_silence_tells_all_again(device: DeviceDecoder) -> None:
    device.silence()
    told = merged(device.observe([(WHOLE, list(START))], 9000))
    assert told["controller_online"] == ("alarm", True, "good")
    assert told["message_code"] == ("alarm", [], "good")
    assert told["car_position"] == ("data", 3, "good")
    assert len(told) == 7
    assert device.observe([(WHOLE, list(START))], 10_000) == []


def test_answer_without_registers_ends_silence_too(device: DeviceDecoder) -> None:
    """An exception reply: the controller is there, its values are not."""
    device.silence()
    assert merged(device.observe([], 9000)) == {"controller_online": ("alarm", True, "good")}
    assert len(merged(device.observe([(WHOLE, list(START))], 10_000))) == 6


def test_lost_block_takes_its_points_along_and_gives_them_back(device: DeviceDecoder) -> None:
    far = Part("holding_register", 5, 2)
    near = Part("holding_register", 0, 5)
    device = DeviceDecoder(Codec(BOARD), 30_000)
    device.observe([(near, START[:5]), (far, START[5:])], 0)
    assert merged(device.lose(far)) == {"present_counter_value": ("data", None, "stale")}
    assert merged(device.observe([(near, START[:5]), (far, START[5:])], 1000)) == {
        "present_counter_value": ("data", 0x0001_0002, "good")
    }


def test_list_of_codes_in_two_blocks_is_told_when_both_are_known() -> None:
    first, second = Part("holding_register", 0, 4), Part("holding_register", 4, 3)
    decoder = DeviceDecoder(Codec(BOARD), 30_000)
    assert "message_code" not in merged(decoder.observe([(first, but(r3=1)[:4])], 0))
    told = merged(decoder.observe([(second, but(r4=1)[4:])], 1))
    assert told["message_code"] == ("alarm", ["90", "41"], "good")


def test_urgent_registers_that_changed_are_pointed_out(device: DeviceDecoder) -> None:
    assert device.urgent_span(WHOLE, list(START)) is None
    assert device.urgent_span(WHOLE, but(r0=9)) is None
    assert device.urgent_span(WHOLE, but(r3=1)) == (3, 1)
    assert device.urgent_span(WHOLE, but(r3=1, r4=1)) == (3, 2)
    assert device.agree(WHOLE, but(r3=1), (2, 3), [0, 1, 0])
    assert not device.agree(WHOLE, but(r3=1), (2, 3), [0, 0, 0])


def test_doubtful_urgent_change_waits_and_the_calm_ones_do_not(device: DeviceDecoder) -> None:
    changed = but(r0=7, r3=1)
    assert merged(device.observe([(WHOLE, changed)], 1000, [WHOLE])) == {
        "car_position": ("data", 7, "good")
    }
    assert device.urgent_span(WHOLE, list(changed)) == (3, 1)
    assert merged(device.observe([(WHOLE, list(changed))], 2000)) == {
        "message_code": ("alarm", ["90"], "good")
    }


def test_snapshots_of_many_devices_are_spread_over_the_minute() -> None:
    quarters = [0, 0, 0, 0]
    for number in range(1, 1001):
        quarters[phase_ms(number) * 4 // (57 * 1000)] += 1
    assert min(quarters) > 240


@pytest.mark.parametrize(
    ("told", "found", "deadband", "worth"),
    [
        (None, (1, "good"), 5.0, True),
        ((1, "good"), (5, "good"), 5.0, False),
        ((1, "good"), (6, "good"), 5.0, True),
        ((1, "good"), (None, "no_value"), 5.0, True),
        ((True, "good"), (False, "good"), 5.0, True),
        (("B1", "good"), (3, "good"), 5.0, True),
        ((1, "good"), (1, "good"), 0.0, False),
        ((1, "good"), (1.001, "good"), 0.0, True),
    ],
)
def test_deadband_holds_back_small_moves_of_numbers_only(
    told: Found | None, found: Found, deadband: float, worth: bool
) -> None:
    assert worth_telling(told, found, deadband) is worth


def test_every_shipped_controller_file_is_decoded_as_the_catalog_says() -> None:
    controllers, _ = load_controllers(None)
    decoders = Decoders()
    assert controllers
    for controller in controllers.values():
        for sample in controller.samples:
            decoder = decoders("elevator:1", controller)
            reads = []
            for table, words in sample.image.items():
                for address in sorted(words):  # pairs, so that long values are whole
                    if address + 1 in words:
                        pair = [words[address], words[address + 1]]
                        reads.append((Part(table, address, 2), pair))
                    reads.append((Part(table, address, 1), [words[address]]))
            told = merged(decoder.observe(reads, 0))
            assert told.pop("controller_online") == ("alarm", True, "good")
            expected = decode(controller, sample.image)
            assert {name: (one[1], one[2]) for name, one in told.items()} == expected
