"""An indicator on a serial line, read by a gateway: real pseudo-terminals, a real process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.settings import Scale
from edge.sources.scale_serial import SILENT, SILENT_S, opener
from protocols.errors import RetryLater
from protocols.weighing.protocol import load_protocols
from simulators.plug import SerialPlug
from simulators.weighing import FRAMES, Weight
from tests.support.reading_process import ReadingProcess
from tests.support.simulated_scales import SerialScaleRig

PROTOCOLS = load_protocols(None)[0]
ASSET = "scale:fill-1"
TABLE = """\
[[scales]]
id = "scale-1"
kind = "scale_serial"
asset = "scale:fill-1"
protocol = "{protocol}"
device = "{device}"
"""


class Hall:
    """A scale and its gateway."""

    def __init__(self, rig: SerialScaleRig, folder: Path) -> None:
        self.rig = rig
        table = TABLE.format(protocol=rig.protocol, device=rig.plug.link)
        self.edge = ReadingProcess(folder / "site.toml", table)

    def latest(self) -> dict[str, object]:
        values = [
            one["values"] for one in self.edge.told if one.get("asset") == ASSET and "values" in one
        ]
        return {name: value for one in values for name, value in one.items()}

    def until(self, **values: object) -> None:
        self.edge.until(lambda: values.items() <= self.latest().items())


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    with SerialScaleRig(tmp_path / "scale", "comma-line") as rig:
        one = Hall(rig, tmp_path)
        yield one
        one.edge.stop()


def test_weights_are_taken_at_rest_and_lost_with_the_indicator(hall: Hall) -> None:
    hall.rig.show(Weight(16.0))
    hall.until(gross_kg=16.0, in_motion=False, over_capacity=False)
    hall.rig.show(Weight(21.37, in_motion=True))
    hall.until(gross_kg=None, in_motion=True)
    hall.edge.until(lambda: any(one.get("kg") == 21.37 for one in hall.edge.told))
    assert "moving_kg" not in hall.latest()
    hall.rig.show(Weight(30.5))
    hall.until(gross_kg=30.5, in_motion=False)
    hall.rig.plug.unplug()
    hall.until(gross_kg=None, controller_online=False)
    hall.rig.show(Weight(30.48))
    hall.rig.plug.plug()
    hall.until(gross_kg=30.48, controller_online=True)
    hall.rig.power(on=False)
    hall.until(gross_kg=None, controller_online=False)
    hall.rig.power(on=True)
    hall.until(gross_kg=30.48, controller_online=True)
    counters = hall.edge.status()["scale-1"]["counters"]
    assert (counters["device_opens"], counters["device_failures"]) == (2, 1)
    assert counters["weights"] >= 5


def test_noise_is_counted_by_its_kind_and_never_a_weight(tmp_path: Path) -> None:
    plug = SerialPlug(tmp_path / "scale")
    plug.plug()
    protocol = "xk3190-continuous"
    scale = Scale(
        id="s", kind="scale_serial", asset=ASSET, protocol=protocol, device=str(plug.link)
    )
    driver = opener(scale, PROTOCOLS[protocol])()
    good = FRAMES[protocol](Weight(30.5))
    plug.send(b"\xff\x00" + good.replace(b"5", b"6") + b"\x02+0030\x03" + good)
    (one,) = driver.read()
    assert getattr(one, "values", {})["displayed_kg"] == 30.5
    counters = driver.counters
    assert (counters["bad_checksum"], counters["bad_frame"]) == (1, 1)
    assert counters["noise_bytes"] == 2
    plug.unplug()
    assert list(driver.read()) == [SILENT]
    with pytest.raises(RetryLater):
        driver.read()
    driver.close()
    with pytest.raises(RetryLater, match="scale"):
        opener(scale, PROTOCOLS[protocol])()


def test_silence_is_told_once(tmp_path: Path) -> None:
    from edge.sources.scale_serial import SerialScale
    from edge.sources.serial_port import SerialPort

    plug = SerialPlug(tmp_path / "scale")
    plug.plug()
    now = [0.0]
    driver = SerialScale(SerialPort(str(plug.link), 9600), PROTOCOLS["comma-line"], lambda: now[0])
    assert list(driver.read()) == []
    now[0] = SILENT_S + 0.1
    assert list(driver.read()) == [SILENT]
    now[0] = 100.0
    assert list(driver.read()) == []
    driver.close()
    plug.unplug()
