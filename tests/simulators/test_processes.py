import sys
import time
from pathlib import Path

import pytest

from protocols.errors import StopService
from simulators.processes import Family

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("grandchild", child.pid, flush=True)
time.sleep(600)
"""


def wait_for_line(log: Path, word: str) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for line in log.read_text().splitlines():
            if word in line:
                return line
        time.sleep(0.01)
    raise TimeoutError(word)


def runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_stop_ends_stubborn_children_and_what_they_started(tmp_path: Path) -> None:
    family = Family(tmp_path)
    gentle = family.start("gentle", [sys.executable, "-c", "import time; time.sleep(600)"])
    stubborn = family.start("stubborn", [sys.executable, "-c", STUBBORN])
    grandchild = int(wait_for_line(stubborn.log, "grandchild").split()[1])
    begun = time.monotonic()
    family.stop(terminate_s=0.3)
    assert time.monotonic() - begun < 5
    assert gentle.exit_code == -15
    assert stubborn.exit_code == -9
    deadline = time.monotonic() + 5
    while runs(grandchild):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_check_tells_who_has_ended_and_the_end_of_its_log(tmp_path: Path) -> None:
    family = Family(tmp_path)
    family.check()
    code = "import sys; print('the disk is gone'); sys.exit(3)"
    child = family.start("broker", [sys.executable, "-c", code])
    assert child.wait(10)
    with pytest.raises(StopService, match=r"broker has ended with 3.*\n.*the disk is gone"):
        family.check()
    family.stop()
