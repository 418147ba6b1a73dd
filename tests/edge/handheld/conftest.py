"""A handheld's parts on a state folder of their own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.handheld.session import Issued, Session
from edge.handheld.store import Store
from edge.handheld.timing import HandTime
from protocols.clock import ManualClock
from protocols.handheld import Record, Scan, What

WANG, LI = "1" * 16, "2" * 16
GRACE_S = 3 * 86_400
DAY_MS = 86_400_000


@dataclass
class Hand:
    """One device in one boot."""

    folder: Path
    clock: ManualClock
    store: Store
    time: HandTime
    session: Session

    def do(self, what: What, person: str = WANG) -> Record:
        """Keep a record."""
        now = self.time.now()
        return self.store.append(
            lambda number: Record(
                number=number,
                observed_at=now.at_ms,
                time_source=now.source,
                person=person,
                known_at=self.session.contact_at,
                what=what,
            )
        )

    def scan(self, text: str = "JL2B0001234") -> Record:
        """Keep a scan."""
        return self.do(Scan(text=text))


def start(folder: Path, clock: ManualClock, boot_id: str = "b1") -> Hand:
    """Switch it on."""
    store = Store(folder)
    time = HandTime(clock, boot_id, store.kept("time"))
    session = Session(store, time, lambda count: b"s" * count)
    return Hand(folder, clock, store, time, session)


def issued(person: str = WANG, **fields: int) -> Issued:
    """What the service tells when it lets a person in."""
    told = {"renew_at": ManualClock().wall_ms() + 45 * DAY_MS, "offline_grace_s": GRACE_S} | fields
    return Issued(id=person, token=f"dv_{person}_secret", **told)


Restart = Callable[..., Hand]


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    hand = start(tmp_path, ManualClock())
    yield hand
    hand.store.close()
