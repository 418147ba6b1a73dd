"""The doctor names what is wrong, and each finding that needs one has an advice."""

import json
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.doctor import broker, devices, machine
from edge.doctor.examine import examine
from edge.doctor.finding import Finding
from edge.settings import Uplink
from tests.support.certificates import issue, make_authority

SITE = """\
schema = 1
gateway_id = "gw-1"

[uplink]
broker = "mqtt://127.0.0.1:{port}"

[[buses]]
id = "line"
kind = "modbus_rtu"
device = "{device}"

  [[buses.devices]]
  asset = "elevator:1"
  controller = "{controller}"
"""


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def examined(
    folder: Path, port: int, *, device: str, controller: str = "techno-board"
) -> dict[str, list[Finding]]:
    site = folder / "site.toml"
    site.write_text(SITE.format(port=port, device=device, controller=controller))
    state = folder / "state"
    state.mkdir(exist_ok=True)
    found: dict[str, list[Finding]] = {}
    for one in examine(site, state):
        found.setdefault(one.what, []).append(one)
        assert bool(one.advice) == (one.level != "ok"), one
    return found


def test_a_good_gateway_that_only_has_to_be_started(tmp_path: Path, listening: int) -> None:
    _, line = pty.openpty()
    found = examined(tmp_path, listening, device=os.ttyname(line))
    levels = {what: [one.level for one in ones] for what, ones in found.items()}
    assert levels["site file"] == levels["clock"] == levels["bus line"] == ["ok"]
    assert levels["room"] == ["ok"]
    assert levels["broker"] == ["warning"]  # it answers, without encryption
    assert levels["daemon"] == ["warning"]  # it does not run


def test_a_missing_device_names_what_is_in_its_place(tmp_path: Path, listening: int) -> None:
    (tmp_path / "by-id").mkdir()
    (tmp_path / "by-id" / "usb-other").touch()
    found = examined(tmp_path, listening, device=f"{tmp_path}/by-id/usb-mine", controller="acme")
    assert found["bus line"][0].level == "fault"
    assert "usb-other" in found["bus line"][0].advice
    assert "acme" in found["site file"][0].found


def test_a_broker_that_does_not_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    (found,) = broker.reach(Uplink(broker=f"mqtt://127.0.0.1:{port}"))
    assert found.level == "fault"
    assert "does not answer" in found.found
    (found,) = broker.reach(Uplink(broker="mqtt://no-such-host.invalid"))
    assert "has no address" in found.found


def test_a_broker_that_speaks_no_tls(listening: int) -> None:
    (found,) = broker.reach(Uplink(broker=f"mqtts://127.0.0.1:{listening}"))
    assert found.level == "fault"


def test_a_device_of_another_user(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may open everything")
    assert devices._file("x", Path("/dev/mem")).level == "fault"


def test_a_state_folder_that_cannot_be_written() -> None:
    found = list(machine.folder(Path("/proc/self"), 1024 * 1024))
    assert [one.level for one in found] == ["fault"]


def test_a_clock_that_was_never_set() -> None:
    assert machine.clock(0).level == "warning"


def test_our_certificate(tmp_path: Path) -> None:
    make_authority(tmp_path)
    for name in ("gw-1", "gw-2"):
        issue(tmp_path, name)
    now = datetime.now(UTC)

    def levels(gateway_id: str, at: datetime, key: str = "gw-1") -> list[str]:
        uplink = Uplink(
            broker="mqtts://127.0.0.1",
            ca_file=f"{tmp_path}/ca.crt",
            cert_file=f"{tmp_path}/gw-1.crt",
            key_file=f"{tmp_path}/{key}.key",
        )
        return [found.level for found in broker.certificate(uplink, gateway_id, at)]

    assert levels("gw-1", now) == ["warning"]  # good, but for two days only
    assert levels("gw-1", now - timedelta(days=30)) == ["fault"]
    assert levels("gw-1", now + timedelta(days=30)) == ["fault"]
    assert levels("gw-2", now) == ["fault", "warning"]
    assert levels("gw-1", now, key="gw-2") == ["fault", "warning"]
    assert levels("gw-1", now, key="no-such") == ["fault"]


def test_the_command_exits_by_what_it_found(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(SITE.format(port=1, device="/dev/null", controller="techno-board"))
    done = subprocess.run(
        [sys.executable, "-m", "edge", "doctor", "--json", "--site", site, "--state", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["level"] for one in found} >= {"ok", "fault"}
