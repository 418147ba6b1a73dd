"""Every shipped rule file of cylinders: its samples, what they prove, and what it must say."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from protocols.catalog.files import data_files, data_root
from protocols.cylinders.book import Kind, LifeRow, Row, RuleBook, Words, book_bytes, read_book
from protocols.cylinders.load import load_rules
from protocols.cylinders.samples import sample_faults
from protocols.cylinders.verdict import MAY_BE_OVERRIDDEN, REASONS

BOOK = load_rules(data_root() / "cylinders")
KINDS = [pytest.param(kind, id=kind.id) for kind in BOOK.kinds]


def tables_of(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(path.read_text("utf-8")).get("samples", [])
    return found


def with_kind(kind: Kind) -> RuleBook:
    return replace(BOOK, kinds=tuple(kind if one.id == kind.id else one for one in BOOK.kinds))


def changed(kind: Kind) -> Iterator[tuple[str, Kind]]:
    """The kind with one row's years changed, for each row."""
    for name in ("intervals", "lives"):
        rows = getattr(kind, name)
        for index, row in enumerate(rows):
            other = replace(row, years=1 if row.years is None else row.years + 1)
            new = (*rows[:index], other, *rows[index + 1 :])
            yield f"{name}[{index}]", replace(kind, **{name: new})


@pytest.mark.parametrize("kind", KINDS)
def test_each_row_of_a_kind_is_proven_by_a_sample(kind: Kind) -> None:
    path = data_root() / "cylinders" / f"{kind.id}.toml"
    for key, other in changed(kind):
        assert sample_faults(tables_of(path), other, with_kind(other), kind.id), key


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_samples_of_a_filling_and_of_a_refusal(kind: Kind) -> None:
    tables = tables_of(data_root() / "cylinders" / f"{kind.id}.toml")
    assert {bool(table.get("reasons")) for table in tables} == {True, False}


def test_each_reason_is_shown_by_a_sample() -> None:
    tables = [table for path, _ in data_files("cylinders") for table in tables_of(path)]
    assert {word for table in tables for word in table.get("reasons", [])} == REASONS


def test_the_book_comes_back_from_its_bytes() -> None:
    raw = book_bytes(BOOK)
    again = read_book(raw)
    assert again == BOOK
    assert again.version == BOOK.version
    assert book_bytes(again) == raw


def test_what_a_worker_reads_is_short_and_in_both_languages() -> None:
    words: list[Words] = [*BOOK.reasons, *BOOK.findings, *BOOK.checks]
    for one in words:
        for text in (one.title, one.do):
            assert text.isascii()
            assert len(text) <= 80
        for text in (one.title_zh, one.do_zh):
            assert any("\u4e00" <= letter <= "\u9fff" for letter in text)
            assert len(text) <= 40


def test_only_knowledge_of_the_station_or_its_records_is_overridden() -> None:
    for reason in BOOK.reasons:
        if reason.override_by:
            assert reason.id in MAY_BE_OVERRIDDEN
            assert reason.decision == "cannot_decide"


def test_roles_that_override_are_roles() -> None:
    roles = tomllib.loads((data_root() / "access" / "roles.toml").read_text("utf-8"))["role"]
    named = {role for reason in BOOK.reasons for role in reason.override_by}
    assert named <= {role["id"] for role in roles}


def told(row: Row) -> str:
    """One row as the page has it: `12 corrosive (C)`."""
    years = "none" if row.years is None else str(row.years)
    asked = [*row.traits, *row.gases, *(["taxi"] if row.taxi else []), *row.standards]
    more = f" +{row.extension_years}" if isinstance(row, LifeRow) and row.extension_years else ""
    return f"{' '.join([years + more, *asked])} ({row.confidence})"


def test_the_page_tells_every_kind_as_its_file_does() -> None:
    page = (data_root().parent / "docs" / "cylinders.md").read_text("utf-8")
    for kind in BOOK.kinds:
        intervals, lives = ", ".join(map(told, kind.intervals)), ", ".join(map(told, kind.lives))
        line = f"| `{kind.id}` | {intervals} | {lives} | {kind.inspected_by} |"
        assert line in page, line


def test_the_page_tells_every_reason_and_finding() -> None:
    page = (data_root().parent / "docs" / "cylinders.md").read_text("utf-8")
    for reason in BOOK.reasons:
        who = ", ".join(reason.override_by) or "nobody"
        line = f"| `{reason.id}` | {reason.decision} | {who} |"
        assert line in page, line
    for finding in BOOK.findings:
        assert f"`{finding.id}`" in page
