"""What the installer sees."""

import asyncio
import io
from pathlib import Path

import pytest
from rich.console import Console

from edge.probe import run_probe
from simulators.plug import SerialPlug
from simulators.weighing import Weight
from tests.support.modbus_servers import pymodbus_tcp, some_image
from tests.support.simulated_scales import SerialScaleRig

SITE = """\
schema = 1
gateway_id = "gw-1"
[uplink]
broker = "mqtt://127.0.0.1"
[[buses]]
id = "shaft-1"
kind = "modbus_tcp"
host = "127.0.0.1"
port = {port}
timeout_s = 0.2
[[buses.devices]]
asset = "elevator:1"
controller = "techno-board"
unit_id = 1
poll_interval_s = 0.1
[[buses.devices]]
asset = "elevator:2"
controller = "nobody-knows"
unit_id = 2
"""
DEVICES = """\
[[scanners]]
id = "gate-1"
kind = "barcode_serial"
device = "{folder}/scanner"

[[scales]]
id = "scale-1"
kind = "scale_serial"
asset = "scale:1"
protocol = "comma-line"
device = "{folder}/scale"
"""
IMAGE = {**some_image(), "holding_register": dict.fromkeys(range(64), 0) | {7: 35}}


async def probed(folder: Path, *, terminal: bool, seconds: float = 1.0) -> str:
    """Run the probe beside a real server, in a thread as it has its own loop."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=150, no_color=True)
    async with pymodbus_tcp({1: IMAGE}) as port:
        site = folder / "site.toml"
        site.write_text(SITE.format(port=port))
        code = await asyncio.to_thread(run_probe, site, console=console, seconds=seconds)
    assert code == 0
    return output.getvalue()


async def test_values_raw_words_quality_and_age_are_printed_plainly(tmp_path: Path) -> None:
    lines = (await probed(tmp_path, terminal=False)).splitlines()
    assert lines[0].startswith("set aside: ")
    assert "elevator:2" in lines[0]
    (fault,) = [line for line in lines if " fault_code " in line]
    assert fault.startswith("elevator:1 fault_code = 35  raw 0023  good  0.")
    assert sum("shaft-1: link up" in line for line in lines) == 1
    assert all("\x1b" not in line for line in lines)


async def test_table_is_shown_in_a_terminal(tmp_path: Path) -> None:
    text = await probed(tmp_path, terminal=True)
    assert "techno-board" in text
    assert "fault_code" in text
    assert "0023" in text


async def test_device_that_does_not_answer_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.sources.unit.BACK_OFF_MAX_S", 0.1)
    monkeypatch.setattr("edge.sources.bus._LINK_REST_S", 0.1)
    output = io.StringIO()
    site = tmp_path / "site.toml"
    site.write_text(SITE.format(port=1))
    console = Console(file=output, width=150)
    assert await asyncio.to_thread(run_probe, site, console=console, seconds=1.2) == 0
    assert "shaft-1: link down; silent: elevator:1" in output.getvalue()


async def test_codes_and_weights_on_serial_lines_are_printed_as_they_come(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    head = SITE.partition("[[buses]]")[0]
    site.write_text(head + DEVICES.format(folder=tmp_path))
    scanner, output = SerialPlug(tmp_path / "scanner"), io.StringIO()
    scanner.plug()
    console = Console(file=output, width=150)
    with SerialScaleRig(tmp_path / "scale", "comma-line") as scale:
        scale.show(Weight(30.5))
        probing = asyncio.create_task(
            asyncio.to_thread(run_probe, site, console=console, seconds=3)
        )
        while not probing.done() and "scanned" not in output.getvalue():
            await asyncio.to_thread(scanner.send, b"6901234567892\r")
            await asyncio.sleep(0.3)
        assert await probing == 0
    scanner.unplug()
    assert "scale:1 gross_kg = 30.5" in output.getvalue()
    assert "gate-1 scanned gtin 06901234567892" in output.getvalue()


def test_faulty_site_file_is_told_and_nothing_is_probed(tmp_path: Path) -> None:
    output = io.StringIO()
    site = tmp_path / "site.toml"
    site.write_text("schema = 3")
    assert run_probe(site, console=Console(file=output, width=40)) == 2
    assert "gateway_id: expected a value" in output.getvalue()
