import math
import struct
from typing import Any, get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocols.catalog.controller import Controller, PointMap, Table
from protocols.catalog.point_map import WordOrder
from protocols.modbus.registers import (
    MutableImage,
    codes_of,
    decode,
    decode_point,
    encode,
    join_codes,
    width,
)
from protocols.readings import Quality, Value

Case = tuple[dict[str, Any], list[int], Value, Quality]

words16 = st.integers(0, 0xFFFF)
orders: st.SearchStrategy[WordOrder] = st.sampled_from(get_args(WordOrder))


def point(**keys: Any) -> PointMap:
    plain: dict[str, Any] = {
        "name": "p",
        "table": "holding_register",
        "address": 4,
        "type": "uint16",
    }
    return PointMap(**plain | keys)


def controller(*points: PointMap, word_order: WordOrder = "big") -> Controller:
    return Controller(schema=1, id="c", kind="elevator", points=points, word_order=word_order)


CASES: list[Case] = [
    ({}, [0xFFFF], 65535, "good"),
    ({"type": "int16"}, [0xFFFF], -1, "good"),
    ({"type": "int16"}, [0x8000], -32768, "good"),
    ({"type": "uint32"}, [1, 2], 0x1_0002, "good"),
    ({"type": "int32"}, [0xFFFF, 0xFFFE], -2, "good"),
    ({"type": "float32"}, [0x3FE0, 0], 1.75, "good"),
    ({"type": "float32"}, [0x7FC0, 0], None, "no_value"),
    ({"type": "float32"}, [0xFF80, 0], None, "no_value"),
    ({"type": "float32", "scale": 2.0, "offset": 1.0}, [0x3FE0, 0], 4.5, "good"),
    ({"scale": 0.1}, [3], 0.3, "good"),
    ({"scale": 0.001, "type": "int16"}, [0xF92A], -1.75, "good"),
    ({"scale": 0.01, "offset": -40.0}, [1234], -27.66, "good"),
    ({"scale": 10.0, "offset": -1.0}, [3], 29, "good"),
    ({"scale": 1e-05}, [3], 3e-05, "good"),
    ({"invalid": frozenset({0xFFFF})}, [0xFFFF], None, "no_value"),
    ({"invalid": frozenset({0xFFFF}), "type": "int16"}, [0xFFFF], None, "no_value"),
    ({"invalid": frozenset({0xFFFFFFFF}), "type": "uint32"}, [65535, 65535], None, "no_value"),
    ({"invalid": frozenset({0xF}), "bits": (4, 7)}, [0x3F0], None, "no_value"),
    ({"bits": (4, 7)}, [0x350], 5, "good"),
    ({"bits": (4, 7), "type": "int16"}, [0x3F0], -1, "good"),
    ({"bits": (0, 15)}, [0x350], 0x350, "good"),
    ({"as_text": True}, [41], "41", "good"),
    ({"type": "bool"}, [0], False, "good"),
    ({"type": "bool"}, [1], True, "good"),
    ({"type": "bool"}, [2], None, "unknown_value"),
    ({"type": "bool", "bits": (3, 3)}, [0xFFF7], False, "good"),
    ({"type": "bool", "bits": (3, 3)}, [8], True, "good"),
    ({"type": "bool", "table": "coil"}, [1], True, "good"),
    ({"type": "bool", "table": "coil", "values": {0: True, 1: False}}, [1], False, "good"),
    ({"type": "enum16", "values": {1: True, 2: False}}, [2], False, "good"),
    ({"type": "enum16", "values": {1: True, 2: False}}, [0], None, "unknown_value"),
    ({"type": "enum16", "values": {7: "B1"}}, [7], "B1", "good"),
    ({"type": "enum16", "codes": {5: "05"}}, [0], [], "good"),
    ({"type": "enum16", "codes": {5: "05"}}, [5], ["05"], "good"),
    ({"type": "enum16", "codes": {5: "05"}}, [6], None, "unknown_value"),
    ({"type": "enum16", "codes": {0: "05"}}, [0], ["05"], "good"),
    ({"type": "bitfield16", "codes": {0: "02", 3: "07", 9: "02"}}, [0x209], ["02", "07"], "good"),
    ({"type": "bitfield16", "codes": {0: "02"}}, [0xFFFE], [], "good"),
    ({"type": "bitfield16", "codes": {0: "02"}, "bits": (8, 15)}, [0x01FF], ["02"], "good"),
    ({"type": "bool", "codes": {1: "90"}}, [1], ["90"], "good"),
]


@pytest.mark.parametrize(("keys", "words", "value", "quality"), CASES)
def test_words_are_read_as_the_file_says(
    keys: dict[str, Any], words: list[int], value: Value, quality: Quality
) -> None:
    found, told = decode_point(point(**keys), words, "big")
    assert (found, told) == (value, quality)
    assert type(found) is type(value)
    assert decode_point(point(**keys), words[::-1], "little") == (value, quality)
    assert width(point(**keys)) == len(words)


@given(words16, words16, orders)
def test_wide_values_agree_with_struct(high: int, low: int, order: WordOrder) -> None:
    raw = struct.pack(">HH", high, low)
    words = [high, low] if order == "big" else [low, high]
    assert decode_point(point(type="uint32"), words, order)[0] == struct.unpack(">I", raw)[0]
    assert decode_point(point(type="int32"), words, order)[0] == struct.unpack(">i", raw)[0]
    (number,) = struct.unpack(">f", raw)
    expected = number if math.isfinite(number) else None
    assert decode_point(point(type="float32"), words, order)[0] == expected


@given(
    st.sampled_from(["uint16", "int16", "uint32", "int32"]),
    st.integers(0, 0xFFFF_FFFF),
    st.sampled_from([1.0, 0.1, 0.01, 0.001, 0.25, 10.0, -0.1, 3.0]),
    st.sampled_from([0.0, -40.0, 0.5, 100.0]),
    orders,
)
def test_numbers_round_trip(
    type_: Any, raw: int, scale: float, offset: float, order: WordOrder
) -> None:
    place = point(type=type_, scale=scale, offset=offset)
    words = [raw >> 16, raw & 0xFFFF][-width(place) :]
    one = controller(place, word_order=order)
    before: MutableImage = {"holding_register": dict(enumerate(words, 4))}
    value, _ = decode(one, before)["p"]
    image: MutableImage = {}
    encode(one, {"p": value}, image)
    assert image == before
    assert decode(one, image)["p"] == (value, "good")


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), orders)
def test_floats_round_trip(value: float, order: WordOrder) -> None:
    one = controller(point(type="float32"), word_order=order)
    image: MutableImage = {}
    encode(one, {"p": value}, image)
    assert decode(one, image)["p"] == (value, "good")


@given(words16, st.integers(0, 15), st.integers(0, 15), st.data())
def test_writing_a_bit_range_leaves_the_other_bits(
    before: int, one: int, other: int, data: st.DataObject
) -> None:
    low, high = sorted((one, other))
    value = data.draw(st.integers(0, (1 << (high - low + 1)) - 1))
    image: MutableImage = {"holding_register": {4: before, 5: 77}}
    unit = controller(point(bits=(low, high)))
    encode(unit, {"p": value}, image)
    mask = ((1 << (high - low + 1)) - 1) << low
    assert image["holding_register"][4] & ~mask == before & ~mask
    assert image["holding_register"][5] == 77
    assert decode(unit, image)["p"] == (value, "good")


MANY = {code: f"{code:02}" for code in (1, 2, 3, 4, 5, 6)}
CODES = controller(
    point(name="m", type="bitfield16", address=1, codes={0: "01", 4: "02"}),
    point(name="m", type="enum16", address=2, codes=MANY),
    point(name="m", type="bool", table="coil", address=9, codes={1: "90"}),
    point(name="m", type="enum16", address=3, codes=MANY),
)


@given(st.lists(st.sampled_from(["01", "02", "03", "04", "90"]), unique=True))
def test_codes_in_several_places_round_trip(codes: list[str]) -> None:
    assume(len(set(codes) & {"03", "04"}) <= 2)
    image: MutableImage = {}
    encode(CODES, {"m": codes}, image)
    value, quality = decode(CODES, image)["m"]
    assert isinstance(value, list)
    assert (sorted(value), quality) == (sorted(codes), "good")
    encode(CODES, {"m": []}, image)
    assert decode(CODES, image)["m"] == ([], "good")


def test_codes_beyond_the_places_cannot_be_told() -> None:
    image: MutableImage = {}
    with pytest.raises(ValueError, match=r"m: .*05"):
        encode(CODES, {"m": ["03", "04", "05"]}, image)
    assert image == {}
    assert codes_of(CODES) == {*MANY.values(), "90"}


FAULT = controller(
    point(name="fault_code", as_text=True, address=0x8000),
    point(name="m", type="enum16", address=0x8000, codes={41: "01", 30: "other", 37: "other"}),
)


def test_points_on_the_same_bits_are_met_together() -> None:
    image: MutableImage = {}
    encode(FAULT, {"m": ["other"], "fault_code": "37"}, image)
    assert image == {"holding_register": {0x8000: 37}}
    encode(FAULT, {"m": ["other"]}, image)
    assert image["holding_register"][0x8000] == 37, "what is there already does"
    encode(FAULT, {"m": ["01"]}, image)
    assert decode(FAULT, image) == {"fault_code": ("41", "good"), "m": (["01"], "good")}
    with pytest.raises(ValueError, match=r"fault_code, m: want different"):
        encode(FAULT, {"m": ["01"], "fault_code": "37"}, image)
    assert image["holding_register"][0x8000] == 41, "on an error nothing is written"
    encode(FAULT, {"m": []}, image)
    assert decode(FAULT, image)["fault_code"] == ("0", "good")


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        ({}, -1),
        ({}, 65536),
        ({}, "7"),
        ({}, True),
        ({}, ["01"]),
        ({}, math.nan),
        ({}, math.inf),
        ({}, 10**400),
        ({}, None),
        ({"type": "int16"}, 32768),
        ({"type": "float32"}, 1e39),
        ({"scale": 0.001}, 70.0),
        ({"invalid": frozenset({7})}, 7),
        ({"bits": (0, 3)}, 16),
        ({"type": "bool"}, 1),
        ({"type": "bool"}, "true"),
        ({"type": "enum16", "values": {1: "up"}}, "down"),
        ({"type": "enum16", "values": {1: True}}, 1),
        ({"type": "enum16", "values": {1: 1}}, True),
        ({"type": "bitfield16", "codes": {0: "01"}}, ["02"]),
        ({"type": "bitfield16", "codes": {0: "01"}}, "01"),
        ({"type": "enum16", "codes": {0: "01"}}, []),
        ({"as_text": True}, "x"),
        ({"as_text": True}, "041"),
        ({"as_text": True}, 41),
        ({"as_text": True}, "9" * 100_000),
    ],
)
def test_value_that_cannot_be_told_names_its_point(keys: dict[str, Any], value: Value) -> None:
    image: MutableImage = {}
    with pytest.raises(ValueError, match=r"^p: "):
        encode(controller(point(**keys)), {"p": value}, image)
    assert image == {}


def test_point_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="speed: c does not have this point"):
        encode(controller(point()), {"speed": 1}, {})


def test_null_is_written_as_invalid() -> None:
    image: MutableImage = {}
    unit = controller(
        point(name="a", invalid=frozenset({9, 5})), point(name="b", type="float32", address=6)
    )
    encode(unit, {"a": None, "b": None}, image)
    assert image["holding_register"][4] == 5
    assert decode(unit, image) == {"a": (None, "no_value"), "b": (None, "no_value")}


def test_point_without_all_its_registers_is_left_out() -> None:
    unit = controller(point(type="uint32"), point(name="q", table="coil", type="bool"))
    assert decode(unit, {"holding_register": {4: 1}}) == {}
    image: dict[Table, dict[int, int]] = {"holding_register": {4: 1, 5: 2}, "coil": {4: 0}}
    assert decode(unit, image) == {"p": (0x1_0002, "good"), "q": (False, "good")}


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        ([], ([], "good")),
        ([(["01"], "good"), (["02", "01"], "good")], (["01", "02"], "good")),
        ([([], "good"), (None, "unknown_value")], (None, "unknown_value")),
        ([(["90"], "good"), (None, "unknown_value")], (["90"], "unknown_value")),
        ([(None, "no_value"), ([], "good")], (None, "no_value")),
    ],
)
def test_joined_codes_never_say_over_while_a_part_is_unknown(
    parts: list[tuple[Value, Quality]], joined: tuple[Value, Quality]
) -> None:
    assert join_codes(parts) == joined
