"""`suyuan-scan` as a process in a terminal: let in, two people, killed, sent, lost."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.handhelds import PINS, Office
from tests.support.scanners import SerialRig
from tests.support.service_process import service_process
from tests.support.terminal import Terminal

pytestmark = pytest.mark.end_to_end
F5 = "\x1b[15~"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    folder = tmp_path / "service"
    folder.mkdir()
    with service_process(folder) as service:
        office = Office(f"http://127.0.0.1:{service.port}")
        office.open("王五", "李四")
        yield office
        office.close()


SITE = """schema = 1
gateway_id = "hand-1"
[uplink]
broker = "mqtt://127.0.0.1:1"
[[scanners]]
id = "gun"
kind = "barcode_serial"
device = "DEVICE"
"""


def switch_on(folder: Path, office: Office, *more: str) -> Terminal:
    state = str(folder / "hand")
    return Terminal(["edge.scan", "--state", state, "--server", office.address, *more])


def let_in(terminal: Terminal, office: Office, name: str) -> None:
    for text, ask in (
        ("0", "输入一次性代码"),
        (office.code(name), "姓名"),
        (name, "设 PIN"),
        (PINS[name], "再输一次"),
        (PINS[name], "扫码或读卡"),
    ):
        terminal.type(text)
        terminal.wait_for(ask)


def test_handheld_from_its_first_code_to_the_day_it_is_lost(tmp_path: Path, office: Office) -> None:
    terminal = switch_on(tmp_path, office)
    terminal.wait_for("本机未启用")
    let_in(terminal, office, "王五")
    terminal.type("23102299920240017")
    terminal.wait_for("不能判定")
    terminal.wait_for("未知气瓶")
    terminal.kill()
    terminal.close()
    again = switch_on(tmp_path, office)
    again.wait_for("选人")
    again.type("1")
    again.wait_for("PIN")
    again.type(PINS["王五"])
    again.wait_for("扫码或读卡")
    again.press(F5)
    again.wait_for("已传完")
    (kept,) = office.records()
    assert (kept["asset"], kept["outcome"]) == ("cylinder:23102299920240017", "taken")
    assert kept["what"]["decision"] == "cannot_decide"
    office.revoke(kept["person"])
    again.press(F5)
    again.wait_for("挂失停用")
    again.close()


def test_scanner_on_a_serial_line_is_heard(tmp_path: Path, office: Office) -> None:
    scanner = SerialRig(tmp_path)
    scanner.plug()
    site = tmp_path / "site.toml"
    site.write_text(SITE.replace("DEVICE", scanner.device))
    terminal = switch_on(tmp_path, office, "--site", str(site))
    terminal.wait_for("本机未启用")
    let_in(terminal, office, "李四")
    for _ in range(30):
        scanner.scan("23102299920240017")
        with suppress(TimeoutError):
            terminal.wait_for("未知气瓶", timeout_s=2)
            break
    else:
        raise AssertionError("the scanner is not heard")
    terminal.close()
    scanner.close()


@pytest.mark.parametrize("controlling", [True, False])
def test_terminal_that_vanishes_ends_it(tmp_path: Path, controlling: bool) -> None:
    state = str(tmp_path / "hand")
    arguments = ["edge.scan", "--state", state, "--server", "http://127.0.0.1:1"]
    terminal = Terminal(arguments, controlling=controlling)
    terminal.wait_for("本机未启用")
    terminal.vanish()
    terminal.process.wait(timeout=15)
    again = Terminal(arguments)
    again.wait_for("本机未启用")
    again.close()
