"""The system files that a real installation copies."""

import shutil
import subprocess

import pytest

from protocols.catalog.files import data_root

SYSTEM = data_root() / "system"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("unit", ["suyuan-edge.service", "suyuan-cloud.service"])
def test_systemd_takes_the_units_and_finds_them_hardened(unit: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=50", SYSTEM / unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-600:] + done.stderr
