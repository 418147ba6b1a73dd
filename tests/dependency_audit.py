"""Asks whether anything locked is known to be vulnerable: `python -m tests.dependency_audit`.

Exits 1 when something is. Where nobody can be asked it says so and exits 0: the locks still name
every package by version and hash (tests/architecture/test_locks.py), they are just not judged.
Whether somebody can be asked is tried with a package that is known to be vulnerable: an answer
that finds nothing wrong with it is none.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KNOWN_BAD = "jinja2==2.4.1"
PIP_AUDIT = [sys.executable, "-m", "pip_audit", "--disable-pip", "--format", "json"]
TIMEOUT_S = 300


def main() -> int:
    """Audit what Python and the pages load; return the exit code."""
    return max(_python(), _pages())


def _python() -> int:
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder) / "canary.txt"
        canary.write_text(f"{KNOWN_BAD}\n")
        if not _vulnerable(["--no-deps", "-r", str(canary)]):
            print("Python packages: no vulnerability data reachable, nothing was judged")
            return 0
    found = [
        f"{lock.name}: {line}"
        for lock in sorted(ROOT.glob("requirements*.lock"))
        for line in _vulnerable(["--require-hashes", "-r", str(lock)])
    ]
    print("\n".join(found) or "Python packages: nothing known")
    return 1 if found else 0


def _vulnerable(arguments: Sequence[str]) -> list[str]:
    """Return a line for each known vulnerability, none when nobody can be asked."""
    done = subprocess.run(
        [*PIP_AUDIT, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    said: dict[str, Any] = _json(done.stdout)
    return [
        f"{one['name']} {one['version']}: {bad['id']}, fixed in {bad['fix_versions'] or 'none'}"
        for one in said.get("dependencies", [])
        for bad in one.get("vulns", [])
    ]


def _pages() -> int:
    npm = shutil.which("npm")
    if npm is None:
        print("packages of the pages: npm is not installed, nothing was judged")
        return 0
    done = subprocess.run(
        [npm, "audit", "--package-lock-only", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    said = _json(done.stdout)
    if "vulnerabilities" not in said:
        print("packages of the pages: no vulnerability data reachable, nothing was judged")
        return 0
    found = [f"{name}: {bad['severity']}" for name, bad in said["vulnerabilities"].items()]
    print("\n".join(found) or "packages of the pages: nothing known")
    return 1 if found else 0


def _json(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


if __name__ == "__main__":
    sys.exit(main())
