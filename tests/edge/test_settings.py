"""The site file: the pinned form is read, and every fault of a bad one is named."""

from pathlib import Path

import pytest

from edge.settings import Site, load_site
from protocols.errors import FixConfiguration

PINNED = """\
schema = 1
gateway_id = "gw-jilin-0001"

[uplink]
broker = "mqtt://127.0.0.1:1883"
username = ""

[[buses]]
id = "shaft-1"
kind = "modbus_tcp"
host = "127.0.0.1"
port = 1502
timeout_s = 1.0

  [[buses.devices]]
  asset = "elevator:31101099920240017"
  controller = "monarch-nice3000plus"
  unit_id = 1
  poll_interval_s = 1.0

[[buses]]
id = "shaft-2"
kind = "modbus_rtu"
device = "/dev/ttyUSB0"
baud_rate = 19200
parity = "even"
stop_bits = 1

  [[buses.devices]]
  asset = "elevator:31101099920240018"
  controller = "techno-board"
  unit_id = 3

[[readers]]
id = "fill-1"
kind = "pcsc"
step = "filling"
device = "Gateway Reader 0"

[[scanners]]
id = "gate-1"
kind = "barcode_serial"
device = "/dev/serial/by-id/scanner"
step = "receiving"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    with pytest.raises(FixConfiguration) as failure:
        load_site(path)
    lines = [str(fault) for fault in failure.value.faults]
    assert all(line.startswith(f"{path}: ") and ": expected " in line for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_pinned_site_file_is_read(tmp_path: Path) -> None:
    site = load_site(write(tmp_path, PINNED))
    assert isinstance(site, Site)
    assert site.gateway_id == "gw-jilin-0001"
    assert (site.uplink.host, site.uplink.port, site.uplink.tls) == ("127.0.0.1", 1883, False)
    first, second = site.buses
    assert (first.host, first.port, first.timeout_s, first.gap_max) == ("127.0.0.1", 1502, 1.0, 8)
    assert (second.device, second.baud_rate, second.bits_per_character) == (
        "/dev/ttyUSB0",
        19_200,
        11,
    )
    assert second.devices[0].poll_interval_s == 1.0
    assert site.readers[0].step == "filling"
    assert site.scanners[0].kind == "barcode_serial"
    assert site.spool.bytes_max == 256 * 1024 * 1024


@pytest.mark.parametrize(
    ("broker", "host", "port", "tls"),
    [
        ("mqtt://broker", "broker", 1883, False),
        ("mqtts://broker.example", "broker.example", 8883, True),
        ("mqtts://[::1]:9999", "::1", 9999, True),
    ],
)
def test_broker_url_is_taken_apart(
    broker: str, host: str, port: int, tls: bool, tmp_path: Path
) -> None:
    uplink = load_site(write(tmp_path, PINNED.replace("mqtt://127.0.0.1:1883", broker))).uplink
    assert (uplink.host, uplink.port, uplink.tls) == (host, port, tls)


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("schema = 1", "schema = 2", "schema", "1"),
        ('gateway_id = "gw-jilin-0001"', 'gateway_id = "GW 1"', "gateway_id", "a-z 0-9 -"),
        ('gateway_id = "gw-jilin-0001"', "gateway_id = 7", "gateway_id", "str"),
        ("[uplink]", "[uplink]\nretries = 3", "uplink.retries", "an unknown key"),
        ('broker = "mqtt://127.0.0.1:1883"', "", "uplink.broker", "the key is missing"),
        ("mqtt://127.0.0.1:1883", "http://x", "uplink.broker", "mqtt://host:port"),
        ("mqtt://127.0.0.1:1883", "mqtt://x:99999", "uplink.broker", "mqtt://host:port"),
        ("mqtt://127.0.0.1:1883", "mqtt://me@x", "uplink.broker", "its own key"),
        ('username = ""', 'ca_file = "ca.pem"', "uplink.broker", "mqtts://"),
        ('username = ""', 'cert_file = "c.pem"', "uplink.cert_file", "both"),
        ('kind = "modbus_tcp"', 'kind = "modbus_udp"', "buses[0].kind", "modbus_udp"),
        ('host = "127.0.0.1"\n', "", "buses[0].host", "modbus_tcp"),
        ('host = "127.0.0.1"', 'host = "h"\ndevice = "/dev/x"', "buses[0].device", "no such key"),
        ("port = 1502", "port = 0", "buses[0].port", ">= 1"),
        ("timeout_s = 1.0", "timeout_s = nan", "buses[0].timeout_s", "nan"),
        ("unit_id = 1\n", "unit_id = 256\n", "buses[0].devices[0].unit_id", "<= 255"),
        ("unit_id = 1\n", "unit_id = true\n", "buses[0].devices[0].unit_id", "int"),
        ("unit_id = 3", "unit_id = 248", "buses[1].devices[0].unit_id", "1 to 247"),
        ("poll_interval_s = 1.0", "poll_interval_s = 0", "devices[0].poll_interval_s", ">= 0.05"),
        ("elevator:31101099920240017", "lift 17", "buses[0].devices[0].asset", "asset id"),
        ("elevator:31101099920240018", "elevator:31101099920240017", "asset", "once"),
        ('id = "shaft-2"', 'id = "shaft-1"', "buses[1].id", "an id of its own"),
        ('id = "gate-1"', 'id = "fill-1"', "scanners[0].id", "readers[0].id has it"),
        ('kind = "pcsc"', 'kind = "modbus_tcp"', "readers[0].kind", "modbus_tcp"),
        ('parity = "even"', 'parity = "mark"', "buses[1].parity", "mark"),
        ('device = "/dev/ttyUSB0"\n', "", "buses[1].device", "modbus_rtu"),
    ],
)
def test_fault_names_key_and_expectation(
    old: str, new: str, key: str, said: str, tmp_path: Path
) -> None:
    assert old in PINNED
    faults = faults_of(tmp_path, PINNED.replace(old, new, 1))
    assert any(key in fault.split(": expected")[0] and said in fault for fault in faults), faults


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    text = (
        PINNED.replace("unit_id = 3", "unit_id = 300")
        .replace("gw-jilin-0001", "GW")
        .replace("elevator:31101099920240017", "lift")
        .replace("[uplink]", "colour = 1\n[uplink]")
        .replace('id = "gate-1"', 'id = "fill-1"')
    )
    faults = faults_of(tmp_path, text)
    keys = {fault.split(": expected")[0] for fault in faults}
    assert (
        keys
        == {
            "buses[1].devices[0].unit_id",
            "gateway_id",
            "buses[0].devices[0].asset",
            "colour",
            "scanners[0].id",
        }
        or {"gateway_id", "buses[0].devices[0].asset", "scanners[0].id"} <= keys
    )


def test_bus_without_devices_is_refused(tmp_path: Path) -> None:
    bus = '[[buses]]\nid = "b"\nkind = "modbus_tcp"\nhost = "h"\ndevices = []\n'
    (fault,) = faults_of(tmp_path, PINNED + bus)
    assert fault.startswith("buses[2].devices: expected 1 to 247 devices")


def test_two_devices_with_the_same_unit_are_refused(tmp_path: Path) -> None:
    device = """
  [[buses.devices]]
  asset = "elevator:19"
  controller = "techno-board"
  unit_id = 3
"""
    faults = faults_of(tmp_path, PINNED.replace("\n[[readers]]", f"{device}\n[[readers]]"))
    assert len(faults) == 1
    assert faults[0].startswith("buses[1].devices[1].unit_id: expected another unit")


def test_one_serial_line_in_two_buses_is_refused(tmp_path: Path) -> None:
    bus = """
[[buses]]
id = "shaft-3"
kind = "modbus_rtu"
device = "/dev/ttyUSB0"
[[buses.devices]]
asset = "elevator:19"
controller = "techno-board"
"""
    (fault,) = faults_of(tmp_path, PINNED + bus)
    assert fault.startswith("buses[2].device: expected each serial line once")


@pytest.mark.parametrize("content", [b"schema = ", b"\xff\xfe", b"buses = 3\nschema=1"])
def test_unreadable_file_is_a_fault_and_no_crash(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes(content)
    with pytest.raises(FixConfiguration):
        load_site(path)
    with pytest.raises(FixConfiguration):
        load_site(tmp_path / "none.toml")


GATED = (
    PINNED
    + """
[[scales]]
id = "scale-1"
kind = "scale_serial"
asset = "scale:fill-1"
protocol = "comma-line"
device = "/dev/ttyUSB5"

[[gates]]
id = "gun-1"
reader = "fill-1"
scale = "scale:fill-1"
filler = "org-7"
gas = "lpg"
people = [{ id = "op-7", name = "Wang Wei" }]

  [gates.output]
  kind = "modbus_tcp"
  gun = "coil-gun"
  host = "127.0.0.1"
  port = 1503
  writes = { coil = [0, 1, 2, 3, 4] }
"""
)


def test_a_gate_is_read(tmp_path: Path) -> None:
    (gate,) = load_site(write(tmp_path, GATED)).gates
    assert (gate.id, gate.presence, gate.output.writes) == (
        "gun-1",
        "tag",
        {"coil": (0, 1, 2, 3, 4)},
    )


@pytest.mark.parametrize(
    ("before", "after", "key", "expected"),
    [
        ('reader = "fill-1"\nscale', 'reader = "gone"\nscale', "gates[0].reader", "fill-1"),
        ('scale = "scale:fill-1"', 'scale = "scale:other"', "gates[0].scale", "a scale of this"),
        ('scale = "scale:fill-1"', 'presence = "scale"', "gates[0].scale", "no tag tells"),
        ("port = 1503", "port = 1502", "gates[0].output.unit_id", "it is only read"),
        ('kind = "modbus_tcp"\n  gun', 'kind = "modbus_rtu"\n  device = "/dev/ttyUSB0"\n  gun',
         "gates[0].output.host", "no such key"),
        ('id = "gun-1"', 'id = "fill-1"', "gates[0].id", "an id of its own"),
        ("people = [", 'gauge = 1\npeople = [', "gates[0].gauge", "one of the keys"),
        ('people = [{ id = "op-7", name = "Wang Wei" }]', "people = []", "gates[0].people", ""),
        ("writes = { coil", "writes = { input_register", "gates[0].output.writes", "coil"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_gate_is_named(
    tmp_path: Path, before: str, after: str, key: str, expected: str
) -> None:
    assert before in GATED
    with pytest.raises(FixConfiguration) as error:
        load_site(write(tmp_path, GATED.replace(before, after)))
    found = {fault.key: fault.expected for fault in error.value.faults}
    assert key in found, found
    assert expected in found[key]


def test_an_output_on_a_bus_line_is_refused(tmp_path: Path) -> None:
    text = GATED.replace('host = "127.0.0.1"\n  port = 1503', 'device = "/dev/ttyUSB0"')
    text = text.replace('kind = "modbus_tcp"\n  gun', 'kind = "modbus_rtu"\n  gun')
    with pytest.raises(FixConfiguration) as error:
        load_site(write(tmp_path, text))
    (fault,) = error.value.faults
    assert fault.key == "gates[0].output.device"
    assert "each serial line once" in fault.expected


def test_the_page_of_the_gates_is_on_this_machine_only(tmp_path: Path) -> None:
    site = load_site(write(tmp_path, GATED + '[local]\nscreen = "127.0.0.1:8610"\n'))
    assert site.local.screen_address == ("127.0.0.1", 8610)
    with pytest.raises(FixConfiguration):
        load_site(write(tmp_path, GATED + '[local]\nscreen = "0.0.0.0:8610"\n'))
