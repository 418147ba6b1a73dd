"""Scheme files: faults are told, and a faulty file sets only itself aside."""

from pathlib import Path

import pytest

from protocols.catalog.schemes import Matcher, load_scheme, load_schemes
from protocols.errors import FixConfiguration

TEXT = """\
schema = 1
id = "{id}"
title = "Crate"
title_zh = "周转箱"
document = "the market's own"
confidence = "A"
granularity = "instance"

[[forms]]
about = "C and four digits"
pattern = '{pattern}'
{more}
"""


def write(
    folder: Path, *, name: str = "crate", pattern: str = "C[0-9]{4}", more: str = "", id_: str = ""
) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(TEXT.format(id=id_ or name, pattern=pattern, more=more), encoding="utf-8")
    return path


def faults(path: Path, *, shipped: bool = False) -> list[str]:
    with pytest.raises(FixConfiguration) as error:
        load_scheme(path, shipped=shipped)
    return [str(fault).removeprefix(f"{path}: ") for fault in error.value.faults]


def test_overlay_file_needs_no_samples_and_a_shipped_one_does(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert Matcher([load_scheme(path, shipped=False)]).match("C0001") == [("crate", "C0001")]
    first, second = faults(path, shipped=True)
    assert first == "samples: expected at least one of a code of the scheme, found none"
    assert second == "samples: expected at least one of a text that is none, found none"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"id_": "other"}, "id: expected 'crate', as the file is named, found 'other'"),
        ({"name": "Crate-1"}, "id: expected a scheme: a-z, then a-z 0-9 _, 32 at most, found"),
        ({"pattern": "C[0-9"}, "forms[0].pattern: expected a regular expression, found"),
        (
            {"more": 'checks = ["luhn"]'},
            "forms[0].checks: expected one of gs1_mod_10, gs1_key, mod_11_10",
        ),
        ({"more": 'checks = ["date"]'}, "forms[0].pattern: expected a group named date"),
        ({"more": "only_proven = true"}, "forms[0].symbologies: expected at least one"),
        ({"more": "colour = 1"}, "forms[0].colour: expected one of the keys about, checks"),
        (
            {"more": '[[samples]]\ntext = "D1"\ncode = "D1"'},
            "samples[0].code: expected 'D1', found []",
        ),
    ],
)
def test_fault_names_key_expectation_and_what_was_found(
    tmp_path: Path, written: dict[str, str], expected: str
) -> None:
    (found,) = faults(write(tmp_path, **written))
    assert found.startswith(expected)


def test_overlay_adds_replaces_and_its_faulty_file_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "schemes"
    folder.mkdir()
    write(folder)
    write(folder, name="detonator", pattern="never")
    write(folder, name="broken", pattern="(")
    schemes, found = load_schemes(tmp_path)
    assert schemes["crate"].title == schemes["detonator"].title == "Crate"
    assert "broken" not in schemes
    assert [Path(fault.file).name for fault in found] == ["broken.toml"]


def test_a_proven_form_excludes_others_and_another_symbology_rules_a_form_out(
    tmp_path: Path,
) -> None:
    one = load_scheme(write(tmp_path, name="one", pattern="[0-9]{4}"), shipped=False)
    more = 'symbologies = ["E0"]\nwidth = 6'
    two = load_scheme(write(tmp_path, name="two", pattern="[0-9]{4}", more=more), shipped=False)
    matcher = Matcher([one, two])
    assert matcher.match("1234") == [("one", "1234"), ("two", "001234")]
    assert matcher.match("1234", "E0") == [("two", "001234")]
    assert matcher.match("1234", "C0") == [("one", "1234")]
    assert matcher.match("123", "E0") == []
    assert matcher.match("1" * 65) == []
