"""The service calls out over HTTP by one way only, which checks where to."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLIENTS = {"aiohttp", "http.client", "httpcore", "httpx", "requests", "urllib.request", "urllib3"}
ELSEWHERE = {
    "cloud/telemetry/remote/link.py": "the engine that the settings name, always the same one",
    "cloud/commands_remote.py": "a command line that a person uses",
}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize(
    "path", sorted((ROOT / "cloud").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_nothing_but_outbound_calls_out_over_http(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    if not name.startswith("cloud/outbound/") and name not in ELSEWHERE:
        found = {one for one in _imports(path) if one in CLIENTS or one.split(".")[0] in CLIENTS}
        assert not found, "call out through cloud.outbound.base.Outbound"
