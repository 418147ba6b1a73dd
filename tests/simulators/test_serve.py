import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyModbusTCP.client import ModbusClient

from simulators.processes import free_port, module_environment
from tests.support.libmodbus import LibModbus

ENVIRONMENT = {**os.environ, **module_environment()}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "simulators", *arguments]


class Serving:
    """`suyuan-sim serve` as a process."""

    def __init__(self, folder: Path) -> None:
        self.port, self.control = free_port(), free_port()
        self.line = folder / "line"
        self.process = subprocess.Popen(
            command(
                *("serve", "--controller", "gbt24476-adapter", "--lifts", "3", "--traffic", "none"),
                *("--port", str(self.port), "--control", str(self.control)),
                *("--rtu", str(self.line)),
            ),
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
            text=True,
        )

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("control:"):
                return
        raise RuntimeError("it has ended")

    def order(self, **message: object) -> dict[str, object]:
        with socket.create_connection(("127.0.0.1", self.control), 5) as link:
            link.sendall(json.dumps(message).encode() + b"\n")
            with link.makefile() as lines:
                answer: dict[str, object] = json.loads(lines.readline())
        return answer

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    made = Serving(tmp_path)
    made.wait_ready()
    yield made
    if made.process.poll() is None:
        made.stop()


def test_served_lift_shows_an_ordered_entrapment_on_tcp_and_on_the_serial_line(
    serving: Serving,
) -> None:
    assert serving.order(op="fault", lift=1, name="entrapment", evidence="alarm_button")["ok"]
    client = ModbusClient(host="127.0.0.1", port=serving.port, unit_id=2, timeout=2)
    assert client.read_holding_registers(0x10, 8) == [90, 0, 0, 0, 0, 0, 0, 0]
    client.close()
    with LibModbus(device=str(serving.line)) as serial:
        assert serial.read("holding_register", 2, 0x10, 1) == [90]
        assert serial.read("holding_register", 3, 0x10, 1) == [0]
    stats = serving.order(op="stats")
    assert stats["reads"] == {"1": 0, "2": 2, "3": 1}
    assert serving.stop() == 0
    assert not serving.line.is_symlink()


def test_silent_unit_is_silent_until_told_otherwise(serving: Serving) -> None:
    assert serving.order(op="silence", unit=3, on=True)["ok"]
    client = ModbusClient(host="127.0.0.1", port=serving.port, unit_id=3, timeout=0.2)
    assert client.read_holding_registers(0, 1) is None
    serving.order(op="silence", unit=3, on=False)
    assert client.read_holding_registers(0, 1) == [1]
    client.close()


def test_each_lift_on_a_port_of_its_own() -> None:
    first = 20_000 + os.getpid() % 20_000
    process = subprocess.Popen(
        command(
            *("serve", "--controller", "techno-board", "--lifts", "3", "--lifts-per-port", "1"),
            *("--port", str(first)),
        ),
        stdout=subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    for port in range(first, first + 3):
        client = ModbusClient(host="127.0.0.1", port=port, unit_id=1, timeout=2)
        deadline = time.monotonic() + 10
        while (found := client.read_holding_registers(21, 1)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert 1 <= found[0] <= 12
        client.close()
    process.terminate()
    assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("serve", "--controller", "nope", "--port", "1"), 2, "gbt24476-adapter"),
        (("serve", "--controller", "techno-board"), 2, "--port"),
        (("serve", "--controller", "techno-board", "--port", "1", "--traffic", "x"), 2, "up_peak"),
        (("run", "no-such-scenario"), 2, "no-such-scenario"),
    ],
)
def test_faulty_command_line_says_what_was_expected(
    arguments: tuple[str, ...], code: int, word: str
) -> None:
    done = subprocess.run(
        command(*arguments), capture_output=True, env=ENVIRONMENT, text=True, check=False
    )
    assert done.returncode == code
    assert word in done.stderr


def test_taken_port_is_told(serving: Serving) -> None:
    done = subprocess.run(
        command("serve", "--controller", "techno-board", "--port", str(serving.port)),
        capture_output=True,
        env=ENVIRONMENT,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert str(serving.port) in done.stderr


def test_list_names_scenarios_and_controllers() -> None:
    done = subprocess.run(
        command("list"), capture_output=True, env=ENVIRONMENT, text=True, check=True
    )
    assert "entrapment-button" in done.stdout
    assert "monarch-nice3000plus" in done.stdout


def test_run_plays_a_scenario_in_real_time_and_writes_its_site_file(tmp_path: Path) -> None:
    scenario = tmp_path / "short.toml"
    scenario.write_text(
        'schema = 1\nid = "short"\ntitle = "t"\ntitle_zh = "题"\nduration_s = 1.5\n'
        '[[groups]]\nid = "a"\ncontroller = "techno-board"\ntransport = "modbus_rtu"\n'
        '[[groups]]\nid = "b"\ncontroller = "gbt24476-adapter"\nlifts = 2\n'
        '[[steps]]\nat_s = 0.5\ngroup = "b"\ndo = { op = "fault", name = "power_cut" }\n',
        encoding="utf-8",
    )
    site = tmp_path / "site.toml"
    done = subprocess.run(
        command("run", str(scenario), "--site", str(site)),
        capture_output=True,
        env=ENVIRONMENT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("power_cut") == 2
    text = site.read_text()
    assert text.count("[[buses.devices]]") == 3
    assert 'kind = "modbus_rtu"' in text
