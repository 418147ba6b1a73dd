"""The shipped daemon with a signed snapshot on its disk: judged offline, filled by the page."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cloud.cylinders.facts import Changes
from cloud.cylinders.snapshots import SnapshotBook
from cloud.trust.signing import anchors, sign
from edge.interlock.snapshot import SnapshotKeeper
from edge.remote.anchors import FILE as ANCHORS
from edge.remote.anchors import verify
from protocols.clock import SystemClock
from protocols.durable import write_durably
from simulators.processes import free_port
from simulators.weighing import Weight
from tests.support.filling_place import BOOK, GOOD, OVERDUE, Devices, Registry, devices
from tests.support.stations import held

FILLER = "org-7"


def three(_filler: str, cursor: int) -> Changes:
    """What the registry says of the three cylinders of the place."""
    cylinders = tuple(Registry().cylinders.values()) if cursor == 0 else ()
    return Changes(cylinders=cylinders, gone=(), cursor=1, more=False)


def give_snapshot(keys: Path, state: Path, folder: Path) -> None:
    """Put on a gateway's disk what its service would have sent."""
    clock = SystemClock()
    book = SnapshotBook(
        folder,
        three,
        clock,
        sign=partial(sign, keys),
        rules=lambda: BOOK,
        permits=lambda _: held("lpg"),
        issue_each_s=60,
    )
    (state / ANCHORS).parent.mkdir(parents=True)
    text = json.dumps({"schema": 1, "keys": [key.hex() for key in anchors(keys)]})
    write_durably(state / ANCHORS, text.encode())
    keeper = SnapshotKeeper(state, filler=FILLER, anchors=lambda: anchors(keys), verify=verify)
    keeper.load()
    signed = book.offer(FILLER, 0, whole=True)
    wanted = keeper.look(signed, clock.wall_ms())
    assert wanted is not None
    fetched = keeper.folder / f"{wanted.sha256}.packed"
    fetched.write_bytes(book.file(FILLER, wanted.sha256).read_bytes())
    assert keeper.take(signed, fetched, clock.wall_ms())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Devices]:
    with devices(tmp_path / "devices") as found:
        yield found


class Panel:
    """The page, pressed by hand."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def seen(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"{self._url}/state", timeout=5) as answer:
                told: dict[str, Any] = json.loads(answer.read())
        except OSError:
            return {}
        return told["gates"][0] | {"snapshot": told["snapshot"]} if told["gates"] else {}

    def press(self, **act: object) -> None:
        body = json.dumps({"gate": "gun-1", **act}).encode()
        request = urllib.request.Request(
            f"{self._url}/act", body, {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=5).close()


async def until(check: Callable[[], object], what: str, within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(check):
            await asyncio.sleep(0.02)
    assert what


async def test_the_daemon_fills_by_the_snapshot_on_its_disk_and_without_one_nothing(
    place: Devices, tmp_path: Path
) -> None:
    port, state = free_port(), tmp_path / "state"
    give_snapshot(tmp_path / "keys", state, tmp_path / "cloud")
    site = place.site(1, screen=f"127.0.0.1:{port}")
    panel = Panel(port)
    command = [sys.executable, "-m", "edge", "run", "--site", str(site), "--state", str(state)]
    child = subprocess.Popen(command)
    try:
        await until(lambda: panel.seen().get("snapshot", {}).get("state") == "fresh", "snapshot")
        place.put(OVERDUE)
        await until(lambda: panel.seen().get("show") == "do_not_fill", "refused")
        place.take(OVERDUE)
        await until(lambda: panel.seen().get("show") == "idle", "away")
        place.put(GOOD)
        await until(lambda: panel.seen().get("before_kg") == 16.0, "weighed")
        panel.press(do="name", person="op-7")
        panel.press(do="all_passed")
        await until(lambda: place.gun.open, "open")
        place.scale.show(Weight(30.4))
        await until(lambda: not place.gun.open, "closed")
        await until(lambda: panel.seen().get("show") == "done", "weighed again")
        assert panel.seen()["after_kg"] == 30.4
    finally:
        child.terminate()
        assert child.wait(10) == 0
    place.take(GOOD)
    for kept in (state / "snapshot").iterdir():
        kept.unlink()
    child = subprocess.Popen(command)
    try:
        await until(lambda: panel.seen().get("show") in {"idle", "blocked"}, "started")
        place.put(GOOD)
        await until(lambda: panel.seen().get("reasons"), "judged")
        reasons = {one["id"] for one in panel.seen()["reasons"]}
        assert {"code_unknown", "snapshot_none"} <= reasons
    finally:
        child.terminate()
        child.wait(10)
