"""The hall's campaign: its bad snapshots are bad as they say, and its ledger finds faults."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from cloud.trust.signing import anchors
from edge.interlock.snapshot import SnapshotKeeper
from edge.remote.anchors import verify
from edge.remote.fetch import fetch_file
from protocols.cylinders.manifest import Manifest
from protocols.errors import RefuseInput
from protocols.records import Fill, FillReason
from protocols.signed import Signed
from simulators.filling_hall import load_story
from simulators.hall_crew import Result
from simulators.hall_story import Expect, Visit, asset_of
from simulators.processes import free_port
from tests.campaigns.hall_ledger import Recorded, Shown, balance, table
from tests.campaigns.hall_offers import (
    FalseService,
    Genuine,
    Offer,
    bad_offers,
    expired,
    older,
)
from tests.support.filling_halls import Issuer

STORY = load_story()
GOOD, OVERDUE = 1, 5


class Station:
    """A gateway's keeper, and the service whose keys it trusts."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.issuer = folder, Issuer(STORY, folder / "service")
        signed = self.issuer.book.offer(STORY.filler, 0, whole=True)
        envelope = msgspec.json.decode(signed, type=Signed)
        manifest = msgspec.json.decode(envelope.body, type=Manifest)
        assert manifest.file is not None
        packed = self.issuer.book.file(STORY.filler, manifest.file.sha256).read_bytes()
        self.genuine = Genuine(envelope, manifest, packed)
        self.now_ms = self.issuer.clock.wall_ms()

    def keeper(self, name: str) -> SnapshotKeeper:
        state = self.folder / name
        state.mkdir()
        keeper = SnapshotKeeper(
            state,
            filler=STORY.filler,
            anchors=lambda: anchors(self.issuer.keys),
            verify=verify,
        )
        keeper.load()
        return keeper

    def give(self, keeper: SnapshotKeeper, offer: Offer) -> None:
        """Let a keeper take an offer as the fetcher would, over HTTP."""
        wanted = keeper.look(offer.signed, self.now_ms)
        path = keeper.folder / "fetched.packed"
        if wanted is not None:
            port = free_port()
            with FalseService(port, offer):
                url = f"http://127.0.0.1:{port}/x/{wanted.sha256}"
                fetch_file(url, path, size=wanted.size, sha256=wanted.sha256)
        keeper.take(offer.signed, path, self.now_ms)


def test_each_bad_snapshot_is_refused_for_what_is_wrong_with_it(tmp_path: Path) -> None:
    station = Station(tmp_path)
    bad = bad_offers(
        station.genuine, STORY, station.issuer.keys, station.now_ms, tmp_path / "stranger"
    )
    assert len({one.refused for one in bad}) == len(bad)
    keeper = station.keeper("state")
    for offer in bad:
        with pytest.raises(RefuseInput) as error:
            station.give(keeper, offer)
        assert (offer.about, error.value.reason) == (offer.about, offer.refused)
        assert keeper.snapshot is None
    late = expired(station.genuine, station.issuer.keys, station.now_ms)
    station.give(keeper, late)
    assert keeper.snapshot is not None
    assert keeper.snapshot.state_at(station.now_ms) == "expired"
    old = older(station.genuine, station.issuer.keys, station.now_ms)
    with pytest.raises(RefuseInput) as error:
        station.give(keeper, old)
    assert error.value.reason == old.refused


def visit(bottle: str, outcome: str, *reasons: str) -> Result:
    expect = msgspec.convert({"outcome": outcome, "reasons": reasons}, Expect)
    result = Result(Visit(place="gun-1", bottle=bottle, expect=expect))
    result.outcome, result.reasons = expect.outcome, set(reasons)
    return result


def a_filling(number: int = 11, net_kg: float = 4.5) -> list[Fill]:
    asset = asset_of(GOOD)
    released = Fill(
        gate="gun-1", at=1, number=number, step="released", asset=asset, decision="fill"
    )
    ended = Fill(gate="gun-1", at=2, number=number + 1, step="ended", opening=number, asset=asset)
    weighed = replace(ended, number=number + 2, step="weighed", net_kg=net_kg)
    return [released, ended, weighed]


def a_refusal() -> Fill:
    why = FillReason(reason="inspection_overdue", decision="do_not_fill")
    return Fill(
        gate="gun-1", at=0, number=10, step="decided", asset=asset_of(OVERDUE), reasons=[why]
    )


@pytest.fixture
def shown() -> Shown:
    """Return a hall that filled one bottle and refused one."""
    filled = visit("good", "filled")
    filled.opened, filled.flowed_kg = 1, 4.45
    refused = visit("overdue", "refused", "inspection_overdue")
    shown = Shown({"a morning": [refused, filled]})
    shown.opened["gun-1"] = 1
    return shown


def sound() -> Recorded:
    return Recorded([a_refusal(), *a_filling()], [{"gate": "gun-1", "opening": 11}])


def test_nothing_is_found_where_all_adds_up(shown: Shown) -> None:
    ledger = balance(STORY, shown, sound())
    assert ledger.faults == []
    lines = table(shown, sound(), ledger)
    assert lines[1].split() == ["a", "morning", "2", "1", "1", "0", "0", "0", "4.5"]
    assert lines[-3:] == [
        "  wrong decisions                        0",
        "  records lost                           0",
        "  records doubled                        0",
    ]


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("doubled", lambda fills: fills.append(fills[0])),
        ("lost", lambda fills: fills.pop(0)),
        ("lost", lambda fills: fills.pop(1)),
        ("lost", lambda fills: fills.pop(2)),
        ("lost", lambda fills: fills.pop(3)),
        ("lost", lambda fills: fills.__setitem__(3, replace(fills[3], net_kg=1.0))),
        ("wrong", lambda fills: fills.__setitem__(1, replace(fills[1], decision="do_not_fill"))),
        ("wrong", lambda fills: fills.__setitem__(1, replace(fills[1], asset=asset_of(OVERDUE)))),
    ],
)
def test_what_is_doubled_lost_or_wrong_in_the_log_is_found(
    shown: Shown, kind: str, spoil: Callable[[list[Fill]], object]
) -> None:
    recorded = sound()
    fills = list(recorded.fills)
    spoil(fills)
    recorded.fills = fills
    ledger = balance(STORY, shown, recorded)
    assert getattr(ledger, kind), ledger


def test_an_opening_that_the_valve_knows_alone_and_a_filling_registered_twice_are_found(
    shown: Shown,
) -> None:
    shown.opened["gun-1"] = 2
    recorded = sound()
    recorded.fillings = [*recorded.fillings, *recorded.fillings]
    ledger = balance(STORY, shown, recorded)
    assert len(ledger.lost) == len(ledger.doubled) == 1
    shown.results[0].opened = 1
    assert balance(STORY, shown, recorded).wrong == ["gun-1: its valve opened for overdue"]
    recorded.fillings = []
    assert "('gun-1', 11): not in the registry" in balance(STORY, shown, recorded).lost
