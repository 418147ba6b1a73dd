"""Files and functions stay small; what is over the target may not grow (a ratchet)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE_LINES_MAX, TEST_FILE_LINES_MAX, FUNCTION_LINES_MAX = 500, 800, 70
PACKAGES = ("protocols", "edge", "cloud", "simulators", "tests")
P90_FILE_LINES_MAX, P90_FUNCTION_LINES_MAX = 330, 35


def _files() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _functions(path: Path) -> list[tuple[str, int]]:
    return [
        (node.name, (node.end_lineno or 0) - node.lineno + 1)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _p90(numbers: list[int]) -> int:
    return sorted(numbers)[int(len(numbers) * 0.9)]


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_sizes_within_hard_limits(path: Path) -> None:
    limit = TEST_FILE_LINES_MAX if "tests" in path.parts else FILE_LINES_MAX
    assert _lines(path) <= limit
    long = [(name, lines) for name, lines in _functions(path) if lines > FUNCTION_LINES_MAX]
    assert not long, f"longer than {FUNCTION_LINES_MAX} lines: {long}"


def test_sizes_of_nine_in_ten_do_not_grow() -> None:
    code = [path for path in _files() if "tests" not in path.parts]
    assert _p90([_lines(path) for path in code]) <= P90_FILE_LINES_MAX
    lengths = [lines for path in code for _, lines in _functions(path)]
    assert _p90(lengths) <= P90_FUNCTION_LINES_MAX
