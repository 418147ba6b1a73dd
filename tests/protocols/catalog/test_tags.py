"""Faulty tag layouts: each fault is told, and a file sets only itself aside."""

from pathlib import Path

import pytest

from protocols.catalog.tags import load_layout, load_layouts
from protocols.errors import FixConfiguration, RefuseInput
from protocols.tag_memory import crc16, read_memory, write_memory

HEAD = """\
schema = 1
id = "{id}"
title = "Own cylinders"
confidence = "D"
technologies = ["type5"]
"""
AREAS = """
[match]
hex = "{magic}"

[[areas]]
name = "plate"
offset = 0
bytes = 24
check = "crc16"
fields = [
  {{ name = "cylinder_code", offset = 4, bytes = 8, type = "text", code = "cylinder" }},
  {{ name = "tare_mass_kg", offset = 12, bytes = 2, type = "uint", scale = 0.01, unit = "kg" }},
  {{ name = "medium", offset = 14, bytes = 1, type = "uint", values = {{ 1 = "lpg" }} }},
  {{ name = "seal", offset = 15, bytes = 3, type = "hex" }},
]
"""


def write(folder: Path, text: str, name: str = "own") -> Path:
    (folder / "tags").mkdir(exist_ok=True)
    path = folder / "tags" / f"{name}.toml"
    path.write_text(text)
    return path


def good(name: str = "own", magic: str = "4F574E31") -> str:
    return HEAD.format(id=name) + AREAS.format(magic=magic)


def faults(folder: Path, text: str, *, shipped: bool = False) -> list[str]:
    with pytest.raises(FixConfiguration) as error:
        load_layout(write(folder, text), shipped=shipped)
    return [f"{one.key}: expected {one.expected}, found {one.found}" for one in error.value.faults]


def test_a_layout_of_an_overlay_needs_no_samples(tmp_path: Path) -> None:
    write(tmp_path, good())
    layouts, found = load_layouts(tmp_path)
    assert found == []
    assert "own" in layouts


def test_a_shipped_layout_needs_samples_good_and_bad(tmp_path: Path) -> None:
    assert faults(tmp_path, good(), shipped=True) == [
        "samples: expected at least two samples, found 0",
        "samples: expected at least one with findings, found none",
        "samples: expected at least one without findings, found none",
    ]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (('title = "Own cylinders"\n', ""), "title: expected a value"),
        (("schema = 1", "schema = 2"), "schema: expected one of 1"),
        (('id = "own"', 'id = "other"'), "id: expected 'own', as the file is named"),
        (('["type5"]', '["type9"]'), "technologies: expected one of type2"),
        (('hex = "4F574E31"', 'hex = "4F5"'), "match.hex: expected "),
        (
            ('hex = "4F574E31"', 'hex = "4F574E31"\nmask = 1'),
            "match.mask: expected one of the keys",
        ),
        (("bytes = 24", "bytes = 24\nwidth = 3"), "areas[0].width: expected one of the keys"),
        (('"crc16"', '"crc8"'), "areas[0].check: expected one of crc16, crc32"),
        (("offset = 4, bytes = 8", "offset = 4, bytes = 9"), "areas[0].fields: expected tare"),
        (("offset = 15, bytes = 3", "offset = 20, bytes = 3"), "areas[0].fields[3].offset: exp"),
        (('"text", code', '"bcd_date", code'), "areas[0].fields[0].bytes: expected 4 for bcd_date"),
        (('name = "seal"', 'name = "medium"'), "areas[0].fields: expected each name once"),
        (("{ 1 = ", "{ one = "), "areas[0].fields[2].values: expected numbers as keys"),
        (('type = "hex" }', 'type = "hex", scale = 2.0 }'), "areas[0].fields[3]: expected scale"),
        (("[match]", "[[sun]]\nmac = 'c'\npicc_data = 'e'\n[match]"), "sun: expected an [ndef]"),
        (("[match]", "epc = ['grai']\n[match]"), 'epc: expected technologies = ["gen2"]'),
    ],
)
def test_each_fault_is_told(tmp_path: Path, change: tuple[str, str], fault: str) -> None:
    text = good()
    assert change[0] in text
    assert any(one.startswith(fault) for one in faults(tmp_path, text.replace(*change)))


def test_a_layout_of_nothing_is_none(tmp_path: Path) -> None:
    assert faults(tmp_path, HEAD.format(id="own")) == [
        "file: expected one of areas, ndef, epc, found none of them"
    ]


def test_sun_parameters_are_encrypted_or_plain(tmp_path: Path) -> None:
    text = HEAD.format(id="own") + "[ndef]\nbank = 'ndef'\n[[sun]]\nmac = 'c'\nuid = 'u'\n"
    assert faults(tmp_path, text)[0].startswith("sun[0]: expected either picc_data, or uid and")


def test_a_sample_of_another_technology_is_told(tmp_path: Path) -> None:
    text = good() + "[[samples]]\nabout = 'x'\ntechnology = 'gen2'\n"
    assert faults(tmp_path, text) == [
        "samples[0].technology: expected one of ('type5',), found gen2"
    ]


@pytest.mark.parametrize("magic", ["4F574E31", "4F574E3132", "4F57"])
def test_two_layouts_of_the_same_tags_are_refused(tmp_path: Path, magic: str) -> None:
    write(tmp_path, good())
    write(tmp_path, good("own2", magic), "own2")
    layouts, found = load_layouts(tmp_path)
    assert "own" in layouts
    assert "own2" not in layouts
    assert [(one.key, one.expected) for one in found] == [("match", "other tags than those of own")]


def test_a_faulty_file_sets_only_itself_aside(tmp_path: Path) -> None:
    write(tmp_path, "schema = 9", "icode-ndef")
    write(tmp_path, good())
    layouts, found = load_layouts(tmp_path)
    assert "own" in layouts
    assert "icode-ndef" not in layouts
    assert {Path(one.file).name for one in found} == {"icode-ndef.toml"}


def test_fields_are_written_and_read(tmp_path: Path) -> None:
    layout = load_layout(write(tmp_path, good()), shipped=False)
    values: dict[str, str | int | float] = {
        "cylinder_code": "A7",
        "tare_mass_kg": 16.52,
        "medium": "lpg",
        "seal": "AB12CD",
    }
    memory = write_memory(layout, values, {}, 32)
    assert memory[:4] == b"OWN1"
    assert memory[22:24] == crc16(memory[:22]).to_bytes(2, "big")
    found = read_memory(layout, {"user": memory})
    assert (found.fields, found.findings) == (values, ())
    assert found.codes(layout) == [("cylinder", "A7")]


@pytest.mark.parametrize(
    "values",
    [
        {"cylinder_code": "TOO-LONG-A-CODE"},
        {"cylinder_code": "with space"},
        {"cylinder_code": "气瓶"},
        {"tare_mass_kg": 700.0},
        {"tare_mass_kg": -1.0},
        {"medium": "oxygen"},
        {"seal": "xyz"},
        {"seal": "AB"},
    ],
)
def test_values_that_do_not_fit_are_refused(tmp_path: Path, values: dict[str, str]) -> None:
    layout = load_layout(write(tmp_path, good()), shipped=False)
    with pytest.raises(RefuseInput, match="bad_field"):
        write_memory(layout, values, {}, 32)


def test_a_memory_that_is_too_small_is_refused(tmp_path: Path) -> None:
    layout = load_layout(write(tmp_path, good()), shipped=False)
    with pytest.raises(RefuseInput, match="plate needs 24 bytes"):
        write_memory(layout, {"cylinder_code": "A7"}, {}, 20)
