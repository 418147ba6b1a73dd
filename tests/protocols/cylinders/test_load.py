"""Rule files: every fault is told, and a city's own take the place of the shipped ones."""

import re
import shutil
from datetime import date
from pathlib import Path

import pytest

from protocols.catalog.files import data_root
from protocols.cylinders.base import MarkedDate
from protocols.cylinders.book import RuleBook, book_bytes, read_book
from protocols.cylinders.due import due_on, life_ends_on
from protocols.cylinders.load import load_rules
from protocols.errors import FixConfiguration, RefuseInput
from tests.protocols.cylinders.good import BOOK, cylinder, mark

SHIPPED = data_root() / "cylinders"
HEAD = 'schema = 1\nid = "keg"\ntitle = "Keg"\ntitle_zh = "桶"\nforms = ["compressed"]\n'
ROW = 'confidence = "D"\nsource = "own"\n'
KEG = f"{HEAD}[[intervals]]\nyears = 3\n{ROW}[[lives]]\nyears = 20\n{ROW}"
GOOD = """
[[samples]]
about = "good"
on = 2026-03-31
cylinder = { gas = "oxygen", manufactured_on = "2024-03" }
due_on = 2027-03-31
"""


def changed(tmp_path: Path, name: str, old: str, new: str) -> Path:
    """An overlay with one shipped file in which one text is another."""
    text = (SHIPPED / name).read_text("utf-8")
    assert old in text
    return overlay(tmp_path, name, text.replace(old, new))


def overlay(tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / "cylinders").mkdir(exist_ok=True)
    (tmp_path / "cylinders" / name).write_text(text, "utf-8")
    return tmp_path


def faults(folder: Path) -> list[str]:
    with pytest.raises(FixConfiguration) as error:
        load_rules(SHIPPED, folder)
    return [f"{Path(one.file).name}: {one.key}: {one.found}" for one in error.value.faults]


def test_the_same_files_give_the_same_version_and_other_ones_another(tmp_path: Path) -> None:
    assert load_rules(SHIPPED).version == BOOK.version
    assert re.fullmatch("[0-9a-f]{16}", BOOK.version)
    other = load_rules(SHIPPED, changed(tmp_path, "filling.toml", "grace_h = 48", "grace_h = 24"))
    assert other.version != BOOK.version


def test_a_citys_own_interval_counts_from_its_day(tmp_path: Path) -> None:
    city = "[[intervals]]\nyears = 2\nfrom = 2026-07-01\nuntil = 2026-12-31\n" + ROW
    text = (SHIPPED / "lpg_household.toml").read_text("utf-8")
    text = text[: text.index("[[samples]]")].replace("[[intervals]]", city + "\n[[intervals]]", 1)
    book = load_rules(SHIPPED, overlay(tmp_path, "lpg_household.toml", text))
    one = cylinder(manufactured_on=mark("2025-03"))
    assert due_on(one, book, date(2026, 6, 30)) == date(2029, 3, 31)
    assert due_on(one, book, date(2026, 7, 1)) == date(2027, 3, 31)
    assert due_on(one, book, date(2026, 12, 31)) == date(2027, 3, 31)
    assert due_on(one, book, date(2027, 1, 1)) == date(2029, 3, 31)


def test_a_month_may_end_at_its_start(tmp_path: Path) -> None:
    folder = changed(tmp_path, "filling.toml", '"end_of_month"', '"start_of_month"')
    book = load_rules(SHIPPED, folder)
    one = cylinder(manufactured_on=mark("2025-03"))
    assert due_on(one, book, date(2026, 1, 1)) == date(2029, 3, 1)
    assert life_ends_on(one, book, date(2026, 1, 1)) == date(2033, 3, 1)
    exact = cylinder(manufactured_on=mark("2025-03-31"))
    assert due_on(exact, book, date(2026, 1, 1)) == date(2029, 3, 31)


def test_a_citys_own_kind(tmp_path: Path) -> None:
    book = load_rules(SHIPPED, overlay(tmp_path, "keg.toml", KEG + GOOD))
    assert due_on(cylinder(kind="keg", gas="air"), book, date(2026, 1, 1)) == date(2027, 3, 31)


@pytest.mark.parametrize(
    ("made", "years"),
    [
        ("2019-12", 20),
        ("2019-12-31", 20),
        ("2020-01", 10),
        ("2020-01-01", 10),
        ("2021-06", 10),
        ("2021-06-30", 10),
        ("2021-07", 20),
        ("2021-07-01", 20),
    ],
)
def test_a_life_by_the_day_of_manufacture(tmp_path: Path, made: str, years: int) -> None:
    dated = "[[lives]]\nyears = 10\nmade_from = 2020-01-01\nmade_until = 2021-06-30\n" + ROW
    text = KEG.replace("[[lives]]", f"{dated}[[lives]]", 1)
    book = load_rules(SHIPPED, overlay(tmp_path, "keg.toml", text))
    one = cylinder(kind="keg", gas="air", manufactured_on=mark(made))
    ends_on = life_ends_on(one, book, date(2026, 1, 1))
    assert ends_on is not None
    assert ends_on.year == int(made[:4]) + years
    untold = cylinder(kind="keg", gas="air", manufactured_on=None, inspected_on=mark("2025-01"))
    assert life_ends_on(untold, book, date(2026, 1, 1)) is None


def test_a_citys_samples_must_come_out(tmp_path: Path) -> None:
    wrong = GOOD.replace("2027", "2028")
    assert faults(overlay(tmp_path, "keg.toml", KEG + wrong)) == [
        "keg.toml: samples[0].due_on: 2027-03-31"
    ]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('id = "keg"', 'id = "cask"', "id: 'cask'"),
        ('["compressed"]', '["compressed"]\ngases = ["beer"]', "gases: beer"),
        ("years = 3", 'years = 3\ngases = ["beer"]', "intervals[0].gases: beer"),
        ("years = 3", "years = 0", "intervals[0].years: 0"),
        ("years = 3", "years = 3\ndays = 1", "intervals[0].days: an unknown key"),
        (
            "years = 3",
            "years = 3\nfrom = 2026-02-01\nuntil = 2026-01-31",
            "intervals[0].until: 2026-01-31",
        ),
        ("years = 20", "years = 20\nmade_from = 2007-02-02", "lives[0].made_from: 2007-02-02"),
        ("years = 20", "years = 20\nmade_until = 2007-01-30", "lives[0].made_until: 2007-01-30"),
        ("years = 20", 'years = 20\nstandards = ["A"]', "lives: none"),
        ("years = 3", 'years = 3\ntraits = ["inert"]', "intervals: none"),
        (ROW, "", "intervals[0].confidence: nothing: the key is missing"),
        ("schema = 1", "schema = 2", "schema: 2"),
        ("on = 2026-03-31", 'on = "soon"', "samples[0].on: 'soon'"),
        ('"2024-03"', '"2024-13"', "samples[0].cylinder.manufactured_on: '2024-13'"),
        ('"oxygen"', '"oxygen"\n', "file: "),
    ],
)
def test_faults_of_a_kind(tmp_path: Path, old: str, new: str, found: str) -> None:
    assert old in KEG + GOOD
    told = faults(overlay(tmp_path, "keg.toml", (KEG + GOOD).replace(old, new)))
    assert any(one.startswith(f"keg.toml: {found}") for one in told), told


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        (
            "reasons.toml",
            'id = "lost"',
            'id = "mislaid"',
            ["reasons: mislaid", "reasons: nothing of it"],
        ),
        (
            "reasons.toml",
            'id = "lost"',
            'id = "blocked"',
            ["reasons: blocked", "reasons: nothing of it"],
        ),
        (
            "reasons.toml",
            'id = "code_unknown"\n',
            'id = "code_unknown"\noverride_by = ["enterprise_manager"]\n',
            ["reasons.code_unknown.override_by: enterprise_manager"],
        ),
        (
            "reasons.toml",
            'id = "snapshot_ageing"\ndecision = "cannot_decide"',
            'id = "snapshot_ageing"\ndecision = "do_not_fill"',
            ["reasons.snapshot_ageing.override_by: enterprise_manager"],
        ),
        (
            "gases.toml",
            'takes = ["nitrogen_high_purity"]',
            'takes = ["laughing_gas"]',
            ["nitrogen.takes: laughing_gas"],
        ),
        ("gases.toml", 'id = "oxygen_medical"', 'id = "oxygen"', ["gases: oxygen"]),
        ("checks.toml", 'id = "colour"', 'kinds = ["jar"]\nid = "colour"', ["colour.kinds: jar"]),
    ],
)
def test_faults_between_files(
    tmp_path: Path, name: str, old: str, new: str, found: list[str]
) -> None:
    told = faults(changed(tmp_path, name, old, new))
    assert {f"{name}: {one}" for one in found} <= set(told)


def test_a_missing_file_and_one_that_is_no_toml(tmp_path: Path) -> None:
    folder = tmp_path / "cylinders"
    shutil.copytree(SHIPPED, folder)
    (folder / "gases.toml").unlink()
    (folder / "checks.toml").write_text("schema = \n")
    with pytest.raises(FixConfiguration) as error:
        load_rules(folder)
    assert [(Path(one.file).name, one.key) for one in error.value.faults] == [
        ("checks.toml", "file"),
        ("cylinders", "gases.toml"),
    ]


def test_a_book_of_an_earlier_edition_keeps_its_bytes() -> None:
    """A key that came later has a default, so that it is not written."""
    raw = book_bytes(BOOK)
    assert b"only_unpurged" in raw
    assert b'"only_unpurged":false' not in raw
    assert b"null" not in raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        book_bytes(BOOK)[:-1],
        book_bytes(BOOK) + b" ",
        book_bytes(BOOK).replace(b'"schema":1', b'"schema":2'),
        book_bytes(BOOK).replace(b'"years":3', b'"years":0'),
        book_bytes(BOOK).replace(b'"years":3', b'"years":3,"months":1'),
        b" " * 4_000_001,
    ],
)
def test_what_is_no_book_is_refused(raw: bytes) -> None:
    with pytest.raises(RefuseInput, match="bad_rule_book"):
        read_book(raw)


def test_books_are_told_apart_by_what_they_say() -> None:
    other: RuleBook = read_book(book_bytes(BOOK).replace(b'"grace_h":48', b'"grace_h":49'))
    assert other.version != BOOK.version


@pytest.mark.parametrize("text", ["2026-03", "2026-03-15", "2024-02-29", "1900-01", "2200-12-31"])
def test_marked_dates(text: str) -> None:
    assert str(MarkedDate.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "2026", "2026-3", "2026-13", "2026-00", "2026-03-00", "2026-02-29", "1899-12", "2201-01",
     "2026-03-15 ", "２０２６-03", "2026-03-15T00"],
)  # fmt: skip
def test_what_is_no_marked_date(text: str) -> None:
    with pytest.raises(RefuseInput, match="bad_date"):
        MarkedDate.parse(text)
