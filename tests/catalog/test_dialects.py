"""Every file of dialects: its samples, and what the tables of the sources say."""

from pathlib import Path

import pytest

from protocols.catalog.files import data_files
from protocols.catalog.points import load_codes
from protocols.errors import FixConfiguration
from protocols.lifts.dialect import emergencies, load_dialect, load_dialects, nameless

FILES = [path for path, _ in data_files("dialects")]
SHIPPED = {
    "gbt24476",
    "special-equipment",
    "chongqing",
    "controller-vendor-cloud",
    "retrofit-sensor-box",
    "maintenance-platform",
    "four-digit",
}


def test_every_table_of_the_sources_is_there() -> None:
    assert {one.id for one in load_dialects().values()} == SHIPPED


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_comes_out_as_its_samples_say(path: Path) -> None:
    dialect = load_dialect(path, shipped=True)
    for raw, code in dialect.codes.items():
        told: str | int
        for told in (raw, int(raw)):
            found = dialect.decode({}, [told])
            assert found.codes == ((code,) if code else ())
            assert found.raw_codes == ((raw,) if code else ())
            assert found.unknown_codes == ()
    for raw in ("zz", "", "-1", " " * 9, "999999999999", "0x08"):
        found = dialect.decode({}, [raw, "90"])
        assert "unknown_code" in (found.codes or ())
        assert raw.strip() in found.unknown_codes


def test_one_number_means_many_things() -> None:
    found = {one.id: one.decode({}, ["8"]).codes for one in load_dialects().values()}
    assert found["gbt24476"] == ("08",)
    assert found["controller-vendor-cloud"] == ("door_open_running",)
    assert found["retrofit-sensor-box"] == ("entrapment_off_level",)
    assert found["four-digit"] == ("unknown_code",)


def test_booleans_of_one_form_are_unknown_in_the_other() -> None:
    for one in load_dialects().values():
        item = next(item for item in one.status if item.field == "door_status")
        told, other = (1, True) if item.values else (True, 1)
        assert one.decode({"door_status": told}).values == {"door_status": True}
        assert one.decode({"door_status": other}).quality == {"door_status": "unknown_value"}


def test_emergencies_are_the_alarms() -> None:
    assert emergencies() == {
        "90",
        "entrapment",
        "entrapment_at_level",
        "entrapment_off_level",
    }
    assert "unknown_code" in load_codes("elevator")


def test_unknown_fields_are_named_and_lose_nothing() -> None:
    dialect = load_dialects()["gbt24476", "2017"]
    found = dialect.decode({"weather": "fine", "car_status": 1}, ["90"])
    assert found.values == {"car_status": "running"}
    assert found.unknown_fields == ("weather",)
    assert found.codes == ("90",)


def test_dialect_that_is_gone_keeps_every_code_raw() -> None:
    found = nameless("gone", "1").decode({"car_status": 1}, ["0101", 90])
    assert found.codes == ("unknown_code",)
    assert found.raw_codes == found.unknown_codes == ("0101", "90")


SMALL = """
schema = 1
id = "{id}"
version = "{version}"
title = "t"
title_zh = "t"
source = "s"
confidence = "U"
width = 2
[codes]
"{raw}" = "{code}"
"""


def _write(folder: Path, name: str, **fields: str) -> None:
    (folder / "dialects").mkdir(exist_ok=True)
    known = {"id": "chongqing", "version": "2", "raw": "93", "code": "entrapment"}
    (folder / "dialects" / f"{name}.toml").write_text(SMALL.format(**(known | fields)))


def test_two_versions_live_side_by_side(tmp_path: Path) -> None:
    _write(tmp_path, "chongqing-2")
    found = load_dialects(tmp_path)
    assert found["chongqing", "1"].decode({}, [93]).codes == ("entrapment_at_level",)
    assert found["chongqing", "2"].decode({}, [93]).codes == ("entrapment",)


@pytest.mark.parametrize(
    ("name", "fields", "key"),
    [
        ("other", {}, "id"),
        ("chongqing-2", {"code": "no_such"}, "codes.93"),
        ("chongqing-2", {"raw": "9"}, "codes.9"),
        ("chongqing-1", {"version": "1"}, "version"),
    ],
)
def test_faulty_file_is_refused_by_name(
    tmp_path: Path, name: str, fields: dict[str, str], key: str
) -> None:
    _write(tmp_path, name, **fields)
    with pytest.raises(FixConfiguration) as caught:
        load_dialects(tmp_path)
    assert [fault.key for fault in caught.value.faults] == [key]
