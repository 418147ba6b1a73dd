"""A few kills of what keeps the deadlines of rescues; `make campaign-rescues` makes many."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_deadline_fires_once_through_kills() -> None:
    command = [sys.executable, "-m", "tests.campaigns.rescues", "--kills", "3", "--seed", "5"]
    command += ["--late-ms", "20000"]  # how late they are is the campaign's, on a quiet machine
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "faults                 0" in done.stdout
