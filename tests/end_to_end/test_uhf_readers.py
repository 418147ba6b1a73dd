"""UHF tags at a module and at a fixed reader become records in the cloud's log, decoded."""

from pathlib import Path

import pytest

from protocols.catalog.tags import load_layouts
from protocols.epc import decode_epc
from protocols.records import Scan
from protocols.tag_memory import write_memory
from simulators.llrp_reader import LlrpReader
from simulators.uhf_module import UhfModule
from simulators.uhf_tags import UhfTag, cylinder_tag
from tests.campaigns.audit import logged_batches
from tests.support.mosquitto import MOSQUITTO
from tests.support.stack import Stack, running, wait_until

pytestmark = pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed")

READERS = """
[[readers]]
id = "fill-1"
kind = "uhf_serial"
step = "filling"
device = "{module}"
away_s = 0.5

[[readers]]
id = "gate-1"
kind = "llrp"
step = "receiving"
device = "{fixed}"
"""


def filled(number: int) -> UhfTag:
    """Return a cylinder's tag whose user bank is written as the shipped layout says."""
    layout = load_layouts(None)[0]["gs1-asset-epc"]
    epc = cylinder_tag(number).epc
    values: dict[str, str | int | float] = {
        "owner_code": "JLGAS",
        "tare_mass_kg": 16.5,
        "fill_count": number,
    }
    return cylinder_tag(number, user=write_memory(layout, values, {"epc": epc}, 64))


def told(stack: Stack) -> list[tuple[str, dict[str, str], tuple[str, ...]]]:
    """Return reader, codes and findings of all scans in the log."""
    return [
        (record.reader, {one.scheme: one.value for one in record.codes}, tuple(record.findings))
        for batch in logged_batches(f"sqlite:///{stack.cloud_data / 'log.db'}")
        for _, record in batch.taken()
        if isinstance(record, Scan)
    ]


def grai_of(tag: UhfTag) -> str:
    key = decode_epc(tag.epc)
    assert key is not None
    return key.value


def test_uhf_tags_are_in_the_log_once_each_visit(tmp_path: Path) -> None:
    module, fixed = UhfModule(tmp_path / "uhf"), LlrpReader()
    module.plug()
    fixed.start()
    stack = Stack(tmp_path / "stack", lifts=1)
    text = READERS.format(module=tmp_path / "uhf", fixed=fixed.address)
    stack.site.write_text(stack.site.read_text() + text)
    first, second = filled(1), filled(2)
    damaged = UhfTag(cylinder_tag(3).epc, tid=cylinder_tag(3).tid, user=filled(1).user)
    with running(stack):
        module.field.put(first)
        wait_until(lambda: len(told(stack)) == 1, timeout_s=20, what="the first scan")
        fixed.field.put(second)
        wait_until(lambda: len(told(stack)) == 2, timeout_s=10, what="the second scan")
        module.unplug()
        module.field.take(first)
        module.field.put(damaged)
        module.plug()
        wait_until(lambda: len(told(stack)) == 3, timeout_s=20, what="the third scan")
        assert stack.edge.stop() == 0
        stack.cloud.stop()
    module.unplug()
    fixed.stop()
    scans = told(stack)
    assert [(reader, findings) for reader, _, findings in scans] == [
        ("fill-1", ()),
        ("gate-1", ()),
        ("fill-1", ("bad_crc",)),
    ]
    assert [codes.get("grai") for _, codes, _ in scans] == [grai_of(first), grai_of(second), None]
    assert scans[0][1]["user_bank"] == first.user.hex().upper()
    assert scans[2][1] == {"tid": damaged.tid.hex().upper()}
