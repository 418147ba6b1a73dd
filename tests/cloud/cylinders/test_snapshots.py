"""What the service issues: now and then, what bears on a station, through damage and copies."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from cloud.cylinders.facts import Changes
from protocols.cylinders.base import Cylinder
from protocols.errors import RefuseInput
from tests.support.snapshot_station import Station


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Station:
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    return Station(tmp_path)


def body(signed: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.loads(signed)["body"])
    return found


def whole(station: Station, have: int = 0) -> dict[str, Any]:
    return body(station.book.offer(station.filler, have, whole=True))


def same(station: Station) -> bool:
    snapshot, stock = station.keeper.snapshot, station.stock.stock
    assert snapshot
    assert snapshot.manifest.cylinders == len(stock.cylinders)
    return all(snapshot.find(code) == one for code, one in stock.cylinders.items())


def test_nothing_new_is_issued_before_its_time(station: Station) -> None:
    first = whole(station)
    station.stock.edit(30)
    station.clock.advance(59_000)
    assert body(station.book.offer(station.filler, first["number"])) == first
    station.clock.advance(1_000)
    then = body(station.book.offer(station.filler, first["number"]))
    assert then["previous"] == first["number"]
    assert then["issued_at"] == station.clock.wall_ms()


def test_what_bears_on_nothing_is_not_told(station: Station) -> None:
    first = whole(station)
    stock = station.stock.stock
    same_again = list(stock.cylinders.values())
    unsorted = [
        Cylinder(
            **{name: getattr(one, name) for name in one.__struct_fields__} | {"tag_uids": uids}
        )
        for one in same_again
        if len(uids := one.tag_uids[::-1]) > 1
    ]

    def busy(_filler: str, cursor: int) -> Changes:
        return Changes(
            cylinders=(*same_again, *unsorted),
            gone=("cylinder:never",),
            denied=stock.denied,
            admitted=("cylinder:never",),
            cursor=cursor + 1,
            more=False,
        )

    station.book._changed = busy
    station.later(None)
    assert body(station.book.offer(station.filler, first["number"]))["file"] is None


def test_what_changes_while_it_is_read_comes_with_the_next_issue(station: Station) -> None:
    one, other, gone = (Cylinder(code=f"cylinder:{n}", kind="k", gas="g") for n in range(3))
    changed = Cylinder(code=one.code, kind="k", gas="other")

    def moving(_filler: str, cursor: int) -> Changes:
        if cursor == 0:
            return Changes(cylinders=(one, gone), gone=(), cursor=2, more=True)
        return Changes(cylinders=(other, changed), gone=(gone.code,), cursor=5, more=False)

    station.book._changed = moving
    station.catch_up()
    station.later(None)
    station.catch_up()
    snapshot = station.keeper.snapshot
    assert snapshot
    assert snapshot.find(one.code) == changed
    assert snapshot.find(other.code) == other
    assert snapshot.find(gone.code) is None


def test_a_whole_one_stays_for_those_who_are_fetching_it(station: Station) -> None:
    first = whole(station)
    station.later(20)
    assert whole(station) == first, "from there increments lead on"
    station.catch_up()
    assert station.keeper.status()["increments"] == 1
    newer = whole(station, station.keeper.have)
    assert newer["number"] == station.keeper.have
    assert newer["file"] != first["file"]
    assert whole(station) == first
    assert same(station)


def test_only_what_is_named_is_kept(station: Station) -> None:
    station.catch_up()
    for _ in range(5):
        station.later(20)
        station.catch_up()
        whole(station, station.keeper.have)
    folder = station.folder / "snapshots" / station.filler
    kept = json.loads((folder / "book.json").read_text())
    named = {one["sha256"] for one in (*kept["chain"], *kept["wholes"])}
    named |= {"book.json", f"{kept['base']['sha256']}.base"}
    assert {path.name for path in folder.iterdir()} == named
    assert len(kept["wholes"]) == 2


@pytest.mark.parametrize("what", ["book.json", "*.base", "*"])
def test_a_damaged_file_makes_a_whole_one_of_a_new_number(station: Station, what: str) -> None:
    station.catch_up()
    station.later(20)
    station.catch_up()
    folder = station.folder / "snapshots" / station.filler
    for path in folder.glob(what):
        path.write_bytes(path.read_bytes()[:-1])
    station.later(20)
    station.catch_up()
    assert station.keeper.counters["snapshots_refused"] == 0
    assert same(station)


def test_after_a_copy_was_put_back_gateways_go_on(station: Station, tmp_path: Path) -> None:
    station.catch_up()
    shutil.copytree(station.folder / "snapshots", tmp_path / "copy")
    station.later(20)
    station.catch_up()
    shutil.rmtree(station.folder / "snapshots")
    shutil.copytree(tmp_path / "copy", station.folder / "snapshots")
    station.later(20)
    station.catch_up()
    assert station.keeper.counters["snapshots_refused"] == 0
    assert same(station)


@pytest.mark.parametrize("filler", ["", ".", "..", "a/b", "-x", "x" * 65, "汽"])
def test_a_name_that_no_filler_has_is_nothing(station: Station, filler: str) -> None:
    with pytest.raises(RefuseInput, match="not_found"):
        station.book.offer(filler, 0)
    with pytest.raises(RefuseInput, match="not_found"):
        station.book.file(filler, "0" * 64)
