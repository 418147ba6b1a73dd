"""What every kind of bar code scanner must keep, tried on devices that come and go."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.reading_process import ReadingProcess
from tests.support.scanners import RIGS, ScannerRig, missing_for

TEXT = "CYL-000123/a_B?"


class Post:
    """A scanner, and the gateway that it belongs to."""

    def __init__(self, rig: ScannerRig, folder: Path) -> None:
        self.rig = rig
        table = f'[[scanners]]\nid = "gate-1"\nkind = "{rig.kind}"\ndevice = "{rig.device}"\n'
        self._folder, self._table = folder, table + 'step = "receiving"\n'

    def start(self, *, plugged: bool = True) -> None:
        if plugged:
            self.rig.plug()
        environment = self.rig.environment
        self.edge = ReadingProcess(self._folder / "site.toml", self._table, environment)
        if plugged:
            self.edge.until_up("gate-1")

    def told(self, *texts: str) -> None:
        """Wait until so many were told; they must be these, once each, in this order."""
        self.edge.until(lambda: len(self.edge.texts()) >= len(texts))
        assert self.edge.texts() == list(texts)

    def counter(self, name: str) -> int:
        count: int = self.edge.status()["gate-1"]["counters"].get(name, 0)
        return count

    def until_down(self) -> None:
        self.edge.until(lambda: self.edge.status()["gate-1"]["link"] == "down")


@pytest.fixture(params=sorted(RIGS))
def post(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Post]:
    missing = missing_for(request.param)
    if missing:
        pytest.skip(missing)
    one = Post(RIGS[request.param](tmp_path), tmp_path)
    yield one
    one.edge.stop()
    one.rig.close()


def test_each_text_is_told_once_whatever_ends_it(post: Post) -> None:
    post.start()
    post.rig.scan("FIRST", end="")
    post.told("FIRST")
    for end in ("\r", "\n", "\r\n"):
        post.rig.scan(TEXT, end=end)
    post.rig.scan(TEXT)
    post.told("FIRST", TEXT, TEXT, TEXT, TEXT)
    (one, *_) = post.edge.told
    assert (one["reader"], one["step"]) == ("gate-1", "receiving")


def test_control_characters_stay_in_the_text(post: Post) -> None:
    post.start()
    post.rig.scan("A\x1d92\x03\x1bB")
    post.told("A\x1d92\x03\x1bB")
    post.rig.scan("]C1010690123456789221A1\x1d10L7")
    post.told("A\x1d92\x03\x1bB", "(01)06901234567892(21)A1(10)L7")


def test_a_burst_is_told_in_order(post: Post) -> None:
    post.start()
    texts = [f"BOX-{number:04d}" for number in range(100)]
    for text in texts:
        post.rig.scan(text)
    post.told(*texts)


def test_a_scanner_that_comes_goes_and_comes_is_read_each_time(post: Post) -> None:
    post.start(plugged=False)
    for number in range(3):
        post.rig.plug()
        post.edge.until_up("gate-1", timeout_s=5)
        post.rig.scan(f"PLUG-{number}")
        post.told(*(f"PLUG-{one}" for one in range(number + 1)))
        post.rig.unplug()
        post.until_down()
    assert (post.counter("device_opens"), post.counter("device_failures")) == (3, 3)


def test_a_text_that_was_torn_is_not_told(post: Post) -> None:
    post.start()
    post.rig.scan("WHOLE-1")
    post.told("WHOLE-1")
    post.rig.scan("TORN", end="")
    post.edge.until(lambda: post.counter("texts_torn") == 1)
    post.rig.scan("TORN-TOO", end="")
    post.rig.unplug()
    post.until_down()
    post.rig.plug()
    post.edge.until_up("gate-1", timeout_s=5)
    post.rig.scan("WHOLE-2")
    post.told("WHOLE-1", "WHOLE-2")


def test_a_text_that_is_too_long_is_a_record_and_the_next_is_whole(post: Post) -> None:
    post.start()
    for text in ("x" * 4096, "y" * 5000, "z"):
        post.rig.scan(text)
    post.told("x" * 4096, "y" * 4096, "z")
    assert [one["findings"] for one in post.edge.told] == [[], ["too_long"], []]
    assert post.counter("texts_too_long") == 1
