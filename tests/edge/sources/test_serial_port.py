"""A serial device and everything that can be wrong with it, as one error."""

from pathlib import Path

import pytest

from edge.sources.serial_port import SerialPort
from protocols.errors import RetryLater
from simulators.plug import SerialPlug


@pytest.fixture
def plug(tmp_path: Path) -> SerialPlug:
    one = SerialPlug(tmp_path / "device")
    one.plug()
    return one


def test_bytes_come_as_they_were_sent_and_silence_is_empty(plug: SerialPlug) -> None:
    port = SerialPort(str(plug.link), 9600, data_bits=7, parity="even", stop_bits=2)
    plug.send(b"\x00\xff\x1d\r\n")
    assert port.receive(1.0) == b"\x00\xff\x1d\r\n"
    assert port.receive(0.01) == b""
    port.close()
    plug.unplug()


def test_what_was_sent_before_it_was_opened_is_gone(plug: SerialPlug) -> None:
    plug.send(b"half a te")
    port = SerialPort(str(plug.link), 9600)
    assert port.receive(0.05) == b""
    port.close()
    plug.unplug()


def test_device_is_ours_alone(plug: SerialPlug) -> None:
    port = SerialPort(str(plug.link), 9600)
    with pytest.raises(RetryLater, match="device"):
        SerialPort(str(plug.link), 9600)
    port.close()
    SerialPort(str(plug.link), 9600).close()
    plug.unplug()


def test_device_that_is_pulled_out_is_gone_for_every_call(plug: SerialPlug) -> None:
    port = SerialPort(str(plug.link), 9600)
    plug.unplug()
    for _ in range(2):
        with pytest.raises(RetryLater):
            port.receive(0.5)
    port.close()
    port.close()
    with pytest.raises(RetryLater):
        port.receive(0.5)


@pytest.mark.parametrize("device", ["/dev/null", "/", "/nowhere/ttyUSB0"])
def test_what_is_no_serial_device_is_told(device: str) -> None:
    with pytest.raises(RetryLater, match=device):
        SerialPort(device, 9600)
