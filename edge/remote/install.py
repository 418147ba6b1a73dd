"""Installs a release into the environment that does not run, and tests it there."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.remote.launch import PROGRAM
from protocols.errors import RefuseInput
from protocols.signed import Release

INSTALL_S = 900.0
TEST_S = 120.0
DISTRIBUTION = "suyuan"


def install(release: Release, wheels: Path, slot: Path) -> None:
    """Make the environment anew, of these wheels and nothing else; blocking.

    pip comes out of its own wheel, so that no environment needs one.

    Raises:
        RefuseInput: `disk`, `no_pip`, `install`.

    """
    pip = next(iter(sorted(wheels.glob("pip-*.whl"))), None)
    if pip is None:
        raise RefuseInput("no_pip", "the release has no wheel of pip")
    if slot.is_symlink():
        slot.unlink()
    shutil.rmtree(slot, ignore_errors=True)
    if slot.exists():
        raise RefuseInput("disk", f"{slot.name} cannot be removed")
    extras = ",".join(release.extras)
    wanted = f"{DISTRIBUTION}[{extras}]=={release.version}"
    _run([sys.executable, "-m", "venv", "--without-pip", str(slot)], "install")
    _run(
        [
            *(str(slot / "bin" / "python"), "-I", str(pip / "pip")),
            *("install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-cache-dir"),
            *("--no-index", "--find-links", str(wheels), wanted),
        ],
        "install",
    )


def self_test(release: Release, slot: Path, site: Path, overlay: Path | None) -> None:
    """Ask the new software for its version, and what it says of the present site; blocking.

    Raises:
        RefuseInput: `self_test`.

    """
    program = str(slot / PROGRAM)
    said = _run([program, "--version"], "self_test", TEST_S).strip()
    if said != release.version:
        raise RefuseInput("self_test", f"expected version {release.version}, found {said[:64]!r}")
    beside = ["--overlay", str(overlay)] if overlay else []
    _run([program, "check", "--site", str(site), *beside], "self_test", TEST_S)


def _run(words: Sequence[str], reason: str, timeout_s: float = INSTALL_S) -> str:
    """Run a program and return its output, without our own environment's variables."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise RefuseInput(reason, f"{Path(words[0]).name} took more than {timeout_s:g} s") from None
    except OSError as error:
        raise RefuseInput(reason, str(error)[:300]) from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()[-6:]
        raise RefuseInput(reason, "\n".join(lines)[:900] or f"exit {done.returncode}")
    return done.stdout
