"""A filling hall's gateway that has its snapshot already: no service is needed to begin."""

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cloud.cylinders.facts import Changes
from cloud.cylinders.snapshots import SnapshotBook
from cloud.trust.signing import anchors, sign
from edge.interlock.snapshot import SnapshotKeeper
from edge.remote.anchors import FILE as ANCHORS
from edge.remote.anchors import verify
from protocols.catalog.files import data_root
from protocols.clock import Clock, SystemClock
from protocols.cylinders.base import Cylinder, MarkedDate
from protocols.cylinders.load import load_rules
from protocols.durable import write_durably
from simulators.hall_story import Bottle, Story, asset_of, chips_of, entry_of
from tests.support.stations import held

BOOK = load_rules(data_root() / "cylinders")


def cylinder_of(number: int, bottle: Bottle, story: Story) -> Cylinder:
    """Return a bottle as the registry would tell of it."""
    entry = entry_of(number, bottle, story, year=datetime.now(UTC).year, district="")
    return Cylinder(
        code=asset_of(number),
        kind=entry["kind"],
        gas=entry["gas"],
        standard=entry["standard"],
        state="scrapped" if bottle.scrapped else "in_use",
        manufactured_on=MarkedDate.parse(entry["manufactured_on"]),
        filler=entry["filler"],
        tare_kg=entry["tare_kg"],
        allowable_fill_kg=entry["allowable_fill_kg"],
        tag_uids=tuple(sorted(chips_of(number))),
    )


class Issuer:
    """What the service would issue to the hall's station."""

    def __init__(self, story: Story, folder: Path, clock: Clock | None = None) -> None:
        self.story, self.keys, self.clock = story, folder / "keys", clock or SystemClock()
        self.cylinders = {
            n: cylinder_of(n, one, story)
            for n, one in enumerate(story.bottles, 1)
            if one.registered
        }
        self.book = SnapshotBook(
            folder / "issued",
            self._changed,
            self.clock,
            sign=partial(sign, self.keys),
            rules=lambda: BOOK,
            permits=lambda _: held(*{one.gas for one in story.places}),
            issue_each_s=60,
        )

    def trust(self, state: Path) -> None:
        """Let a gateway know the keys, as enrolment does."""
        (state / ANCHORS).parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"schema": 1, "keys": [key.hex() for key in anchors(self.keys)]})
        write_durably(state / ANCHORS, text.encode())

    def give(self, state: Path) -> None:
        """Put what is issued now on a gateway's disk."""
        self.trust(state)
        keeper = SnapshotKeeper(
            state, filler=self.story.filler, anchors=lambda: anchors(self.keys), verify=verify
        )
        keeper.load()
        signed = self.book.offer(self.story.filler, 0, whole=True)
        wanted = keeper.look(signed, self.clock.wall_ms())
        assert wanted is not None
        fetched = keeper.folder / f"{wanted.sha256}.packed"
        fetched.write_bytes(self.book.file(self.story.filler, wanted.sha256).read_bytes())
        assert keeper.take(signed, fetched, self.clock.wall_ms())

    def _changed(self, _filler: str, cursor: int) -> Changes:
        cylinders = tuple(self.cylinders.values()) if cursor == 0 else ()
        own = tuple(one for one in cylinders if one.filler == self.story.filler)
        return Changes(cylinders=own, gone=(), cursor=1, more=False)
