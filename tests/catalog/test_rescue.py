"""Policies, levels and causes of rescues: the shipped files, and a site's own."""

import re
from pathlib import Path

import pytest

from cloud.model.rescue_policy import FOLDER, load_rescue
from protocols.catalog.files import data_root
from protocols.errors import FixConfiguration

RULES = load_rescue()
ROOT = data_root() / FOLDER


def test_every_cause_has_a_class_and_words_in_both_languages() -> None:
    for cause in RULES.causes.cause:
        assert RULES.causes.class_of(cause.id) in {one.id for one in RULES.causes.class_}
        assert re.search(r"[\u4e00-\u9fff]", cause.title_zh)
        assert not re.search(r"[\u4e00-\u9fff]", cause.title)
    assert RULES.causes.class_of("door_system") == "door_system"
    assert RULES.causes.class_of("lightning") == RULES.causes.class_of(None) == ""


def test_every_policy_is_proven_by_a_sample() -> None:
    proven = re.findall(r'^policy = "(\w+)"$', (ROOT / "policy.toml").read_text(), re.MULTILINE)
    assert set(proven) == {one.id for one in RULES.policies.policy}


@pytest.mark.parametrize(
    ("name", "before", "after", "told"),
    [
        ("policy", "warn_s = 900  ", "warn_s = 9000  ", "warn_s, next_level_s, breach_s in this"),
        ("policy", 'id = "city"', 'id = "drill"', "each id once"),
        ("policy", 'id = "city"', 'id = "city"\ndrill = false', "the last one without conditions"),
        ("policy", '["supervision", "owner"]', '["nobody"]', "tell.breach: expected one of"),
        ("policy", "breach@1800", "breach@1801", "sample"),
        ("policy", "opens = true", "opens = false", "sample"),
        ("policy", "accept_s = 120 ", "accepts_s = 120 ", "an unknown key"),
        ("policy", "code_digits = [6]", "code_digits = []", "length"),
        ("levels", "level = 2", "level = 3", "1, 2 and 3 once"),
        ("levels", 'told = ["firm-a"', 'told = ["firm-b"', "sample"),
        ("levels", 'unit = "fire-119"', 'unit = "119 "', "unit"),
        ("causes", 'class = "human"', 'class = "humans"', "a class of this file"),
        ("causes", 'id = "door"', 'id = "misuse"', "each id once"),
        ("causes", '"external", "door_system"', '"human", "door_system"', "sample"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    tmp_path: Path, name: str, before: str, after: str, told: str
) -> None:
    (tmp_path / FOLDER).mkdir()
    text = (ROOT / f"{name}.toml").read_text()
    assert before in text
    (tmp_path / FOLDER / f"{name}.toml").write_text(text.replace(before, after, 1))
    with pytest.raises(FixConfiguration, match=told):
        load_rescue(tmp_path)


def test_a_sites_own_file_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    text = (ROOT / "policy.toml").read_text().replace("code_digits = [6]", "code_digits = [5, 6]")
    (tmp_path / FOLDER / "policy.toml").write_text(text)
    assert load_rescue(tmp_path).policies.code_digits == (5, 6)
