"""Which tags a UHF reader has in its field, and what of their memory is still to be read; pure."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

from edge.sources.base import TagSeen

BankName = Literal["tid", "user"]

TAGS_MAX = 10_000
"""Tags remembered; beyond it the one not seen for longest is forgotten, and read anew."""
GRACE_S = 1.0
"""A tag whose memory cannot be read for so long is told without it, as not complete."""
TRY_EVERY_S = 0.2
"""So long between two tries to read the memory of one tag."""

REPEAT_S = 0.05
"""Sightings of tags that are told already are gathered for so long."""

RSSI_BELOW_DBM = 30
"""No tag answers as strong as a reader sends: such a number is none."""


class Visit:
    """One tag from its coming until it has been away."""

    __slots__ = ("banks", "epc", "first_s", "last_s", "missing", "next_try_s", "pc", "rssi", "told")

    def __init__(self, epc: bytes, missing: Sequence[BankName], now_s: float) -> None:
        self.epc = epc
        self.pc = b""
        self.rssi: int | None = None
        self.banks: dict[str, bytes] = {}
        self.missing = list(missing)
        """Banks of which nothing is known yet."""
        self.first_s = self.last_s = now_s
        self.next_try_s = now_s
        self.told = False

    def learn(self, bank: BankName, memory: bytes) -> None:
        """Take what a bank holds; nothing where the tag has no such bank."""
        if bank in self.missing:
            self.missing.remove(bank)
            if memory:
                self.banks[bank] = memory

    @property
    def news(self) -> bool:
        """Whether there is more to it than that it is still there."""
        return not self.told or bool(self.missing)

    def tell(self) -> TagSeen:
        """Say what is known of the tag."""
        self.told = True
        banks = {"epc": self.epc, **self.banks}
        if self.pc:
            banks["pc"] = self.pc
        return TagSeen(
            key=self.epc,
            technology="gen2",
            banks=banks,
            complete=not self.missing,
            rssi_dbm=self.rssi,
        )


class Visits:
    """The tags at one reader; times are seconds of one steady clock."""

    def __init__(self, wanted: Sequence[BankName], away_s: float) -> None:
        """Start with nothing there.

        Args:
            wanted: banks to read beside the EPC, each once a visit.
            away_s: a tag not seen for longer has been away, and may have been written meanwhile.

        """
        self.wanted: Sequence[BankName] = wanted
        self._away_s = away_s
        self._visits: OrderedDict[bytes, Visit] = OrderedDict()

    def see(
        self, epc: bytes, now_s: float, *, pc: bytes = b"", rssi_dbm: int | None = None
    ) -> Visit:
        """Take a sighting."""
        self._forget(now_s)
        visit = self._visits.get(epc)
        if visit is None or (visit.told and now_s - visit.last_s > self._away_s):
            visit = self._visits[epc] = Visit(epc, self.wanted, now_s)
        visit.last_s, visit.pc = now_s, pc
        visit.rssi = rssi_dbm if rssi_dbm is not None and rssi_dbm < RSSI_BELOW_DBM else None
        self._visits.move_to_end(epc)
        if len(self._visits) > TAGS_MAX:
            self._visits.popitem(last=False)
        return visit

    def _forget(self, now_s: float) -> None:
        """Let go of the tags that were away for so long that nothing more is told of them."""
        while self._visits:
            oldest = next(iter(self._visits.values()))
            if now_s - oldest.last_s <= 2 * GRACE_S + self._away_s:
                return
            self._visits.popitem(last=False)

    def tellable(self, visit: Visit, now_s: float) -> bool:
        """Tell whether a tag that was just seen can be told: its memory is read, or overdue."""
        return not visit.missing or now_s - visit.first_s > GRACE_S

    def to_read(self, now_s: float) -> Visit | None:
        """Choose a tag whose memory is to be read next, newest first; None where there is none."""
        for visit in reversed(self._visits.values()):
            if now_s - visit.last_s > GRACE_S:
                return None
            if visit.missing and visit.next_try_s <= now_s:
                visit.next_try_s = now_s + TRY_EVERY_S
                return visit
        return None

    def overdue(self, now_s: float) -> list[TagSeen]:
        """Tell the tags that have gone before their memory could be read."""
        found = []
        for visit in reversed(self._visits.values()):
            if now_s - visit.last_s > 2 * GRACE_S + self._away_s:
                break
            if not visit.told and now_s - visit.first_s > GRACE_S:
                found.append(visit.tell())
        return found
