"""`check`: one line a fault, over the site file and the controller files."""

from pathlib import Path

from edge.check import check
from protocols.catalog.files import data_root

SITE = """\
schema = 1
gateway_id = "gw-1"

[uplink]
broker = "mqtts://broker.example"
ca_file = "{ca}"

[[buses]]
id = "b"
kind = "modbus_tcp"
host = "127.0.0.1"

  [[buses.devices]]
  asset = "elevator:1"
  controller = "{controller}"

[[readers]]
id = "fill-1"
kind = "pcsc"
device = "x"
"""


def write_site(folder: Path, controller: str = "techno-board") -> Path:
    (folder / "ca.pem").write_text("")
    path = folder / "site.toml"
    path.write_text(SITE.format(ca=folder / "ca.pem", controller=controller))
    return path


def lines(folder: Path, site: Path, overlay: Path | None = None) -> list[str]:
    return [str(fault).replace(f"{folder}/", "") for fault in check(site, overlay)]


def test_good_site_has_no_faults(tmp_path: Path) -> None:
    """Readers are valid, though nothing reads them yet."""
    assert lines(tmp_path, write_site(tmp_path)) == []


def test_shipped_sites_have_no_faults() -> None:
    for path in sorted((data_root() / "sites").glob("*.toml")):
        assert [fault for fault in check(path) if "_file" not in fault.key] == []


def test_unknown_controller_and_missing_file_are_named(tmp_path: Path) -> None:
    site = write_site(tmp_path, "acme")
    (tmp_path / "ca.pem").unlink()
    first, second = lines(tmp_path, site)
    assert first.startswith("site.toml: uplink.ca_file: expected a file that exists")
    assert second.startswith("site.toml: buses[0].devices[0].controller: expected the id of a")
    assert "techno-board" in second
    assert second.endswith("found 'acme'")


def test_faulty_overlay_controller_is_named_with_the_device_that_needs_it(tmp_path: Path) -> None:
    (tmp_path / "controllers").mkdir()
    (tmp_path / "controllers" / "acme.toml").write_text(
        'schema = 1\nid = "acme"\nkind = "elevator"\ncolour = "red"\n[[points]]\n'
        'name = "car_position"\ntable = "holding_register"\naddress = 0\ntype = "uint99"\n'
    )
    found = lines(tmp_path, write_site(tmp_path, "acme"), tmp_path)
    assert any(line.startswith("controllers/acme.toml: colour: expected one of") for line in found)
    assert any("controllers/acme.toml: points[0].type" in line for line in found)
    assert any(line.startswith("site.toml: buses[0].devices[0].controller") for line in found)


def test_faulty_scheme_of_the_overlay_is_named(tmp_path: Path) -> None:
    (tmp_path / "schemes").mkdir()
    (tmp_path / "schemes" / "crate.toml").write_text('schema = 1\nid = "crate"\nforms = []\n')
    found = lines(tmp_path, write_site(tmp_path), tmp_path)
    assert "schemes/crate.toml: title: expected a value, found nothing: the key is missing" in found


def test_faulty_scale_file_is_named_with_the_scale_that_needs_it(tmp_path: Path) -> None:
    (tmp_path / "scales").mkdir()
    (tmp_path / "scales" / "acme.toml").write_text(
        'schema = 1\nid = "acme"\n[frame]\nend = "\\r"\n'
    )
    site = write_site(tmp_path)
    table = 'kind = "scale_serial"\nasset = "scale:1"\nprotocol = "acme"\ndevice = "/dev/ttyS1"\n'
    site.write_text(site.read_text() + f'[[scales]]\nid = "scale-1"\n{table}')
    unread, faulty = lines(tmp_path, site, tmp_path)
    assert unread.startswith("site.toml: scales[0].protocol: expected the id of a scale file")
    assert "comma-line" in unread
    assert faulty.startswith("scales/acme.toml: frame.pattern: expected a value, found nothing")


def test_overlay_that_is_no_folder_is_a_fault(tmp_path: Path) -> None:
    (fault,) = lines(tmp_path, write_site(tmp_path), tmp_path / "none")
    assert fault.startswith("none: --overlay: expected a folder")


def test_faults_of_site_and_controllers_come_together(tmp_path: Path) -> None:
    (tmp_path / "controllers").mkdir()
    (tmp_path / "controllers" / "acme.toml").write_text("schema = 2")
    site = write_site(tmp_path)
    site.write_text(site.read_text().replace("gw-1", "GW 1"))
    found = lines(tmp_path, site, tmp_path)
    assert any(line.startswith("site.toml: gateway_id") for line in found)
    assert any(line.startswith("controllers/acme.toml: ") for line in found)


def test_unknown_controller_is_told_beside_faults_of_shape(tmp_path: Path) -> None:
    site = write_site(tmp_path, "acme")
    site.write_text(site.read_text().replace("gw-1", "GW 1"))
    found = lines(tmp_path, site)
    assert any(line.startswith("site.toml: gateway_id") for line in found)
    assert any("devices[0].controller" in line and "'acme'" in line for line in found)


def test_faulty_tag_files_and_samples_that_do_not_come_out_are_faults(tmp_path: Path) -> None:
    tags = tmp_path / "overlay" / "tags"
    tags.mkdir(parents=True)
    shipped = (data_root() / "tags" / "type3-ndef.toml").read_text()
    (tags / "type3-ndef.toml").write_text(shipped.replace("q.example/C7", "q.example/C8"))
    (tags / "own.toml").write_text("schema = 1\n")
    found = lines(tmp_path, write_site(tmp_path), tmp_path / "overlay")
    assert any(line.startswith("overlay/tags/own.toml: id: expected a value") for line in found)
    wrong = [line for line in found if "type3-ndef" in line]
    assert [line.split(": ")[1] for line in wrong] == ["samples[0].codes"]


def test_a_pair_that_is_no_reader_is_named(tmp_path: Path) -> None:
    site = write_site(tmp_path)
    scanner = '[[scanners]]\nid = "gate"\nkind = "barcode_serial"\ndevice = "x"\npair = "{}"\n'
    text = site.read_text()
    site.write_text(text + scanner.format("fill-1"))
    assert lines(tmp_path, site) == []
    site.write_text(text + scanner.format("fill-2"))
    (only,) = lines(tmp_path, site)
    assert only.startswith("site.toml: scanners[0].pair: expected the id of a reader (fill-1)")


def test_what_keeps_a_gate_from_judging_is_named(tmp_path: Path) -> None:
    site = write_site(tmp_path)
    site.write_text(
        site.read_text()
        + """
[[gates]]
id = "gun-1"
reader = "fill-1"
filler = "org-7"
gas = "marsh_gas"
people = [{ id = "op-7", name = "Wang Wei" }]
[gates.output]
kind = "modbus_tcp"
gun = "coil-gun"
host = "127.0.0.1"
port = 1503
writes = { coil = [0, 1, 2, 3] }
"""
    )
    first, second = lines(tmp_path, site)
    assert first.startswith("site.toml: gates[0].output: expected writes.coil with 4, for buzzer")
    assert second.startswith("site.toml: gates[0].gas: expected one of ")
    mixed = 'gas = "argon"\ncomponents = ["argon", "kryptonite"]'
    site.write_text(site.read_text().replace('gas = "marsh_gas"', mixed))
    _, unknown, none = lines(tmp_path, site)
    assert unknown.startswith("site.toml: gates[0].components: expected one of ")
    assert none.startswith("site.toml: gates[0].components: expected those of a mixture, and of ")
    site.write_text(site.read_text().replace('"coil-gun"', '"acme"'))
    assert "gates[0].output.gun: expected the id of a file in gates/" in lines(tmp_path, site)[0]
    (tmp_path / "cylinders").mkdir()
    (tmp_path / "cylinders" / "reasons.toml").write_text("schema = 1\n")
    assert any("cylinders/reasons.toml" in one for one in lines(tmp_path, site, tmp_path))
