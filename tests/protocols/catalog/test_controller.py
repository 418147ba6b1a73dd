"""The pinned controller format: what loads, and every refusal with its file, key and reason."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from protocols.catalog.controller import Controller, load_controller, load_controllers
from protocols.catalog.files import data_files, data_root
from protocols.errors import Fault, FixConfiguration
from protocols.modbus.registers import MutableImage, decode, encode
from protocols.readings import Value

ACME = (Path(__file__).parents[2] / "support" / "acme-lift200.toml").read_text(encoding="utf-8")
HEAD, POSITION, DIRECTION, PASSENGER, MESSAGE, FIRST, SECOND = re.split(r"\n(?=\[\[)", ACME)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str = "acme-lift200") -> Path:
        path = tmp_path / "controllers" / f"{name}.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def faults(path: Path, *, shipped: bool = False) -> dict[str, Fault]:
    with pytest.raises(FixConfiguration) as caught:
        load_controller(path, shipped=shipped)
    found = caught.value.faults
    assert all(fault.file == str(path) and fault.expected and fault.found for fault in found)
    assert all("\n" not in str(fault) and len(str(fault)) < 900 for fault in found)
    return {fault.key: fault for fault in found}


def point(**keys: object) -> str:
    """Write a point table; the keys override those of a plain whole number."""
    plain: dict[str, object] = {
        "name": '"present_counter_value"',
        "table": '"input_register"',
        "address": 7,
    }
    lines = [f"{key} = {value}" for key, value in (plain | {"type": '"uint16"'} | keys).items()]
    return "\n".join(["", "[[points]]", *lines, ""])


def one(**keys: object) -> str:
    return 'schema = 1\nid = "acme-lift200"\nkind = "elevator"\n' + point(**keys)


def test_example_of_the_design_loads_and_proves_itself(write: Write) -> None:
    controller = load_controller(write(ACME), shipped=True)
    assert [point.name for point in controller.points] == [
        "car_position",
        "car_direction",
        "passenger_status",
        "message_code",
    ]
    assert controller.registers_per_read_max == 32
    assert len(controller.samples) == 2
    image: MutableImage = {}
    values: dict[str, Value] = {
        "car_position": 7,
        "car_direction": "down",
        "passenger_status": True,
        "message_code": ["90", "07"],
    }
    encode(controller, values, image)
    assert image == {"holding_register": {0x10: 7, 0x11: 0x20, 0x12: 8, 0x40: 0x208}}


def test_overlay_file_needs_no_samples_and_little_else(write: Write) -> None:
    controller = load_controller(write(one()), shipped=False)
    assert (controller.word_order, controller.registers_per_read_max) == ("big", 125)
    assert (controller.framing, controller.products, controller.caveats) == ("standard", (), ())
    (point,) = controller.points
    assert (point.scale, point.offset, point.bits, point.invalid) == (1, 0, None, frozenset())
    assert decode(controller, {"input_register": {7: 41}}) == {
        "present_counter_value": (41, "good")
    }


def test_samples_of_an_overlay_file_must_come_out(write: Write) -> None:
    text = ACME.replace("car_position = 3,", "car_position = 4,")
    found = faults(write(text))["samples[0].expect.car_position"]
    assert (found.expected, found.found) == ("4", "3 (good)")


def test_several_faults_of_one_file_are_all_reported(write: Write) -> None:
    text = (
        ACME.replace('document = "', 'documnet = "')
        .replace('"car_position"  ', '"car_positon"  ')
        .replace('"enum16"', '"enum8"')
        .replace("bits = [3, 3]", "bits = [3, 5]")
        .replace('9 = "90"', '16 = "90"')
        .replace('about = "just', 'abuot = "just')
        .replace("registers_per_read_max = 32", "registers_per_read_max = 0")
    )
    assert set(faults(write(text))) == {
        "documnet",
        "registers_per_read_max",
        "points[0].name",
        "points[1].type",
        "points[2].bits",
        "points[3].codes.16",
        "samples[1].abuot",
    }


def test_one_fault_hides_no_other(write: Write) -> None:
    text = (
        ACME.replace("address = 0x0011", "address = 0x0010")
        .replace("scale = 1.0 ", "scael = 1.0 ")
        .replace("invalid = [0xFFFF] ", "invalid = 0xFFFF ")
        .replace('"message_code"', '"massage_code"')
        .replace("address = 0x0040", "address = 0x0010")
    )
    assert set(faults(write(text))) == {
        "points[0].scael",
        "points[0].invalid",
        "points[1].address",
        "points[3].name",
        "points[3].address",
    }


def test_every_fault_of_one_point_is_reported(write: Write) -> None:
    found = faults(
        write(one(name='"lobby_music"', adress=3, scale='"big"', table='"holding_registers"'))
    )
    assert set(found) == {
        "points[0].name",
        "points[0].adress",
        "points[0].scale",
        "points[0].table",
    }
    assert "holding_register" in found["points[0].table"].expected


@pytest.mark.parametrize("key", ["schema", "id", "kind"])
def test_file_without_a_needed_key_is_refused(write: Write, key: str) -> None:
    text = "\n".join(line for line in ACME.splitlines() if not line.startswith(f"{key} ="))
    assert faults(write(text))[key].found == "nothing: the key is missing"


@pytest.mark.parametrize("key", ["name", "table", "address", "type"])
def test_point_without_a_needed_key_is_refused(write: Write, key: str) -> None:
    text = "\n".join(line for line in one().splitlines() if not line.startswith(f"{key} ="))
    assert faults(write(text))[f"points[0].{key}"].found == "nothing: the key is missing"


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("schema = 1", "schema = 2", "schema"),
        ("schema = 1", 'schema = "1"', "schema"),
        ('id = "acme-lift200"', 'id = "acme-lift201"', "id"),
        ('id = "acme-lift200"', "id = 7", "id"),
        ('kind = "elevator"', 'kind = "escalator"', "kind"),
        ('kind = "elevator"', "kind = 3", "kind"),
        ('word_order = "big"', 'word_order = "middle"', "word_order"),
        ("registers_per_read_max = 32", "registers_per_read_max = 126", "registers_per_read_max"),
        ("registers_per_read_max = 32", 'registers_per_read_max = "32"', "registers_per_read_max"),
        ('framing = "standard"', 'framing = "morse"', "framing"),
        ('products = ["Acme LIFT 200"]', 'products = "Acme LIFT 200"', "products"),
        ("schema = 1", "schema = 1\nbaud_rate = 9600", "baud_rate"),
        ("schema = 1", "schema = 1\nschema = 1", "file"),
        ("schema = 1", "schema = ", "file"),
    ],
)
def test_head_with_a_fault_is_refused(write: Write, old: str, new: str, key: str) -> None:
    assert ACME.count(old) == 1
    assert key in faults(write(ACME.replace(old, new)))


@pytest.mark.parametrize(
    "text", ["points = []", "points = 3", "points = [1]", "", "[points]\na = 1"]
)
def test_file_without_points_is_refused(write: Write, text: str) -> None:
    head = 'schema = 1\nid = "acme-lift200"\nkind = "elevator"\n'
    assert "points" in faults(write(head + text))


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ({"name": '"controller_online"'}, "name"),
        ({"name": '"online"'}, "name"),
        ({"name": '""'}, "name"),
        ({"name": "3"}, "name"),
        ({"address": -1}, "address"),
        ({"address": 0x10000}, "address"),
        ({"address": '"0x10"'}, "address"),
        ({"address": 1.0}, "address"),
        ({"address": "true"}, "address"),
        ({"address": 0xFFFF, "type": '"uint32"'}, "address"),
        ({"type": '"float32"'}, "type"),
        ({"type": '"bool"'}, "type"),
        ({"type": '"bitfield16"'}, "type"),
        ({"type": '"uint64"'}, "type"),
        ({"table": '"coil"'}, "type"),
        ({"table": '"discrete_input"'}, "type"),
        ({"name": '"passenger_status"'}, "type"),
        ({"name": '"car_direction"'}, "type"),
        ({"name": '"service_mode"', "type": '"bool"'}, "values"),
        ({"name": '"car_position"', "type": '"float32"'}, "type"),
        ({"name": '"fault_code"', "type": '"int16"'}, "type"),
        ({"name": '"speed"', "type": '"bitfield16"', "codes": '{ 0 = "01" }'}, "type"),
        ({"type": '"enum16"'}, "values"),
        ({"type": '"enum16"', "values": "{}"}, "values"),
        ({"type": '"enum16"', "values": '{ 0 = "none" }'}, "values.0"),
        ({"type": '"enum16"', "values": "{ 0x10000 = 1 }"}, "values.0x10000"),
        ({"type": '"enum16"', "values": "{ -1 = 1 }"}, "values.-1"),
        ({"type": '"enum16"', "values": "{ up = 1 }"}, "values.up"),
        ({"type": '"enum16"', "values": "{ 1 = 1, 0x1 = 2 }"}, "values.0x1"),
        ({"type": '"enum16"', "values": "{ 16 = 1 }", "bits": "[0, 3]"}, "values.16"),
        ({"type": '"enum16"', "values": "{ 1 = 1 }", "invalid": "[1]"}, "invalid"),
        ({"values": "{ 0 = 1 }"}, "values"),
        ({"codes": '{ 0 = "01" }'}, "codes"),
        ({"name": '"passenger_status"', "type": '"enum16"', "values": "{ 0 = 0 }"}, "values.0"),
        ({"name": '"car_direction"', "type": '"enum16"', "values": '{ 0 = "left" }'}, "values.0"),
        ({"name": '"message_code"', "type": '"bitfield16"'}, "codes"),
        ({"name": '"message_code"', "type": '"enum16"'}, "codes"),
        ({"name": '"message_code"', "type": '"uint16"'}, "type"),
        (
            {"name": '"message_code"', "type": '"enum16"', "values": '{ 1 = "01" }'},
            "values",
        ),
        (
            {"name": '"message_code"', "type": '"bitfield16"', "codes": '{ 0 = "99" }'},
            "codes.0",
        ),
        (
            {
                "name": '"message_code"',
                "type": '"bitfield16"',
                "codes": '{ 4 = "01" }',
                "bits": "[0, 3]",
            },
            "codes.4",
        ),
        ({"scale": 0}, "scale"),
        ({"scale": "nan"}, "scale"),
        ({"scale": "inf"}, "scale"),
        ({"scale": "-1e10"}, "scale"),
        ({"scale": "1e-10"}, "scale"),
        ({"scale": "1e400"}, "scale"),
        ({"offset": "-1e13"}, "offset"),
        ({"scale": 0.5}, "scale"),
        ({"offset": 0.5}, "scale"),
        ({"offset": "nan"}, "offset"),
        ({"name": '"fault_code"', "scale": 2}, "scale"),
        ({"name": '"passenger_status"', "type": '"bool"', "scale": 2}, "scale"),
        ({"bits": "[0, 16]"}, "bits"),
        ({"bits": "[-1, 3]"}, "bits"),
        ({"bits": "[4, 3]"}, "bits"),
        ({"bits": "[4]"}, "bits"),
        ({"bits": "4"}, "bits"),
        ({"bits": "[0, 3]", "type": '"uint32"'}, "bits"),
        ({"bits": "[0, 0]", "type": '"float32"', "name": '"speed"'}, "bits"),
        ({"name": '"passenger_status"', "type": '"bool"', "bits": "[3, 4]"}, "bits"),
        (
            {"name": '"passenger_status"', "type": '"bool"', "table": '"coil"', "bits": "[0, 0]"},
            "bits",
        ),
        ({"invalid": "[0x10000]"}, "invalid"),
        ({"invalid": "[-1]"}, "invalid"),
        ({"invalid": "0xFFFF"}, "invalid"),
        ({"invalid": "[16]", "bits": "[0, 3]"}, "invalid"),
        ({"word_order": '"big"'}, "word_order"),
    ],
)
def test_point_with_a_fault_is_refused(write: Write, keys: dict[str, object], where: str) -> None:
    found = faults(write(one(**keys)))
    assert any(key.startswith(f"points[0].{where}") for key in found), found


def test_overlap_that_disagrees_is_refused(write: Write) -> None:
    text = ACME + point(name='"speed"', table='"holding_register"', address=0x0F, type='"uint32"')
    found = faults(write(text))
    assert "points[0] (car_position)" in found["points[4].address"].expected
    assert "0x000f to 0x0010" in found["points[4].address"].found


@pytest.mark.parametrize("bits", ["[0, 3]", "[8, 15]", "[3, 3]"])
def test_other_bits_of_a_register_are_free(write: Write, bits: str) -> None:
    text = ACME + point(table='"holding_register"', address=0x11, bits=bits)
    load_controller(write(text), shipped=False)


NUMBER = {"table": '"holding_register"', "address": 0x11}
WORD = NUMBER | {"name": '"car_status"', "type": '"enum16"', "values": '{ 0 = "stopped" }'}
FLAG = NUMBER | {"name": '"door_status"', "type": '"bool"', "address": 0x12}


@pytest.mark.parametrize(
    "keys",
    [
        NUMBER,
        NUMBER | {"bits": "[4, 7]"},
        NUMBER | {"bits": "[7, 7]"},
        NUMBER | {"address": 0x10},
        NUMBER | {"address": 0x10, "type": '"uint32"'},
        NUMBER | {"address": 0x0F, "type": '"int32"'},
        NUMBER | {"address": 0x40},
        WORD,
        WORD | {"bits": "[3, 7]"},
        WORD | {"address": 0x10},
        FLAG,
        FLAG | {"bits": "[3, 3]"},
        FLAG | {"bits": "[7, 7]", "address": 0x11},
    ],
)
def test_points_on_the_same_bits_are_refused(write: Write, keys: dict[str, object]) -> None:
    assert set(faults(write(ACME + point(**keys)))) == {"points[4].address"}


@pytest.mark.parametrize(
    "keys", [WORD | {"bits": "[4, 7]"}, FLAG | {"address": 0x40, "bits": "[3, 3]"}]
)
def test_the_very_same_bits_may_have_two_names(write: Write, keys: dict[str, object]) -> None:
    load_controller(write(ACME + point(**keys)), shipped=False)


@pytest.mark.parametrize(("bit", "agrees"), [(1, True), (3, True), (10, True)])
def test_bitfield_takes_only_the_bits_that_have_codes(write: Write, bit: int, agrees: bool) -> None:
    text = ACME + point(
        name='"safety_circuit"',
        table='"holding_register"',
        address=0x40,
        type='"enum16"',
        bits=f"[{bit}, {bit}]",
        values="{ 0 = true, 1 = false }",
    )
    assert isinstance(load_controller(write(text), shipped=False), Controller) is agrees


def test_same_address_in_another_table_is_no_overlap(write: Write) -> None:
    load_controller(write(ACME + point(address=0x10)), shipped=False)


def test_point_given_twice_is_refused(write: Write) -> None:
    text = ACME + point(name='"car_position"', address=0x20)
    found = faults(write(text))
    assert "points[0]" in found["points[4].name"].found


def test_list_of_codes_may_stand_in_several_places(write: Write) -> None:
    more = point(
        name='"message_code"',
        table='"holding_register"',
        address=0x41,
        type='"enum16"',
        codes='{ 1 = "02", 7 = "05" }',
    )
    text = "\n".join([HEAD, POSITION, DIRECTION, PASSENGER, MESSAGE]) + more
    controller = load_controller(write(text), shipped=False)
    words = {0x40: 1, 0x41: 7}
    assert decode(controller, {"holding_register": words})["message_code"] == (["02", "05"], "good")
    assert "message_code" not in decode(controller, {"holding_register": {0x40: 1}})


def test_wide_point_needs_a_read_of_two_registers(write: Write) -> None:
    text = one(type='"uint32"').replace("schema = 1", "schema = 1\nregisters_per_read_max = 1")
    assert set(faults(write(text))) == {"registers_per_read_max"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n".join([HEAD, POSITION, DIRECTION, PASSENGER, MESSAGE]), "at least two samples"),
        ("\n".join([HEAD, POSITION, DIRECTION, PASSENGER, MESSAGE, FIRST]), "at least two samples"),
        (ACME.replace("expect = { car_position = 3, ", "expect = { "), ""),
        (
            ACME.replace("0x0010 = 0xFFFF", "0x0010 = 1")
            .replace("0x0040 = 1 }", "0x0040 = 0 }")
            .replace('["02"]', "[]")
            .replace('expect_quality = { car_position = "no_value" }', ""),
            "abnormal",
        ),
        (ACME + point(address=0x20), "present_counter_value expected in at least one"),
    ],
)
def test_shipped_file_must_prove_itself(write: Write, text: str, expected: str) -> None:
    path = write(text)
    load_controller(path, shipped=False)
    if expected:
        with pytest.raises(FixConfiguration, match=expected):
            load_controller(path, shipped=True)
    else:
        load_controller(path, shipped=True)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("0x0010 = 3,", "0x0010 = 4,", "samples[0].expect.car_position"),
        ("0x0010 = 3,", "0x0010 = 0x10000,", "samples[0].holding_register.0x0010"),
        ("0x0010 = 3,", "0x0010 = -1,", "samples[0].holding_register.0x0010"),
        ("0x0010 = 3,", "0x0010 = 3, 16 = 3,", "samples[0].holding_register.16"),
        ("0x0010 = 3,", "ten = 3,", "samples[0].holding_register.ten"),
        ("0x0010 = 3,", '0x0010 = "3",', "samples[0].holding_register"),
        ("0x0010 = 3,", "", "samples[0].expect.car_position"),
        ('car_direction = "up"', "speed = 3", "samples[0].expect.speed"),
        ('car_direction = "up"', "car_direction = 1", "samples[0].expect.car_direction"),
        ("passenger_status = true", "passenger_status = 1", "samples[0].expect.passenger_status"),
        ('["02"]', '["02", "07"]', "samples[0].expect.message_code"),
        ('"no_value"', '"unknown_value"', "samples[1].expect_quality.car_position"),
        ('"no_value"', '"lost"', "samples[1].expect_quality"),
        ("car_position = 3,", "car_position = 3.5,", "samples[0].expect.car_position"),
        (
            '{ car_direction = "none"',
            '{ car_position = 1, car_direction = "none"',
            "samples[1].expect.car_position",
        ),
    ],
)
def test_sample_with_a_fault_is_refused(write: Write, old: str, new: str, key: str) -> None:
    text = new.join(ACME.rsplit(old, 1))
    assert text != ACME
    assert key in faults(write(text))


def test_codes_of_a_sample_stand_in_any_order(write: Write) -> None:
    text = ACME.replace("0x0040 = 1 }", "0x0040 = 0x201 }").replace('["02"]', '["90", "02"]')
    load_controller(write(text), shipped=True)


def test_unreadable_file_is_one_fault(write: Write, tmp_path: Path) -> None:
    path = write("")
    path.write_bytes(b"\xff\xfe\x00")
    assert set(faults(path)) == {"file"}
    assert set(faults(tmp_path / "none.toml")) == {"file"}


def test_faulty_file_sets_only_itself_aside(write: Write, tmp_path: Path) -> None:
    write(ACME)
    write("nonsense", "broken")
    write(ACME.replace("acme-lift200", "techno-board"), "techno-board")
    write(ACME, "monarch-nice3000plus")
    controllers, found = load_controllers(tmp_path)
    shipped = {path.stem for path, is_shipped in data_files("controllers", tmp_path) if is_shipped}
    assert set(controllers) == {"acme-lift200", "techno-board"} | shipped
    assert controllers["techno-board"].products == ("Acme LIFT 200",)
    assert sorted(Path(fault.file).stem for fault in found) == ["broken", "monarch-nice3000plus"]


SCALE = """\
schema = 1
id = "acme-lift200"
kind = "scale"
registers_per_read_max = 4

[[points]]
name = "gross_kg"
table = "holding_register"
address = 0
type = "float32"
valid_when = {{ {condition} }}

[[points]]
name = "in_motion"
table = "{table}"
address = {address}
type = "bool"

[[points]]
name = "net_kg"
table = "holding_register"
address = 2
type = "uint16"
valid_when = {{ weight_valid = true }}

[[points]]
name = "weight_valid"
table = "holding_register"
address = 5
type = "bool"
"""


def scale(
    condition: str = "in_motion = false", address: int = 3, table: str = "holding_register"
) -> str:
    return SCALE.format(condition=condition, address=address, table=table)


def test_point_is_read_only_while_others_say_that_it_is_valid(write: Write) -> None:
    controller = load_controller(write(scale()), shipped=False)
    image: MutableImage = {"holding_register": {0: 0x41F4, 1: 0, 3: 0}}
    assert decode(controller, image)["gross_kg"] == (30.5, "good")
    image["holding_register"][3] = 1
    assert decode(controller, image)["gross_kg"] == (None, "no_value")
    del image["holding_register"][3]
    assert "gross_kg" not in decode(controller, image)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (scale("at_zero = true"), "at_zero", "another point of this file"),
        (scale("gross_kg = 1.0"), "gross_kg", "another point of this file"),
        (scale("net_kg = 1.0"), "net_kg", "a point without valid_when"),
        (scale('in_motion = "no"'), "in_motion", "a value that in_motion can have"),
        (scale(address=4), "in_motion", "a point within 4 registers"),
        (scale(address=0, table="coil"), "in_motion", "a point within 4 registers"),
    ],
)
def test_condition_names_another_point_that_is_read_along(
    write: Write, text: str, name: str, expected: str
) -> None:
    found = faults(write(text))[f"points[0].valid_when.{name}"]
    assert found.expected.startswith(expected)


def test_overlay_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    assert load_controllers(tmp_path / "none")[0].keys() == load_controllers(None)[0].keys()


@pytest.mark.parametrize("kind", ["points", "controllers", "sites"])
def test_data_folder_is_there(kind: str) -> None:
    assert list((data_root() / kind).glob("*.toml"))
