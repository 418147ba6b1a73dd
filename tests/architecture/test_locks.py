"""What is installed is named by version and hash, everywhere, and nothing comes from elsewhere."""

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("requirements*.lock"))
PIN = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)(\[[a-z0-9,-]+\])?==(?P<version>[^\s;\\]+)")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def _requirements(lock: Path) -> list[str]:
    lines = lock.read_text().replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def test_there_are_locks() -> None:
    assert {"requirements.lock", "requirements-dev.lock"} <= {lock.name for lock in LOCKS}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_of_a_lock_is_pinned_and_hashed(lock: Path) -> None:
    for line in _requirements(lock):
        assert PIN.match(line), line
        assert HASH.search(line), line
        assert " @ " not in line, f"not from a registry: {line}"
        assert "://" not in line, f"not from a registry: {line}"


def test_every_package_that_is_asked_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *(one for name in extras for one in extras[name])]
    locked = {PIN.match(line)["name"] for lock in LOCKS for line in _requirements(lock)}  # type: ignore[index]
    names = {re.split(r"[\[<>=;! ]", one)[0].lower() for one in asked}
    assert {name.replace("_", "-") for name in names} <= locked


def test_every_package_of_the_pages_is_pinned_and_hashed() -> None:
    asked = json.loads((ROOT / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in asked.values())
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    inside = {name: one for name, one in locked.items() if name}
    assert {f"node_modules/{name}" for name in asked} <= set(inside)
    for name, one in inside.items():
        assert one["integrity"].startswith("sha512-"), name
