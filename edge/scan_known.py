"""What a handheld knows without asking: the rule book and the snapshot, as the service sent them.

Below the state folder:

STATE/rules.json                  the rule book
STATE/identity/anchors.json       the keys that sign snapshots
STATE/snapshot/…                  the snapshot, as on a gateway
"""

import asyncio
import shutil
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from edge.handheld.desk import Known
from edge.handheld.link import Link
from edge.handheld.session import Session
from edge.handheld.timing import HandTime
from edge.handheld.workflow import NothingKnown
from edge.interlock.snapshot import FOLDER, SnapshotKeeper
from edge.remote.anchors import FILE as ANCHORS
from edge.remote.anchors import read_anchors, verify
from edge.remote.fetch import fetch_file
from protocols.catalog.files import data_root
from protocols.cylinders.base import Cylinder, StationPermits
from protocols.cylinders.book import RuleBook, read_book
from protocols.cylinders.load import load_rules
from protocols.cylinders.snapshot import Snapshot
from protocols.durable import PRIVATE, write_durably
from protocols.errors import RefuseInput, RetryLater
from protocols.signed import Hex32

RULES = "rules.json"
"""The rule book as the service sent it last, below the state folder."""
FETCH_S = 600.0
"""What of a snapshot's file is not here by then is fetched at the next contact."""
ISSUES_MAX = 100
"""That are taken at one contact."""


class Keys(Struct, frozen=True):
    """The service's answer, and the file: whose word counts. It came over TLS."""

    keys: Annotated[list[Hex32], Meta(min_length=1, max_length=2)]
    schema: Literal[1] = 1


class Rules:
    """Keeps the rule book as the service has it."""

    def __init__(self, state: Path, link: Link, known: Known) -> None:
        self._file, self._link, self._known = state / RULES, link, known
        self._etag = ""

    async def fetch(self, token: str) -> None:
        """Take a newer one; RetryLater, RefuseInput. A service without rules changes nothing."""
        try:
            found = await self._link.fetch(token, "/api/v1/handheld/rules", self._etag)
        except RefuseInput as refused:
            if refused.reason == "not_found":
                return
            raise
        if found is not None:
            raw, etag = found
            self._known.book = read_book(raw)
            await _write(self._file, raw)
            self._etag = etag


class OnSnapshot:
    """What a snapshot tells of cylinders; a text that can be no code is of none."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def find(self, code: str) -> Cylinder | None:
        """Return a cylinder by its asset id."""
        try:
            return self._snapshot.find(code)
        except RefuseInput:
            return None

    def find_tag(self, uid: str) -> str | None:
        """Return the asset id of the cylinder with a tag, capital hex digits."""
        try:
            return self._snapshot.find_tag(uid)
        except RefuseInput:
            return None

    @property
    def permits(self) -> StationPermits | None:
        """What the organisation may fill."""
        return self._snapshot.permits


class Snapshots:
    """Keeps the snapshot of the organisation whose people hold the device.

    It is checked as on a gateway: signed, complete, for this organisation, not older than what was
    here, and it takes the place of the last by one rename.
    """

    def __init__(
        self, state: Path, link: Link, known: Known, session: Session, time: HandTime
    ) -> None:
        self._state, self._link, self._known = state, link, known
        self._session, self._time = session, time
        self._keeper: SnapshotKeeper | None = None

    def load(self) -> None:
        """Open what an earlier run kept; what is not sound is left out."""
        if self._session.state == "revoked":
            self.wipe()
        elif self._session.organisation:
            self._open(self._session.organisation)

    def wipe(self) -> None:
        """Forget it: the device was reported lost."""
        self._keeper, self._known.cylinders = None, NothingKnown()
        shutil.rmtree(self._state / FOLDER, ignore_errors=True)

    async def fetch(self, token: str) -> None:
        """Take what is new; RetryLater. What is refused changes nothing, and is told."""
        organisation = self._session.organisation
        if not organisation:
            return
        await self._fetch_keys(token)
        keeper = self._keeper
        if keeper is None or keeper.filler != organisation:
            keeper = await asyncio.to_thread(self._open, organisation)
        try:
            for _ in range(ISSUES_MAX):
                if not await self._step(keeper, token):
                    break
            if keeper.merge_due(self._now_ms()):
                await asyncio.to_thread(keeper.merge)
        except RefuseInput as refused:
            if refused.reason in ("no_token", "device_revoked"):
                raise
            if refused.reason not in ("not_found", "forbidden"):  # no cylinders there, or for them
                keeper.refuse(refused)
                raise RetryLater(f"snapshot: {refused}") from None
        finally:
            self._show(keeper)

    async def _step(self, keeper: SnapshotKeeper, token: str) -> bool:
        """Ask, and take what is offered; tells whether it was new."""
        whole = "&whole=true" if keeper.need_whole else ""
        path = f"/api/v1/handheld/snapshot?have={keeper.have}{whole}"
        found = await self._link.fetch(token, path)
        if found is None:
            return False
        wanted, file = keeper.look(found[0], self._now_ms()), None
        if wanted is not None:
            file = keeper.folder / f"{wanted.sha256}.packed"
            url = self._link.url(f"/api/v1/stations/{keeper.filler}/snapshot/{wanted.sha256}")
            size, sha256 = wanted.size, wanted.sha256
            await asyncio.to_thread(
                fetch_file, url, file, size=size, sha256=sha256, within_s=FETCH_S
            )
        return await asyncio.to_thread(keeper.take, found[0], file, self._now_ms())

    async def _fetch_keys(self, token: str) -> None:
        try:
            found = await self._link.fetch(token, "/api/v1/handheld/keys")
        except RefuseInput as refused:
            if refused.reason == "not_found":
                return
            raise
        if found is None:
            return
        try:
            keys = msgspec.json.decode(found[0], type=Keys)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise RetryLater(f"keys: {str(error)[:200]}") from None
        file = self._state / ANCHORS
        file.parent.mkdir(mode=0o700, exist_ok=True)
        await _write(file, msgspec.json.encode(keys))

    def _open(self, organisation: str) -> SnapshotKeeper:
        keeper = SnapshotKeeper(
            self._state,
            filler=organisation,
            anchors=lambda: read_anchors(self._state),
            verify=verify,
        )
        keeper.load()
        self._keeper = keeper
        self._show(keeper)
        return keeper

    def _show(self, keeper: SnapshotKeeper) -> None:
        snapshot = keeper.snapshot
        if snapshot is not None:
            self._known.cylinders, self._known.state_at = OnSnapshot(snapshot), snapshot.state_at
        self._known.filler = keeper.filler if self._session.fills else ""

    def _now_ms(self) -> int | None:
        """Return the time, None where nobody's word but the device's stands for it."""
        now = self._time.now()
        return now.at_ms if now.source == "service" else None


def first_book(state: Path, overlay: Path | None) -> RuleBook:
    """Return the book that the service sent last, else the one that was installed."""
    try:
        return read_book((state / RULES).read_bytes())
    except (OSError, RefuseInput):
        return load_rules(data_root() / "cylinders", overlay)


async def _write(file: Path, raw: bytes) -> None:
    try:
        await asyncio.to_thread(write_durably, file, raw, PRIVATE)
    except OSError as error:
        raise RetryLater(f"{file}: {error}") from None
