"""What the README and the docs tell people to type exists and is spelled right."""

import importlib
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [README, *(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))]
MODULES = {
    "suyuan-edge": "edge.__main__",
    "suyuan-cloud": "cloud.__main__",
    "suyuan-scan": "edge.scan",
    "suyuan-sim": "simulators.__main__",
}


def _shell_lines() -> list[str]:
    blocks = [block for page in PAGES for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)]
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip()]


def _commands() -> list[tuple[str, ...]]:
    """Every call of one of our programs, in code blocks and in running text."""
    found = []
    calls = [line for line in _shell_lines() if "suyuan-" in line and "curl" not in line]
    for line in calls + re.findall(r"`(suyuan-[^`]+)`", README):
        words = shlex.split(line, comments=True)
        for index, word in enumerate(words):
            if Path(word).name in MODULES:
                found.append((Path(word).name, *words[index + 1 :]))
                break
    return [command for command in found if len(command) > 1]


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_program_knows_command_and_options(command: tuple[str, ...]) -> None:
    program, *words = command
    app = importlib.import_module(MODULES[program]).app
    found: Any = typer.main.get_command(app)
    while words and hasattr(found, "list_commands"):
        assert words[0] in found.list_commands(None), f"{program} has no {words[0]}"
        found = found.get_command(None, words.pop(0))
    known = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("line", [one for one in _shell_lines() if one.startswith("make ")])
def test_make_target_exists(line: str) -> None:
    answer = subprocess.run(
        ["make", "--dry-run", *shlex.split(line, comments=True)[1:]],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert answer.returncode == 0, answer.stderr


def test_every_named_file_exists() -> None:
    named = set(re.findall(r"(?:firmware_config|simulators|edge|cloud|tests)/[\w/.-]+", README))
    missing = {name for name in named if not (ROOT / name).exists()}
    assert not missing


def test_changelog_tells_the_version() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
