"""What a gateway does with configurations, around a daemon that heals or not as the test says."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cloud.trust.signing import anchors, sign
from edge.check import check
from edge.remote import config
from edge.remote.config import Configurer
from edge.remote.store import ConfigStore
from edge.setup import Setup, load_setup
from protocols.signed import Configuration, seal

SITE = 'schema = 1\ngateway_id = "gw-1"\n[uplink]\nbroker = "mqtt://x"\n# {}\n'


class Daemon:
    """Takes every setup; healthy unless told otherwise."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.why_not: str | None = None
        self.told: list[tuple[str, str, str]] = []
        self.applied: list[int] = []

    async def apply(self, setup: Setup) -> None:
        self.setup = setup
        self.applied.append(setup.version)

    async def prove(self, within_s: float) -> str | None:
        await asyncio.sleep(0)
        return self.why_not

    def reply(self, command_id: str, *, ok: bool, result: dict[str, Any]) -> None:
        self.told.append((command_id, result["state"], result["reason"]))

    def cloud_ms(self) -> int:
        return 1_764_000_000_000


class Place:
    """A state folder with a configurer."""

    def __init__(self, folder: Path) -> None:
        self.keys, self.state, self.site = folder / "keys", folder / "state", folder / "site.toml"
        self.site.write_text(SITE.format("local"))
        (self.state / "identity").mkdir(parents=True)
        known = {"schema": 1, "keys": [key.hex() for key in anchors(self.keys)]}
        (self.state / "identity" / "anchors.json").write_text(json.dumps(known))
        self.store = ConfigStore(self.state, self.site, None, load_setup)
        self.daemon = Daemon(self.store.choose())
        self.configurer = Configurer(self.store, self.daemon, state=self.state, check=check)

    def document(self, version: int, **more: Any) -> bytes:
        fields = {"gateway_id": "gw-1", "issued_at": 1, "site": SITE.format(version)}
        told = Configuration(**{**fields, "version": version, **more})
        return seal("config", told, partial(sign, self.keys))

    async def take(self, *payloads: bytes) -> None:
        """Hand messages over, one by one, and wait until each is dealt with."""
        task = asyncio.create_task(self.configurer.run())
        counters, done = self.configurer.counters, 0
        for payload in payloads:
            self.configurer.take(payload)
            done = sum(counters.values()) + bool(payload)
            async with asyncio.timeout(5):
                while sum(counters.values()) < done:
                    await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_one_is_applied_once_however_often_it_comes(place: Place) -> None:
    raw = place.document(3)
    await place.take(raw, raw, b"", raw)
    assert place.daemon.applied == [3]
    assert place.configurer.counters["configs_repeated"] == 2
    again = Configurer(place.store, place.daemon, state=place.state, check=check)
    place.configurer = again
    place.daemon.told.clear()
    await place.take(raw)
    assert place.daemon.told == [("config:3", "applied", "")], "the outcome is told at each start"
    assert place.daemon.applied == [3]


async def test_an_old_one_sent_again_changes_nothing_that_is_told(place: Place) -> None:
    await place.take(place.document(3), place.document(3, issued_at=2))
    assert place.daemon.told[-1] == ("config:3", "refused", "stale")
    outcome = place.store.pointer.outcome
    assert outcome is not None
    assert (outcome.version, outcome.state) == (3, "applied")


async def test_unhealthy_is_taken_back_and_not_tried_again(place: Place) -> None:
    await place.take(place.document(1))
    place.daemon.why_not = "no_ack"
    raw = place.document(2)
    await place.take(raw, raw)
    assert place.daemon.applied == [1, 2, 1]
    assert place.daemon.told[-1] == ("config:2", "rolled_back", "no_ack")
    place.daemon.why_not = None
    await place.take(place.document(2, issued_at=2))
    assert place.daemon.told[-1][1:] == ("refused", "stale")
    await place.take(place.document(3))
    assert place.store.pointer.version == 3


async def test_a_link_in_place_of_the_folder_is_not_followed(place: Place, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (place.state / "config").symlink_to(tmp_path / "elsewhere")
    await place.take(place.document(1))
    assert place.daemon.told[-1][1:] == ("refused", "disk")
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] in ([], ["current.json"])
    assert place.daemon.applied == []


async def test_without_anchors_nobody_is_believed(place: Place) -> None:
    file = place.state / "identity" / "anchors.json"
    for text in ("{}", '{"schema": 1, "keys": ["xy"]}', "\0"):
        file.write_text(text)
        await place.take(place.document(1, issued_at=hash(text)))
    file.unlink()
    await place.take(place.document(1))
    assert {told[1:] for told in place.daemon.told} == {("refused", "no_anchors")}
    assert place.daemon.applied == []


async def test_a_flood_is_counted_but_not_all_of_it_told(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "REPORTS_MAX", 3)
    place.configurer = Configurer(place.store, place.daemon, state=place.state, check=check)
    await place.take(*[f"no. {number}".encode() for number in range(10)])
    assert place.configurer.counters["configs_refused"] == 10
    assert len(place.daemon.told) == 3
    assert place.daemon.told[0] == ("config:unknown", "refused", "malformed")
    assert not (place.state / "config").exists(), "nothing is written for what nobody signed"


async def test_newer_ones_push_out_those_that_wait(place: Place) -> None:
    for number in range(1, 8):
        place.configurer.take(place.document(number))
    task = asyncio.create_task(place.configurer.run())
    async with asyncio.timeout(10):
        while place.store.pointer.version != 7:
            await asyncio.sleep(0.01)
    task.cancel()
    assert place.daemon.applied == [4, 5, 6, 7]


def test_only_what_differs_gets_another_mark(tmp_path: Path) -> None:
    bus = (
        '[[buses]]\nid = "{0}"\nkind = "modbus_tcp"\nhost = "h"\n[[buses.devices]]\n'
        'asset = "elevator:{0}"\ncontroller = "{1}"\n'
    )
    readers = (
        '[[readers]]\nid = "r-1"\nkind = "pcsc"\ndevice = "x"\n'
        '[[scanners]]\nid = "s-1"\nkind = "barcode_serial"\ndevice = "/dev/x"\npair = "r-1"\n'
        '[[scanners]]\nid = "s-2"\nkind = "barcode_serial"\ndevice = "/dev/y"\n'
    )
    head = 'schema = 1\ngateway_id = "gw-1"\n[uplink]\nbroker = "mqtt://x"\n'
    text = head + bus.format("b-1", "gbt24476-adapter") + bus.format("b-2", "own") + readers
    site, overlay = tmp_path / "site.toml", tmp_path / "overlay"
    (overlay / "controllers").mkdir(parents=True)

    def marks(text: str, addresses: str = "1") -> dict[str, str]:
        site.write_text(text)
        (overlay / "controllers" / "own.toml").write_text(
            'schema = 1\nid = "own"\nkind = "elevator"\n[[points]]\nname = "car_position"\n'
            f'table = "holding_register"\naddress = {addresses}\ntype = "uint16"\n'
        )
        return load_setup(site, overlay).marks()

    before = marks(text)

    def changed(after: dict[str, str]) -> set[str]:
        return {name for name in after if after[name] != before.get(name)}

    assert changed(marks(text)) == set()
    assert changed(marks(text, "2")) == {"b-2"}
    assert changed(marks(text.replace('"x"', '"other"'))) == {"r-1", "s-1"}
    assert changed(marks(text.replace("/dev/x", "/dev/z"))) == {"r-1", "s-1"}
    assert changed(marks(text.replace("/dev/y", "/dev/z"))) == {"s-2"}
    assert changed(marks(text.replace('host = "h"\n', 'host = "h2"\n', 1))) == {"b-1"}
    msgspec.json.encode(before)
