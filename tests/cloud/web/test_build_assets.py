import json
from pathlib import Path

import pytest

import build_assets

ROOT = Path(build_assets.__file__).parent


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """A project folder, and a list of the installs that were asked for."""
    for name in ("package.json", build_assets.LOCK):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    asked: list[str] = []

    def install(_root: Path, scratch: Path) -> Path:
        asked.append("npm ci")
        for source in build_assets.FILES.values():
            file = scratch / "node_modules" / source
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
        return scratch / "node_modules"

    monkeypatch.setattr(build_assets, "_install", install)
    return tmp_path, asked


def test_build_fetches_once_and_again_when_something_changed(
    clone: tuple[Path, list[str]],
) -> None:
    root, asked = clone
    assert build_assets.build(root)
    assert not build_assets.build(root)
    vendor = root / build_assets.VENDOR
    assert {path.name for path in vendor.iterdir()} == {*build_assets.FILES, build_assets.STAMP}
    (vendor / "htmx.min.js").unlink()
    assert build_assets.build(root)
    lock = root / build_assets.LOCK
    lock.write_text(lock.read_text() + "\n")
    assert build_assets.build(root)
    assert len(asked) == 3


def test_lock_names_exact_versions_with_checksums_and_no_place() -> None:
    lock = json.loads((ROOT / build_assets.LOCK).read_text())
    wanted = json.loads((ROOT / "package.json").read_text())["dependencies"]
    packages = {
        name.rpartition("node_modules/")[2]: one for name, one in lock["packages"].items() if name
    }
    needed = {
        name
        for package in packages.values()
        for kind in ("dependencies", "optionalDependencies")
        for name in package.get(kind, {})
    }
    names = {path.rpartition("node_modules/")[2] for path in packages}  # some inside others
    assert names == set(wanted) | needed
    assert {name: packages[name]["version"] for name in wanted} == wanted
    for package in packages.values():
        assert "resolved" not in package
        assert package["integrity"].startswith("sha512-")
