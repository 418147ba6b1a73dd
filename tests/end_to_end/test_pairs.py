"""A label and a chip of one cylinder that disagree: a scanner and a reader at one place."""

import asyncio
import random
from pathlib import Path

from edge.building import build_all
from edge.catalog import load_catalog
from edge.settings import Reader, Scanner, Site, Uplink
from edge.sources.base import Emitted, Scanned
from protocols.clock import SystemClock
from simulators.plug import SerialPlug
from simulators.uhf_module import UhfModule
from simulators.uhf_tags import cylinder_tag

LABEL = "https://id.example/8003/0061414112345{}"


async def test_the_later_of_two_scans_that_disagree_says_so(tmp_path: Path) -> None:
    module, scanner = UhfModule(tmp_path / "uhf"), SerialPlug(tmp_path / "scanner")
    module.plug()
    scanner.plug()
    site = Site(
        schema=1,
        gateway_id="gw-1",
        uplink=Uplink(broker="mqtt://127.0.0.1"),
        readers=(Reader(id="fill", kind="uhf_serial", device=str(tmp_path / "uhf")),),
        scanners=(
            Scanner(id="gate", kind="barcode_serial", device=str(scanner.link), pair="fill"),
        ),
    )
    catalog, faults = load_catalog(None, site)
    sources, lacking = build_all(site, catalog, SystemClock(), random.Random(1))
    assert [*faults, *lacking] == []
    scans: list[Scanned] = []

    def emit(told: Emitted) -> None:
        if isinstance(told, Scanned):
            scans.append(told)

    async def scanned(count: int) -> None:
        async with asyncio.timeout(10):
            while len(scans) < count:
                await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(source.run(emit)) for source in sources]
    async with asyncio.timeout(10):
        while not all(source.status()["link"] == "up" for source in sources):
            await asyncio.sleep(0.01)
    for count, (on_label, on_chip) in enumerate([(1, 1), (2, 3)]):
        scanner.send(f"{LABEL.format('2')}{on_label}\r".encode())
        await scanned(2 * count + 1)
        module.field.put(cylinder_tag(on_chip))
        await scanned(2 * count + 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    module.unplug()
    scanner.unplug()
    assert [(scan.reader, scan.findings) for scan in scans] == [
        ("gate", ()),
        ("fill", ()),
        ("gate", ()),
        ("fill", ("codes_disagree",)),
    ]
    grais = [code.value for scan in scans for code in scan.codes if code.scheme == "grai"]
    assert [one[-1] for one in grais] == ["1", "1", "2", "3"]
