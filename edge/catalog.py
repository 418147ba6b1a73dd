"""The data files that a gateway reads its devices by."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge.settings import Site
from protocols.catalog.controller import load_controllers
from protocols.catalog.files import data_files
from protocols.catalog.point_map import Controller
from protocols.errors import Fault

if TYPE_CHECKING:  # a gateway without readers spares the 25 MB of GS1's tables
    from protocols.catalog.schemes import Scheme
    from protocols.catalog.tags import Layout
    from protocols.weighing.protocol import ScaleProtocol


class Catalog(NamedTuple):
    """The data files without faults that a gateway reads its devices by, each kind by id."""

    controllers: dict[str, Controller]
    layouts: "dict[str, Layout]"
    schemes: "dict[str, Scheme]"
    scales: "dict[str, ScaleProtocol]"
    guns: dict[str, Controller]


def load_catalog(overlay: Path | None, site: Site | None = None) -> tuple[Catalog, list[Fault]]:
    """Read the shipped files and those of the overlay; a faulty one is told and left out.

    Args:
        overlay: folder of a site's own files.
        site: only the kinds of file that this site needs; None: all.

    """
    controllers, faults = load_controllers(overlay)
    catalog = Catalog(controllers, {}, {}, {}, {})
    if site is None or site.gates:
        guns, gun_faults = load_controllers(overlay, "gates")
        catalog = catalog._replace(guns=guns)
        faults += gun_faults
    if site is None or site.readers or site.scanners:
        from protocols.catalog.schemes import load_schemes  # noqa: PLC0415

        layouts, layout_faults = _proven_layouts(overlay)
        schemes, scheme_faults = load_schemes(overlay)
        catalog = catalog._replace(layouts=layouts, schemes=schemes)
        faults += [*layout_faults, *scheme_faults]
    if site is None or site.scales:
        from protocols.weighing.protocol import load_protocols  # noqa: PLC0415

        scales, scale_faults = load_protocols(overlay)
        catalog = catalog._replace(scales=scales)
        faults += scale_faults
    return catalog, faults


def _proven_layouts(overlay: Path | None) -> "tuple[dict[str, Layout], list[Fault]]":
    """Read all tag layouts and let their samples prove them."""
    from edge.decode.tag import prove  # noqa: PLC0415
    from protocols.catalog.tags import load_layouts  # noqa: PLC0415

    layouts, faults = load_layouts(overlay)
    files = {path.stem: str(path) for path, _ in data_files("tags", overlay)}
    for name in list(layouts):
        wrong = prove(layouts[name], files[name])
        if wrong:
            faults += wrong
            del layouts[name]
    return layouts, faults
