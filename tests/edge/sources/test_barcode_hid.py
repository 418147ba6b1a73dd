"""What only a keyboard can do to a gateway; the rest is in the contract of scanners."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.keyboard import SYN_DROPPED, Keyboard, event, presses
from tests.support.reading_process import ReadingProcess
from tests.support.scanners import missing_for

F1 = 59
TABLE = '[[scanners]]\nid = "gate-1"\nkind = "barcode_hid"\ndevice = "{device}"\n'


class Gate:
    """A keyboard, and gateways that look for it in some way."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.keyboard = folder, Keyboard()
        self.keyboard.plug()
        self.edge: ReadingProcess | None = None

    def start(self, device: str) -> ReadingProcess:
        table = TABLE.format(device=device)
        self.edge = ReadingProcess(self._folder / "site.toml", table, self.keyboard.environment)
        return self.edge


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    missing = missing_for("barcode_hid")
    if missing:
        pytest.skip(missing)
    one = Gate(tmp_path)
    yield one
    if one.edge is not None:
        one.edge.stop()
    one.keyboard.close()


def test_keyboard_is_found_by_its_path_and_its_alt_codes_are_read(gate: Gate) -> None:
    edge = gate.start("/dev/input/event1")
    edge.until_up("gate-1")
    gate.keyboard.type_text("]C1010690123456789221A1\x1d10L7", alt_codes=True)
    edge.until(lambda: edge.texts() == ["(01)06901234567892(21)A1(10)L7"])
    gate.keyboard.type_text("中1", alt_codes=True)  # GBK, which is no UTF-8
    edge.until(lambda: edge.texts()[1:] == ["\\xd6\\xd01"])
    assert edge.told[-1]["findings"] == ["not_utf8"]


def test_keyboard_that_is_not_there_is_named_in_the_status(gate: Gate) -> None:
    edge = gate.start("Some other scanner")
    edge.until(lambda: "no keyboard is called" in edge.status()["gate-1"]["why"])


def test_text_in_which_events_were_lost_is_dropped_to_its_end(gate: Gate) -> None:
    edge = gate.start(gate.keyboard.name)
    edge.until_up("gate-1")
    gate.keyboard.type_text("6901", end="")
    gate.keyboard.send(event(0, SYN_DROPPED, 0))
    gate.keyboard.type_text("34567892")
    gate.keyboard.type_text("BOX-1")
    edge.until(lambda: edge.texts() == ["BOX-1"])
    counters = edge.status()["gate-1"]["counters"]
    assert (counters["events_lost"], counters["texts_torn"]) == (1, 1)


def test_a_key_that_is_no_character_makes_a_text_doubtful(gate: Gate) -> None:
    edge = gate.start(gate.keyboard.name)
    edge.until_up("gate-1")
    before, after = presses("690123456"), presses("7892\r")
    keys = [*before, (F1, 1), (F1, 0), *after]
    gate.keyboard.send(b"".join(event(1, *one) + event(0, 0, 0) for one in keys))
    edge.until(lambda: edge.texts() == ["690123456\x1a7892"])
    assert edge.told[-1]["findings"] == ["control_characters"]
    assert edge.status()["gate-1"]["counters"]["keys_unknown"] == 1
