"""What the README tells a newcomer to type exists and is spelled right."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = {"suyuan-edge": "edge", "suyuan-cloud": "cloud", "suyuan-sim": "simulators"}


def _shell_lines() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip()]


def _commands() -> list[tuple[str, ...]]:
    """Every call of one of our programs, in code blocks and in running text."""
    found = []
    calls = [line for line in _shell_lines() if "suyuan-" in line and "curl" not in line]
    for line in calls + re.findall(r"`(suyuan-[^`]+)`", README):
        words = shlex.split(line)
        for index, word in enumerate(words):
            if Path(word).name in MODULES:
                found.append((Path(word).name, *words[index + 1 :]))
                break
    return [command for command in found if len(command) > 1]


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_program_knows_command_and_options(command: tuple[str, ...]) -> None:
    program, verb, *rest = command
    answer = subprocess.run(
        [sys.executable, "-m", MODULES[program], verb, "--help"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"COLUMNS": "200", "TERM": "dumb", "PATH": "/usr/bin:/bin"},
    )
    assert answer.returncode == 0, answer.stderr
    for option in [word for word in rest if word.startswith("--")]:
        assert option in answer.stdout


@pytest.mark.parametrize("line", [one for one in _shell_lines() if one.startswith("make ")])
def test_make_target_exists(line: str) -> None:
    answer = subprocess.run(
        ["make", "--dry-run", *shlex.split(line)[1:]],
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
