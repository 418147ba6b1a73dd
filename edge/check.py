"""Every fault of a site's files, before anything is started."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.catalog import load_catalog
from edge.settings import Gate, Site, load_site
from edge.sources.registry import device_fault
from edge.sources.scales import scale_fault
from protocols.border import read_toml
from protocols.catalog.controller import Controller
from protocols.catalog.files import data_root
from protocols.errors import Fault, FixConfiguration

if TYPE_CHECKING:  # a site without gates spares the rules
    from protocols.cylinders.book import RuleBook


def check(site: Path, overlay: Path | None = None) -> list[Fault]:
    """Return all faults of a site file and of the data files that it may use.

    A device whose controller is faulty or unknown is a fault too; `run` would set it aside.
    """
    faults: list[Fault] = []
    if overlay is not None and not overlay.is_dir():
        faults.append(Fault(str(overlay), "--overlay", "a folder", "nothing of that kind"))
        overlay = None
    catalog, wrong = load_catalog(overlay)
    faults += wrong
    controllers = catalog.controllers
    try:
        found = load_site(site)
    except FixConfiguration as error:
        return [*error.faults, *_unknown_controllers(site, controllers), *faults]
    unread = [
        fault
        for index, scale in enumerate(found.scales)
        if (fault := scale_fault(scale, catalog.scales, f"scales[{index}]", str(site))) is not None
    ]
    gates = _gate_faults(site, found, overlay, catalog.guns)
    return [*_site_faults(site, found, controllers), *unread, *gates, *faults]


def _gate_faults(
    path: Path, site: Site, overlay: Path | None, guns: dict[str, Controller]
) -> list[Fault]:
    """Tell what keeps gates from judging: their own settings, or the rules."""
    if not site.gates:
        return []
    from edge.interlock.build import gate_faults  # noqa: PLC0415  # needs the Modbus library
    from protocols.cylinders.load import load_rules  # noqa: PLC0415

    faults: list[Fault] = []
    for index, gate in enumerate(site.gates):
        faults += gate_faults(gate, guns, f"gates[{index}]", str(path))
    try:
        book = load_rules(data_root() / "cylinders", overlay)
    except FixConfiguration as error:
        return [*faults, *error.faults]
    for index, gate in enumerate(site.gates):
        faults += _gas_faults(gate, book, f"gates[{index}]", str(path))
    return faults


def _gas_faults(gate: Gate, book: "RuleBook", key: str, file: str) -> list[Fault]:
    """Tell what the rules do not know of what comes out of a gun."""
    from protocols.cylinders.due import MIXTURE  # noqa: PLC0415  # as above

    known = ", ".join(sorted(book.gas))
    faults = [
        Fault(file, f"{key}.{where}", f"one of {known}", gas)
        for where, gas in (("gas", gate.gas), *(("components", one) for one in gate.components))
        if gas not in book.gas
    ]
    if (gate.gas == MIXTURE) != bool(gate.components):
        found = ", ".join(gate.components) or "none"
        faults.append(
            Fault(file, f"{key}.components", "those of a mixture, and of nothing else", found)
        )
    return faults


def _unknown_controllers(path: Path, controllers: dict[str, Controller]) -> list[Fault]:
    """Name the controllers that do not exist in a site file that has other faults as well."""
    try:
        raw = read_toml(path)
    except FixConfiguration:  # told already
        return []
    faults = []
    for index, bus in enumerate(_tables(raw.get("buses"))):
        for number, device in enumerate(_tables(bus.get("devices"))):
            name = device.get("controller")
            if isinstance(name, str) and name not in controllers:
                key = f"buses[{index}].devices[{number}].controller"
                expected = f"the id of a controller file without faults ({', '.join(controllers)})"
                faults.append(Fault(str(path), key, expected, repr(name)))
    return faults


def _tables(found: object) -> list[dict[str, Any]]:
    items = found if isinstance(found, list) else []
    return [item if isinstance(item, dict) else {} for item in items]


def _site_faults(path: Path, site: Site, controllers: dict[str, Controller]) -> list[Fault]:
    faults = []
    for name in ("ca_file", "cert_file", "key_file"):
        file = getattr(site.uplink, name)
        if file is not None and not Path(file).is_file():
            faults.append(Fault(str(path), f"uplink.{name}", "a file that exists", repr(file)))
    for index, bus in enumerate(site.buses):
        for number, device in enumerate(bus.devices):
            key = f"buses[{index}].devices[{number}]"
            fault = device_fault(device, controllers, key, str(path))
            if fault is not None:
                faults.append(fault)
    return faults
