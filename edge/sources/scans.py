"""From sightings of tags and bar codes to scans: each physical reading once, each as a record."""

from collections.abc import Callable, Iterable, Iterator

from edge.sources.base import (
    Gone,
    Recognised,
    RecogniseTag,
    RecogniseText,
    Scanned,
    Seen,
    TagGone,
    TagSeen,
    TextSeen,
)
from edge.sources.presence import Presence

Judge = Callable[[Scanned], Scanned]
"""Adds to a scan what its counterpart at the same place says against it."""


_WHOLE = b"whole:"
"""Before the key of a tag of which all was read; no EPC and no UID begins like this."""


def _as_it_is(scan: Scanned) -> Scanned:
    return scan


class _Scans:
    """What tags and texts have in common: the scan that is made of them, and its counters."""

    def __init__(self, *, reader: str, step: str | None, judge: Judge) -> None:
        self._reader, self._step, self._judge = reader, step, judge
        self.counters = {"scans": 0, "scans_unread": 0}
        """`scans_unread`: nothing of it could be told, not even a UID."""

    def _scan(
        self,
        found: Recognised,
        at_boot_ms: int,
        rssi_dbm: int | None = None,
        key: bytes = b"",
    ) -> Iterator[Scanned]:
        if not found.codes:
            self._count(found.findings)
            self.counters["scans_unread"] += 1
            return
        scan = self._judge(
            Scanned(
                reader=self._reader,
                step=self._step,
                at_boot_ms=at_boot_ms,
                codes=found.codes,
                findings=found.findings,
                rssi_dbm=rssi_dbm,
                key=key,
                tare_kg=found.tare_kg,
            )
        )
        self._count(scan.findings)
        self.counters["scans"] += 1
        yield scan

    def _count(self, findings: Iterable[str]) -> None:
        for finding in findings:
            name = f"finding_{finding}"
            self.counters[name] = self.counters.get(name, 0) + 1


class TagScans(_Scans):
    """Handles a tag reader."""

    def __init__(
        self,
        *,
        reader: str,
        step: str | None,
        recognise: RecogniseTag,
        presence: Presence,
        judge: Judge = _as_it_is,
    ) -> None:
        super().__init__(reader=reader, step=step, judge=judge)
        self._recognise, self._presence = recognise, presence

    def handle(self, seen: Seen, at_boot_ms: int) -> Iterator[Scanned]:
        """Report a tag that has come; the same tag again only after it was away.

        A torn reading is reported; the whole one that follows while the tag stays is, too.
        """
        if isinstance(seen, TagGone):
            self._presence.leaves(seen.key, at_boot_ms)
            self._presence.leaves(_whole(seen.key), at_boot_ms)
        elif isinstance(seen, TagSeen):
            stays = seen.stays
            arrives = self._presence.arrives(seen.key, at_boot_ms, stays=stays)
            if seen.complete:
                arrives = self._presence.arrives(_whole(seen.key), at_boot_ms, stays=stays)
            if arrives:
                yield from self._scan(self._recognise(seen), at_boot_ms, seen.rssi_dbm, seen.key)

    def passed(self, at_boot_ms: int) -> Iterator[Gone]:
        """Tell which tags have been away by now."""
        for key in self._presence.departed(at_boot_ms):
            if not key.startswith(_WHOLE):
                yield Gone(reader=self._reader, key=key, at_boot_ms=at_boot_ms)

    def resumed(self, broke_at_ms: int, at_boot_ms: int) -> None:
        """Take the tags that were there for still there."""
        self._presence.resumes(broke_at_ms, at_boot_ms)


class TextScans(_Scans):
    """Handles a bar code scanner: each text that it sends is a physical reading."""

    def __init__(
        self,
        *,
        reader: str,
        step: str | None,
        recognise: RecogniseText,
        judge: Judge = _as_it_is,
    ) -> None:
        super().__init__(reader=reader, step=step, judge=judge)
        self._recognise = recognise

    def handle(self, seen: Seen, at_boot_ms: int) -> Iterator[Scanned]:
        """Report a text."""
        if isinstance(seen, TextSeen):
            yield from self._scan(self._recognise(seen.raw), at_boot_ms)

    def passed(self, at_boot_ms: int) -> Iterator[Gone]:
        """Tell nothing: of a bar code nobody knows how long it is there."""
        del at_boot_ms
        yield from ()

    def resumed(self, broke_at_ms: int, at_boot_ms: int) -> None:
        """Need nothing: a text is whole or was never sent."""


def _whole(key: bytes) -> bytes:
    return _WHOLE + key
