"""Every test that the threat model names exists; every threat names one, or says why not."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`([a-z0-9_/]+\.py)::([a-z0-9_]+|\*)`")
REASONS = ("n/a", "no test", "not done", "not held here", "the linter's rules")


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) > 100
    missing = [f"{file}::{name}" for file, name in named if not _exists(file, name)]
    assert not missing


def test_every_row_names_a_test_or_says_why_not() -> None:
    rows = [line for line in PAGE.partition("## Threats")[2].splitlines() if line.startswith("| ")]
    told = [row for row in rows if not row.startswith(("| --- ", "| Threat ", "| Point "))]
    assert len(told) > 80
    silent = [row for row in told if not NAMED.search(row) and not _reason(row)]
    assert not silent


def _exists(file: str, name: str) -> bool:
    path = ROOT / "tests" / file
    if not path.is_file():
        return False
    return name == "*" or re.search(rf"def {name}\(", path.read_text(encoding="utf-8")) is not None


def _reason(row: str) -> bool:
    return any(reason in row for reason in REASONS)
