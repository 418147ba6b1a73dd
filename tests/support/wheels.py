"""Real wheels of the project, made of the tree in a tenth of a second, good or poisoned.

What the project needs comes from the environment of the tests, by a second wheel that only names
its folder: pip installs both as it would any other.
"""

import base64
import ensurepip
import hashlib
import shutil
import site
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("protocols", "edge", "firmware_config")
LIBRARIES = "suyuan_test_libraries"
_METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}"
_WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_SCRIPTS = "[console_scripts]\nsuyuan-edge = edge.__main__:main\n"

POISONS: dict[str, dict[str, str]] = {
    "": {},
    "dies": {"edge/agent.py": "raise SystemExit(3)\n"},
    "deaf": {"edge/agent.py": "def _deaf(self, payload):\n    pass\n\n\nAgent._acked = _deaf\n"},
    "mute": {
        "edge/uplink/mqtt.py": "import asyncio as _a\n\n\nasync def _mute(self):\n"
        "    await _a.Event().wait()\n\n\nMqttLink.run = _mute\n"
    },
    "no_check": {"edge/check.py": "raise ImportError('lost')\n"},
    "hangs": {"edge/__main__.py": "import time as _t\n\n_t.sleep(3600)\n"},
}
"""What is added to the end of a module of a release that must not stay."""


def make_release(folder: Path, version: str, poison: str = "") -> list[Path]:
    """Make the wheels of a release: ours, its libraries, and pip."""
    folder.mkdir(parents=True, exist_ok=True)
    more = f"Provides-Extra: edge\nRequires-Dist: {LIBRARIES}; extra == 'edge'\n"
    files = _tree(POISONS[poison])
    return [
        _wheel(folder, "suyuan", version, files, more=more, scripts=_SCRIPTS),
        _wheel(folder, LIBRARIES, "1", {f"{LIBRARIES}.pth": site.getsitepackages()[0]}),
        pip_wheel(folder),
    ]


def pip_wheel(folder: Path) -> Path:
    """Copy the wheel of pip that Python carries."""
    for place in (Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels")):
        for found in place.glob("pip-*.whl"):
            return Path(shutil.copy(found, folder / found.name))
    raise RuntimeError("this Python carries no wheel of pip")


def make_environment(slot: Path, wheels: list[Path]) -> None:
    """Install a release as a technician would."""
    pip = next(one for one in wheels if one.name.startswith("pip-"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(slot)], check=True)
    subprocess.run(
        [
            *(str(slot / "bin" / "python"), "-I", str(pip / "pip")),
            *("install", "-q", "--no-index", "--find-links", str(pip.parent), "suyuan[edge]"),
        ],
        check=True,
    )


def _tree(poison: Mapping[str, str]) -> dict[str, str]:
    files = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                name = str(path.relative_to(ROOT))
                files[name] = path.read_text(encoding="utf-8") + poison.get(name, "")
    return files


def _wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, str],
    *,
    more: str = "",
    scripts: str = "",
) -> Path:
    info = f"{name}-{version}.dist-info"
    whole = {
        **files,
        f"{info}/METADATA": _METADATA.format(name=name, version=version, more=more),
        f"{info}/WHEEL": _WHEEL,
    }
    if scripts:
        whole[f"{info}/entry_points.txt"] = scripts
    record = [f"{path},sha256={_digest(text)},{len(text.encode())}" for path, text in whole.items()]
    whole[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,\n"])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in whole.items():
            archive.writestr(inside, text)
    return path


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
