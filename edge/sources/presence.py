"""Which sightings of a tag are a new visit: each time a tag comes to a reader is told once."""

import math
from collections import OrderedDict

TAGS_MAX = 10_000
"""Tags remembered; beyond it the one not seen for longest is forgotten, and may be told again."""
RESUME_MS = 1_000
"""What is seen within so long after a reader came back was there before, if it was there then."""


class Presence:
    """Remembers the tags at one reader; pure, times are ms since boot."""

    def __init__(self, away_ms: int) -> None:
        """Start with nothing there.

        Args:
            away_ms: a tag not seen for longer has been away.

        """
        self._away_ms = away_ms
        self._until_ms: OrderedDict[bytes, float] = OrderedDict()

    def arrives(self, key: bytes, at_ms: int, *, stays: bool = False) -> bool:
        """Take a sighting; tell whether it begins a new visit.

        Args:
            key: the tag.
            at_ms: when it was seen.
            stays: it is there until `leaves` says otherwise, seen again or not.

        """
        until_ms = self._until_ms.get(key)
        self._forget(at_ms)
        self._until_ms[key] = math.inf if stays else max(at_ms + self._away_ms, until_ms or 0)
        self._until_ms.move_to_end(key)
        if len(self._until_ms) > TAGS_MAX:
            self._until_ms.popitem(last=False)
        return until_ms is None or at_ms > until_ms

    def leaves(self, key: bytes, at_ms: int) -> None:
        """Take the word of a reader that a tag has left; it has been away after `away_ms`."""
        if key in self._until_ms:
            self._until_ms[key] = at_ms + self._away_ms

    def departed(self, at_ms: int) -> list[bytes]:
        """Forget those that have been away, and return them; who asks often learns of each."""
        gone = [key for key, until_ms in self._until_ms.items() if until_ms < at_ms]
        for key in gone:
            del self._until_ms[key]
        return gone

    def _forget(self, at_ms: int) -> None:
        """Let go of those that have been away: in a hall each cylinder is another tag."""
        while self._until_ms and next(iter(self._until_ms.values())) < at_ms:
            self._until_ms.popitem(last=False)

    def resumes(self, broke_at_ms: int, at_ms: int) -> None:
        """Go on after an outage of the reader: what was there when it broke may still be."""
        still = at_ms + RESUME_MS + self._away_ms
        for key, until_ms in self._until_ms.items():
            if until_ms >= broke_at_ms:
                self._until_ms[key] = still
