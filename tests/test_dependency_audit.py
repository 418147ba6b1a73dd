"""What the audit of dependencies makes of its tools' answers; here nobody may be there to ask."""

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests import dependency_audit

BAD = {"name": "jinja2", "version": "2.4.1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
GOOD = {"name": "idna", "version": "3.20", "vulns": []}
UNKNOWN = {"name": "jinja2", "skip_reason": "not found"}
NPM_BAD = {"vulnerabilities": {"uplot": {"severity": "high"}}}


@pytest.mark.parametrize(
    ("canary", "locks", "npm", "code", "told"),
    [
        ([UNKNOWN], [UNKNOWN], {"message": "405"}, 0, "no vulnerability data reachable"),
        (None, None, None, 0, "no vulnerability data reachable"),
        ([BAD], [GOOD], {"vulnerabilities": {}}, 0, "nothing known"),
        (
            [BAD],
            [GOOD, BAD],
            {"vulnerabilities": {}},
            1,
            "requirements.lock: jinja2 2.4.1: PYSEC-1",
        ),
        ([BAD], [GOOD], NPM_BAD, 1, "uplot: high"),
        ([UNKNOWN], [], NPM_BAD, 1, "uplot: high"),
    ],
)
def test_audit_fails_on_what_is_known_and_says_when_nobody_knows(
    canary: Any,
    locks: Any,
    npm: Any,
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(subprocess, "run", _answering(canary, locks, npm))
    monkeypatch.setattr(shutil, "which", lambda _name: "npm")
    assert dependency_audit.main() == code
    assert told in capsys.readouterr().out


def _answering(canary: Any, locks: Any, npm: Any) -> Callable[..., Any]:
    def run(command: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        if command[0] == "npm":
            said = npm
        else:
            found = canary if "--no-deps" in command else locks
            said = None if found is None else {"dependencies": found}
        return subprocess.CompletedProcess(command, 1, json.dumps(said) if said else "away", "")

    return run
