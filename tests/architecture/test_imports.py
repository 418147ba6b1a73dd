"""The house's one-way streets: who may import whom."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("protocols", "edge", "cloud", "simulators")
FOREIGN_TO_PROTOCOLS = {"msgspec", "biip"}
COMPOSITION_ROOTS = {
    "edge": {
        "agent",
        "__main__",
        "building",
        "catalog",
        "check",
        "doctor",
        "probe",
        "station",
        "scan",
        "scan_known",
        "status",
        "watch",
    },
    "cloud": {
        "service",
        "roles",
        "__main__",
        "check",
        "settings",
        "commands_remote",
        "commands_account",
        "commands_audit",
        "commands_retention",
        "commands_serve",
        "commands_stores",
    },
}
SHARED = {
    "edge": {"settings", "catalog", "setup", "lock", "batches", "frames", "timekeeper", "metrics"},
    "cloud": {"model", "migrations", "metrics", "embedded_broker"},
}


def _modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", _modules("protocols"), ids=_id)
def test_protocols_import_standard_library_msgspec_and_biip_only(path: Path) -> None:
    allowed = set(sys.stdlib_module_names) | FOREIGN_TO_PROTOCOLS | {"protocols"}
    assert {name.split(".")[0] for name in _imports(path)} <= allowed


@pytest.mark.parametrize(
    "path", [p for package in PACKAGES[1:] for p in _modules(package)], ids=_id
)
def test_halves_do_not_import_each_other(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    others = set(PACKAGES) - {package, "protocols"} | {"tests"}
    assert not {name.split(".")[0] for name in _imports(path)} & others


@pytest.mark.parametrize(
    "path", [p for package in ("edge", "cloud") for p in _modules(package)], ids=_id
)
def test_stages_do_not_import_each_other(path: Path) -> None:
    package, place = path.relative_to(ROOT).parts[:2]
    stage = place.removesuffix(".py")
    if stage in COMPOSITION_ROOTS[package]:
        return
    allowed = {stage} | SHARED[package]
    wrong = {
        name
        for name in _imports(path)
        if name.startswith(f"{package}.")
        and name.split(".")[1] not in allowed
        and not name.endswith(".base")  # a stage's Protocol is for the others
    }
    assert not wrong


def test_firmware_config_holds_data_only() -> None:
    files = [p for p in (ROOT / "firmware_config").rglob("*") if p.is_file()]
    assert files
    system = {p for p in files if p.parent.name == "system"}
    assert {p.suffix for p in set(files) - system} <= {".toml"}
    assert {p.suffix for p in system} <= {".toml", ".conf", ".acl", ".service", ".rules"}
