"""A bar code on a serial line and weights by both ways become records in the cloud's log."""

from pathlib import Path
from typing import Any

import pytest

from edge.status import read_status
from protocols.records import Scan
from simulators.plug import SerialPlug
from simulators.weighing import Weight
from tests.campaigns.audit import logged_batches
from tests.support.mosquitto import MOSQUITTO, free_port
from tests.support.simulated_scales import SerialScaleRig, modbus_scale
from tests.support.stack import Stack, running, wait_until

pytestmark = pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed")

DEVICES = """
[[scanners]]
id = "gate-1"
kind = "barcode_serial"
device = "{scanner}"
step = "receiving"

[[scales]]
id = "scale-1"
kind = "scale_serial"
asset = "scale:fill-1"
protocol = "toledo-continuous"
device = "{scale}"

[[buses]]
id = "hall"
kind = "modbus_tcp"
host = "127.0.0.1"
port = {port}

  [[buses.devices]]
  asset = "scale:fill-2"
  controller = "id551pn"
  poll_interval_s = 0.1
"""
GTIN = "06901234567892"
ITEM = f"https://id.gs1.org/01/{GTIN}/21/SN1"


def latest(stack: Stack, asset: str) -> dict[str, tuple[object, str]]:
    points: dict[str, dict[str, Any]] = stack.get(f"/api/v1/assets/{asset}/latest")["points"]
    return {name: (one["value"], one["quality"]) for name, one in points.items()}


def opens(stack: Stack) -> int:
    status = read_status(stack.edge_state) or {}
    count: int = status["sources"]["gate-1"]["counters"]["device_opens"]
    return count


def scans(stack: Stack) -> list[tuple[str, str | None, list[tuple[str, str]], list[str]]]:
    url = f"sqlite:///{stack.cloud_data / 'log.db'}"
    return [
        (one.reader, one.step, [(code.scheme, code.value) for code in one.codes], one.findings)
        for batch in logged_batches(url)
        for _, one in batch.taken()
        if isinstance(one, Scan)
    ]


def events(stack: Stack) -> list[str]:
    """Return what the trace repository's events name, in the order of record."""
    told = stack.get("/epcis/events")
    found = told["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    assert {one["bizStep"] for one in found} <= {"receiving"}
    return [epc for one in found for epc in one["epcList"]]


def test_codes_and_weights_reach_the_log_through_an_outage(tmp_path: Path) -> None:
    scanner, port = SerialPlug(tmp_path / "scanner"), free_port()
    stack = Stack(tmp_path / "stack", lifts=1)
    with (
        SerialScaleRig(tmp_path / "scale", "toledo-continuous") as scale,
        modbus_scale(port) as two,
    ):
        devices = DEVICES.format(scanner=scanner.link, scale=scale.plug.link, port=port)
        stack.site.write_text(stack.site.read_text() + devices)
        scanner.plug()
        scale.show(Weight(30.5))
        two.show(Weight(28.0))
        with running(stack):
            for asset, kg in (("scale:fill-1", 30.5), ("scale:fill-2", 28.0)):
                _wait_for(stack, asset, gross_kg=(kg, "good"), in_motion=(False, "good"))
            scanner.send(f"]C101{GTIN}21SN1\r".encode())
            expected = [_scan("gs1_element_string", f"(01){GTIN}(21)SN1", gtin=GTIN, serial="SN1")]
            wait_until(lambda: scans(stack) == expected, timeout_s=20, what="the first scan")
            stack.broker.kill()
            scanner.unplug()
            scale.show(Weight(31.0, in_motion=True))
            two.show(Weight(29.0, in_motion=True))
            scanner.plug()
            wait_until(lambda: opens(stack) == 2, timeout_s=5, what="the scanner open again")
            scanner.send(b"31101099920240017\rA\xff\r")
            scanner.send(f"01{GTIN[:-1]}3\x1d21SN2\r".encode())
            expected += [_scan("elevator", "31101099920240017"), _scan("raw", "A\\xff")]
            expected[-1][3].append("not_utf8")
            expected.append(_scan("raw", f"01{GTIN[:-1]}3\x1d21SN2"))
            expected[-1][3].append("bad_check_digit")
            stack.broker.start()
            for asset, kg in (("scale:fill-1", 30.5), ("scale:fill-2", 28.0)):
                _wait_for(stack, asset, gross_kg=(kg, "no_value"), in_motion=(True, "good"))
            wait_until(lambda: len(scans(stack)) >= len(expected), timeout_s=30, what="all scans")
            named = [ITEM, "urn:suyuan:id:elevator:31101099920240017"]
            wait_until(lambda: events(stack) == named, timeout_s=20, what="an event of each")
            assert stack.edge.stop() == 0
    assert scans(stack) == expected


def _scan(
    scheme: str, value: str, **keys: str
) -> tuple[str, str | None, list[tuple[str, str]], list[str]]:
    return "gate-1", "receiving", [(scheme, value), *keys.items()], []


def _wait_for(stack: Stack, asset: str, **points: tuple[object, str]) -> None:
    wait_until(
        lambda: points.items() <= latest(stack, asset).items(),
        timeout_s=30,
        what=f"{asset} {points}",
    )
