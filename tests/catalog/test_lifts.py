"""Every data file of lifts loads, and its samples hold."""

from pathlib import Path

import pytest

from cloud.model.permissions import load_calls
from protocols.catalog.files import data_root
from protocols.errors import FixConfiguration
from protocols.lifts.base import LiftFile
from protocols.lifts.catalogue import load_catalogue
from protocols.lifts.load import load_calendar
from protocols.lifts.records import FOLDER, load_kinds

FILES = data_root() / FOLDER


def test_every_kind_of_record_loads_and_its_call_exists() -> None:
    kinds = load_kinds()
    assert set(kinds) == {path.stem for path in FILES.glob("*.toml")}
    assert {kind.call for kind in kinds.values()} <= set(load_calls())
    lived = {name for name, kind in kinds.items() if kind.keep == "life"}
    assert {"fault", "rescue", "accident"} <= lived
    assert min(kind.keep_years for kind in kinds.values() if kind.keep == "years") >= 4


def test_calendar_and_its_samples_hold() -> None:
    rules = load_calendar()
    kinds = {one.kind for sample in rules.sample for one in sample.duties}
    assert len(kinds) == 7


def test_catalogue_knows_types_and_refuses_others() -> None:
    catalogue = load_catalogue()
    assert not catalogue.faults(LiftFile(type_code="3110"))
    for code in ("3100", "3999"):
        assert catalogue.faults(LiftFile(type_code=code))[0][0] == "type_code"
    odd = [catalogue.odd_rescue_code(code) for code in ("", "123456", "12345", "12345x")]
    assert odd == [False, False, True, True]


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ('id = "maintenance"', 'id = "care"', "care"),
        ('name = "level"', 'name = "depth"', "required for effect maintain: level"),
        ('call = "lifts.record"', 'call = "lifts.sing"', "one of"),
        ("keep_years = 4", "", "years where it is kept for years"),
        ('faults = ["level", "signers"]', 'faults = ["level"]', "signers"),
        ('type = "truth"', 'type = "word"', "words for type word alone"),
        ('name = "parts"', 'name = "found"', "each name once"),
    ],
)
def test_kind_that_is_wrong_is_refused(tmp_path: Path, before: str, after: str, found: str) -> None:
    text = (FILES / "maintenance.toml").read_text("utf-8")
    assert before in text
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "maintenance.toml").write_text(text.replace(before, after, 1), "utf-8")
    with pytest.raises(FixConfiguration, match=found):
        load_kinds(tmp_path)
