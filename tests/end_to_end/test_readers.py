"""A tag at a real reader's interface becomes one record in the cloud's log."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from protocols.records import Scan
from simulators.hf_field import HfField
from simulators.pcsc_slot import PcscSlot
from simulators.pcscd import Pcscd
from simulators.pn532 import Pn532
from tests.campaigns.audit import logged_batches
from tests.support import hf, nfc, pcsc
from tests.support.mosquitto import MOSQUITTO
from tests.support.stack import Stack, running, wait_until

pytestmark = pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed")

READERS = """
[[readers]]
id = "fill-1"
kind = "pcsc"
step = "filling"
device = "Hall 1"

[[readers]]
id = "gate-1"
kind = "nfc"
step = "receiving"
device = "{pn532}"
"""


@pytest.fixture
def daemon() -> Iterator[Pcscd]:
    if (missing := pcsc.missing() or nfc.missing()) is not None:
        pytest.skip(missing)
    with tempfile.TemporaryDirectory(prefix="pcscd-") as folder:  # a short path
        one = Pcscd(Path(folder), ["Hall 1"])
        one.start()
        yield one
        one.stop()


def _scans(stack: Stack) -> Counter[tuple[str, str, str | None]]:
    """Return (reader, UID, step) of all scans in the log."""
    url = f"sqlite:///{stack.cloud_data / 'log.db'}"
    return Counter(
        (record.reader, record.codes[0].value, record.step)
        for batch in logged_batches(url)
        for _, record in batch.taken()
        if isinstance(record, Scan)
    )


def test_tags_at_two_readers_are_in_the_log_once_each_visit(tmp_path: Path, daemon: Pcscd) -> None:
    fill, gate = HfField(), HfField()
    chip = Pn532(gate, tmp_path / "pn532")
    slot = PcscSlot(fill, partial(daemon.dial, "Hall 1"))
    prefix = ("env", *(f"{name}={value}" for name, value in daemon.environment.items()))
    stack = Stack(tmp_path / "stack", lifts=1, edge_prefix=prefix)
    text = stack.site.read_text() + READERS.format(pn532=tmp_path / "pn532")
    stack.site.write_text(text)
    uids = [hf.uid(number).hex().upper() for number in range(3)]
    expected = Counter({("fill-1", uids[0], "filling"): 1})
    with running(stack):
        fill.place(hf.tag(0))
        wait_until(lambda: _scans(stack) == expected, timeout_s=20, what="the first scan")
        gate.place(hf.tag(1))
        expected["gate-1", uids[1], "receiving"] += 1
        wait_until(lambda: _scans(stack) == expected, timeout_s=10, what="the second scan")
        stack.broker.kill()
        daemon.stop()
        chip.unplug()
        daemon.start()
        chip.plug_in()
        fill.place(hf.tag(2))
        stack.broker.start()
        expected["fill-1", uids[2], "filling"] += 1
        wait_until(lambda: _scans(stack) >= expected, timeout_s=30, what="the third scan")
        assert stack.edge.stop() == 0
        stack.cloud.stop()
    assert _scans(stack) == expected
    slot.close()
    chip.unplug()
