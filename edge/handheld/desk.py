"""All that the screens work with: who is here, what is known, and what is kept."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from edge.handheld.session import Issued, Session
from edge.handheld.store import KeptRecord, Store
from edge.handheld.sync import PHOTOS, Report
from edge.handheld.timing import HandTime
from edge.handheld.workflow import (
    Identified,
    Knowledge,
    Looked,
    NothingKnown,
    Shelf,
    SnapshotState,
    identify,
    look,
)
from protocols.catalog.inspections import Calendar, Form
from protocols.codes.registry import SchemeRegistry
from protocols.cylinders.base import ClockState
from protocols.cylinders.book import RuleBook
from protocols.errors import RefuseInput
from protocols.handheld import PHOTO_BYTES_MAX, Photo, Record, Scan, What


class Known:
    """What was downloaded, as it stands now; the composition root puts it in place."""

    def __init__(self) -> None:
        self.cylinders: Knowledge = NothingKnown()
        self.book: RuleBook | None = None
        self.filler = ""
        """Whose cylinders these are; empty: an office's, which fills nothing."""
        self.state_at: Callable[[int], SnapshotState] = lambda _: "none"
        """How far the cylinders are to be trusted at a time, ms since 1970."""


class Desk:
    """One device at work."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        session: Session,
        time: HandTime,
        known: Known,
        *,
        schemes: SchemeRegistry,
        forms: Mapping[str, Form],
        calendar: Calendar,
        zone: ZoneInfo,
        synchronise: Callable[[], Awaitable[Report]],
        redeem: Callable[[str], Awaitable[Issued]],
    ) -> None:
        """Put the parts together.

        Args:
            folder: the state folder.
            store: what was done.
            session: who works.
            time: what time it is.
            known: what was downloaded.
            schemes: of codes.
            forms: of inspections, by id.
            calendar: of working days.
            zone: in which a day begins and ends.
            synchronise: gives the service what waits.
            redeem: turns a one-time code into a person's token.

        """
        self.folder, self.store, self.session, self.time = folder, store, session, time
        self.known, self.schemes, self.forms, self.calendar = known, schemes, forms, calendar
        self.zone, self.synchronise, self.redeem = zone, synchronise, redeem

    def today(self) -> date:
        """Return the local day by which the device judges."""
        return (
            datetime.fromtimestamp(self.time.now().at_ms / 1000, UTC).astimezone(self.zone).date()
        )

    def record(self, what: What, **also: bytes) -> Record:
        """Keep what was done, durably, and with it what `also` keeps by name.

        Raises:
            RefuseInput: `not_now`: nobody is signed on; as `Store.append`.
            RetryLater: the disk does not take it.

        """
        who = self.session.who()
        if who is None or self.session.state != "signed_on":
            raise RefuseInput("not_now", self.session.state)
        now = self.time.now()
        return self.store.append(
            lambda number: Record(
                number=number,
                observed_at=now.at_ms,
                time_source=now.source,
                person=who.id,
                known_at=self.session.contact_at,
                what=what,
            ),
            time=self.time.encoded(),
            **also,
        )

    def identify(self, text: str) -> Identified:
        """Tell what a text is."""
        return identify(text, self.schemes, self.known.cylinders)

    def look(self, identified: Identified) -> Looked:
        """Judge it, and keep that it was scanned; errors as `record`."""
        now = self.time.now()
        clock: ClockState = "set_back" if now.source == "doubtful" else "trusted"
        looked = look(
            identified,
            self.known.cylinders,
            self.known.book,
            on=self.today(),
            clock=clock,
            snapshot=self.known.state_at(now.at_ms),
            filler=self.known.filler,
        )
        verdict = looked.verdict
        self.record(
            Scan(
                text=identified.text,
                asset=identified.asset,
                decision=verdict.decision if verdict else None,
                reasons=tuple(one.reason for one in verdict.reasons) if verdict else (),
                rules_version=verdict.rules_version if verdict else "",
            )
        )
        return looked

    def count(self, shelf: Shelf) -> list[int]:
        """Keep a count, and what is on the shelf from now on; errors as `record`."""
        there = msgspec.json.encode(list(shelf.seen))
        kept = {f"shelf {shelf.place}": there}
        return [self.record(one, **kept).number for one in shelf.counts()]

    def history(self, asset: str) -> list[KeptRecord]:
        """Return what was done here about a cylinder, the newest first."""
        return self.store.history(asset, 5)

    def new_photo(self, taken: tuple[Photo, ...]) -> Photo | None:
        """Return the newest picture of the folder that is not among those `taken`."""
        folder = self.folder / PHOTOS
        if not folder.is_dir():
            return None
        files = [one for one in folder.iterdir() if one.is_file() and not one.name.startswith(".")]
        for file in sorted(files, key=lambda one: one.stat().st_mtime, reverse=True)[:32]:
            size = file.stat().st_size
            if not 0 < size <= PHOTO_BYTES_MAX:
                continue
            with file.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
            if digest not in {one.sha256 for one in taken}:
                return msgspec.convert(
                    {"file": file.name, "sha256": digest, "size_bytes": size}, Photo
                )
        return None
