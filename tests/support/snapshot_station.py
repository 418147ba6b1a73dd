"""A station's snapshots from the issuer to the gateway, with nothing between them."""

import json
import random
import shutil
from functools import partial
from pathlib import Path

from cloud.cylinders.facts import Changes
from cloud.cylinders.snapshots import SnapshotBook
from cloud.trust.signing import anchors, sign
from edge.interlock.snapshot import SnapshotKeeper
from edge.remote.anchors import verify
from protocols.clock import ManualClock
from protocols.cylinders.base import StationPermits
from protocols.cylinders.book import read_book
from tests.support.stations import Edit, Stock, held


class StockBook:
    """Gives a stock's edits to the issuer; as the registry does, only what is newest of each."""

    def __init__(self, stock: Stock) -> None:
        self.stock, self.edits = stock, list[Edit]()

    def edit(self, changes: int) -> None:
        self.edits.append(self.stock.edit(changes))

    def changed(self, _filler: str, cursor: int) -> Changes:
        """A part of it; a later one may tell otherwise of what an earlier one told."""
        stock, head = self.stock, len(self.edits) + 1
        if cursor == 0:
            cylinders = tuple(stock.cylinders.values())
            return Changes(
                cylinders=cylinders, gone=(), denied=stock.denied, cursor=head, more=False
            )
        if cursor == head:
            return Changes(cylinders=(), gone=(), cursor=head, more=False)
        edit = self.edits[cursor - 1]
        return Changes(
            cylinders=tuple(edit.cylinders),
            gone=tuple(edit.gone),
            denied=edit.denied,
            admitted=tuple(edit.admitted),
            cursor=cursor + 1,
            more=True,
        )


class Station:
    """An issuer with its keys, and the keeper of a gateway that fetches from it by hand."""

    filler = "gas-1"

    def __init__(
        self, folder: Path, seed: int = 1, changes: int = 60, keys: Path | None = None
    ) -> None:
        self.folder = folder
        self.clock = ManualClock(wall_ms=1_790_000_000_000)
        self.permits: StationPermits | None = held("lpg")
        self.stock = StockBook(Stock(random.Random(seed)))
        self.stock.stock.edit(changes)
        self.keys = keys or folder / "cloud"
        self.book = SnapshotBook(
            folder / "snapshots",
            self.stock.changed,
            self.clock,
            sign=partial(sign, self.keys),
            rules=lambda: read_book(self.stock.stock.rules),
            permits=lambda _: self.permits,
            issue_each_s=60,
        )
        self.keeper = self.new_keeper()

    def new_keeper(self, filler: str = filler) -> SnapshotKeeper:
        """As after a start of the daemon."""
        keeper = SnapshotKeeper(
            self.folder / "edge",
            filler=filler,
            anchors=lambda: anchors(self.keys),
            verify=verify,
        )
        keeper.load()
        return keeper

    def later(self, changes: int | None) -> None:
        """Let time pass and things change; None: nothing."""
        self.clock.advance(61_000)
        if changes is not None:
            self.stock.edit(changes)

    def offer(self, *, whole: bool | None = None) -> tuple[bytes, Path | None]:
        """What the cloud offers, with its file fetched."""
        keeper = self.keeper
        whole = keeper.need_whole if whole is None else whole
        signed = self.book.offer(self.filler, keeper.have, whole=whole)
        told = json.loads(json.loads(signed)["body"])
        if told["file"] is None:
            return signed, None
        file = self.book.file(self.filler, told["file"]["sha256"])
        fetched = keeper.folder / f"{file.name}.packed"
        shutil.copyfile(file, fetched)
        return signed, fetched

    def fetch(self) -> bool:
        signed, file = self.offer()
        if file is not None and self.keeper.look(signed, self.clock.wall_ms()) is None:
            file.unlink()
        return self.keeper.take(signed, file, self.clock.wall_ms())

    def catch_up(self) -> None:
        for _ in range(100):
            if not self.fetch():
                return
        raise AssertionError("it never catches up")
