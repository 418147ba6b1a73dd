"""An alarm desk on a real database, with its feed and a clock that a test moves."""

from typing import Any

import msgspec

from cloud.alarms.desk import AlarmDesk
from cloud.feed.store import FeedStore
from cloud.model.alarm import Alarm, Severity
from cloud.model.database import Database
from cloud.model.transition import Change, Transition
from protocols.clock import ManualClock
from protocols.readings import Value

LIFT = "elevator:L1"


class Desk:
    """A desk with its feed."""

    def __init__(self, database: Database) -> None:
        self.database, self.clock, self.woken = database, ManualClock(), 0
        self.feed = FeedStore(database, self.clock)
        self.desk = AlarmDesk(
            database=database,
            clock=self.clock,
            append_feed=self.feed.append,
            on_commit=self._wake,
        )

    def _wake(self) -> None:
        self.woken += 1
        self.feed.committed()

    def tell(
        self,
        change: Change,
        *,
        alert: str = "Entrapment",
        asset: str = LIFT,
        evidence: str | None = "alarm_button",
        severity: Severity = "emergency",
        late: bool = False,
        latching: bool = False,
        values: dict[str, Value] | None = None,
    ) -> None:
        """Let an alert change, a second later."""
        self.clock.advance(1000)
        transition = Transition(
            asset=asset,
            alert=alert,
            severity=severity,
            change=change,
            at=self.clock.wall_ms(),
            observed_at=self.clock.wall_ms() - 40,
            evidence=evidence,
            late=late,
            latching=latching,
            values=values or {"message_code": ["90"]},
            annotations={"summary": "Trapped", "summary_zh": "困人", "response": "Go"},
        )
        self.database.write_now(lambda connection: self.desk.apply(connection, [transition]))
        self.feed.committed()  # as the rules do after each commit

    async def one(self, **wanted: Any) -> Alarm:
        """Return the only alarm there is."""
        (alarm,) = await self.desk.find(**wanted)
        return alarm

    async def items(self) -> list[dict[str, Any]]:
        """Return all that the feed told."""
        await self.feed.load()  # what is told here was not announced
        return [msgspec.json.decode(item.data) for item in await self.feed.read(0)]

    async def states(self) -> list[tuple[str, str]]:
        """Return (change, state) of all that the feed told."""
        return [(one["change"], one["state"]) for one in await self.items()]
