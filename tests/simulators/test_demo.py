import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from simulators import demo, platform
from simulators.demo_city import load_city
from simulators.processes import module_environment

ENVIRONMENT = {**os.environ, **module_environment(), "PYTHONIOENCODING": "utf-8"}
DEMO = [sys.executable, "-m", "simulators", "demo"]


def processes_of(folder: str) -> list[str]:
    """List command lines of running processes that name the demonstration's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if folder in line:
                found.append(line)
    return found


def folder_in(text: str) -> str:
    match = re.search(r"folder: (\S+)", text)
    assert match is not None, text
    return match.group(1)


def test_demo_city_is_complete() -> None:
    play, entries = load_city()
    assert len(entries) == len(play.city.lifts) >= 6
    assert len({entry.asset for entry in entries.values()}) == len(entries)
    assert {group.transport for group in play.scenario.groups} == {"modbus_tcp", "modbus_rtu"}
    for entry in entries.values():
        assert re.fullmatch(r"elevator:\d{20}", entry.asset)
        assert re.fullmatch(r"\d{6}", entry.rescue_code)


def test_service_that_ends_at_once_is_told_with_the_end_of_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = "import sys; print('no room on the disk'); sys.exit(3)"
    monkeypatch.setattr(platform, "module_command", lambda *_: [sys.executable, "-c", code])
    lines: list[str] = []
    assert demo.run_demo(once=True, write=lines.append) == 1
    text = "\n".join(lines)
    assert "cloud has ended with 3" in text
    assert "no room on the disk" in text
    assert list(tmp_path.glob("suyuan-demo-*/cloud.log"))


@pytest.mark.end_to_end
def test_demo_once_goes_from_register_to_feed_and_back_to_normal() -> None:
    done = subprocess.run(
        [*DEMO, "--once"], capture_output=True, env=ENVIRONMENT, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    latency = re.search(r"latency: (\d+) ms", done.stdout)
    assert latency is not None
    assert int(latency.group(1)) < 5_000
    for stage in "①②③④⑤⑥⑦":
        assert stage in done.stdout
    folder = folder_in(done.stdout)
    assert not Path(folder).exists()
    assert processes_of(folder) == []


@pytest.mark.end_to_end
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_demo_ends_with_all_its_processes_within_ten_seconds(number: signal.Signals) -> None:
    process = subprocess.Popen(DEMO, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True)
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if "rescue:" in line:
            break
    else:
        pytest.fail(text)
    assert "console:" in text
    assert "/rescue" in text
    folder = folder_in(text)
    assert len(processes_of(folder)) == 2
    begun = time.monotonic()
    process.send_signal(number)
    assert process.wait(10) == 0
    assert time.monotonic() - begun < 10
    assert processes_of(folder) == []
    assert not Path(folder).exists()
    process.stdout.close()
