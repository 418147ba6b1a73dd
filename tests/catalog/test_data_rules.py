"""Every kind of data has a rule, and every rule speaks of what there is."""

from pathlib import Path

import pytest

from cloud.model.data_rule import DataRule, DataRules
from cloud.model.load_data_rules import METADATA, load_data_rules
from cloud.model.personal import load_personal
from protocols.catalog.files import data_root
from protocols.errors import FixConfiguration
from tests.support.retention import shipped_rules

RULES = shipped_rules()
SCAN = data_root() / "data_rules" / "scan.toml"


def test_every_table_of_every_database_has_one_rule() -> None:
    ruled = [(kept.database, kept.name) for rule in RULES.rules for kept in rule.table]
    assert len(ruled) == len(set(ruled))
    there = {(name, table) for name, metadata in METADATA.items() for table in metadata.tables}
    assert set(ruled) == there | {("telemetry", "readings")}


def test_what_is_noted_when_it_is_shown_is_personal_here_too() -> None:
    rules = {rule.id: rule for rule in RULES.rules}
    for kind, fields in load_personal().items():
        columns = {column for kept in rules[kind].table for column in kept.personal}
        assert {field.partition(".")[0] for field in fields} <= columns, kind


@pytest.mark.parametrize("rule", RULES.rules, ids=lambda rule: rule.id)
def test_no_term_is_shorter_than_a_source_asks(rule: DataRule) -> None:
    assert RULES.too_short(rule) is None
    assert rule.stays or rule.source, "says neither why it stays nor where its term comes from"


def load(folder: Path, text: str) -> DataRules:
    """Read the rules with `scan.toml` as `text` says."""
    (folder / "data_rules").mkdir()
    (folder / "data_rules" / "scan.toml").write_text(text)
    return load_data_rules(RULES.settings, folder)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('since = "received_at"', 'since = "recieved_at"', "a column of scan, found recieved_at"),
        ('columns = ["operator"]', 'columns = ["rssi_dbm"]', "text of 26 characters and more"),
        ('personal = ["operator"]', 'personal = ["person"]', "a column of scan, found person"),
        ('setting = "scans.', 'setting = "scan.', "found scan.retention_days"),
        ('name = "scan"', 'name = "scans"', "found none of that name"),
        ('calls = ["scans.read"]', 'calls = ["scans.see"]', "calls of calls.toml"),
        ('id = "scan"', 'id = "scans"', "id: expected scan, found scans"),
        ("days = 731", "years = 2", "an unknown key"),
        ("days = 731", "days = 0", "a term: days or setting"),
        ('do = "pseudonymise"', 'do = "delete"', "columns where it does not delete"),
        ('name = "scan"', 'name = "feed"', "only feed, found scan"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    text = SCAN.read_text()
    assert old in text
    with pytest.raises(FixConfiguration) as caught:
        load(tmp_path, text.replace(old, new, 1))
    assert expected in str(caught.value)


def test_a_personal_column_that_never_ends_is_refused(tmp_path: Path) -> None:
    text = SCAN.read_text().replace('do = "delete"', 'do = "empty"\ncolumns = ["verdict"]')
    text = text.replace('columns = ["operator"]', 'columns = ["step"]')
    with pytest.raises(FixConfiguration, match="a step that ends operator, found none"):
        load(tmp_path, text)


OPEN = """
[[open]]
id = "scans"
title = "Scans"
title_zh = "扫码"
table = "scan"
licence = "CC BY 4.0"
licence_url = "https://creativecommons.org/licenses/by/4.0/"

[[open.cell]]
name = "what"
column = "COLUMN"
coarse = "itself"
title = "What"
title_zh = "内容"
"""


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("operator", "no column that tells of a person"),
        ("gateway", "no column that names a single thing"),
        ("codes", "no column that names a single thing"),
        ("id", "no column that names a single thing"),
        ("received_at", "a moment only as its day"),
    ],
)
def test_what_tells_of_one_person_or_thing_cannot_be_made_open(
    tmp_path: Path, column: str, expected: str
) -> None:
    with pytest.raises(FixConfiguration, match=expected):
        load(tmp_path, SCAN.read_text() + OPEN.replace("COLUMN", column))


def test_a_site_may_set_its_own_terms(tmp_path: Path) -> None:
    rules = load(tmp_path, SCAN.read_text().replace("days = 731", "days = 60"))
    scan = next(rule for rule in rules.rules if rule.id == "scan")
    assert [rules.days(step) for step in scan.step] == [800, 60]


def test_a_term_shorter_than_a_source_asks_is_told(tmp_path: Path) -> None:
    settings = dict(RULES.settings) | {"scans.retention_days": 400.0}
    rules = load_data_rules(settings)
    scan = next(rule for rule in rules.rules if rule.id == "scan")
    assert rules.too_short(scan) == 731
