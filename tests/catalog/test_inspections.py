"""Every form of an inspection loads, and its samples hold."""

from datetime import date
from pathlib import Path

import pytest

from protocols.catalog.files import data_root
from protocols.catalog.inspections import CALENDAR, FOLDER, Calendar, load_forms
from protocols.errors import FixConfiguration

FILES = data_root() / FOLDER


def test_every_form_loads_and_its_samples_hold() -> None:
    forms, _ = load_forms()
    assert set(forms) == {path.stem for path in FILES.glob("*.toml")} - {"calendar"}
    for form in forms.values():
        assert {form.outcome(one.findings) for one in form.samples} == {
            "passed",
            "instructed",
            "stopped",
        }


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ('outcome = "stopped"', 'outcome = "passed"', "stopped"),
        ("recheck_by = 2026-03-16", "recheck_by = 2026-03-17", "2026-03-16"),
        ('code = "leaking"', 'code = "damaged"', "each code once"),
        ('findings = ["no_tag"', 'findings = ["no_tags"', "no_tags"),
        ('severity = "note"', 'severity = "remark"', "one of"),
        ('id = "cylinder"', 'id = "bottle"', "cylinder"),
        ("schema = 1", "schema = 2", "schema"),
        ('of = "cylinder"', 'off = "cylinder"', "unknown key"),
    ],
)
def test_form_that_is_wrong_is_refused(tmp_path: Path, before: str, after: str, found: str) -> None:
    (tmp_path / FOLDER).mkdir()
    text = (FILES / "cylinder.toml").read_text(encoding="utf-8")
    assert before in text
    (tmp_path / FOLDER / "cylinder.toml").write_text(text.replace(before, after, 1), "utf-8")
    with pytest.raises(FixConfiguration, match=found):
        load_forms(tmp_path)


def test_holidays_and_working_weekends_of_a_city_count(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    text = "schema = 1\nholidays = [2026-10-01, 2026-10-02]\nworking_weekends = [2026-10-10]\n"
    (tmp_path / FOLDER / CALENDAR).write_text(text)
    _, calendar = load_forms(tmp_path)
    assert calendar.after(date(2026, 9, 30), 1) == date(2026, 10, 5)
    assert calendar.after(date(2026, 10, 9), 1) == date(2026, 10, 10)
    assert Calendar(schema=1).after(date(2026, 9, 30), 1) == date(2026, 10, 1)
