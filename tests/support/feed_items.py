"""Items of the feed as alarms and rescues write them."""

import json
from typing import Any

from cloud.feed.store import FeedStore
from cloud.model.database import Database
from protocols.clock import Clock, iso

LIFT = "elevator:31101099920240017"


def alarm_data(now_ms: int, number: int = 1, **fields: Any) -> str:
    """Return what the alarm desk writes."""
    found = {
        "change": "fired",
        "id": number,
        "alert": "Entrapment",
        "asset": LIFT,
        "severity": "emergency",
        "state": "unacknowledged",
        "raised_at": iso(now_ms),
        "observed_at": iso(now_ms),
        "changed_at": iso(now_ms),
        "evidence": "alarm_button",
        "late": False,
        "stale": False,
        "values": {},
        "acknowledged_at": None,
        "acknowledged_by": None,
        "returned_at": None,
        "summary": "Passengers trapped",
        "summary_zh": "电梯困人",
    }
    return json.dumps(found | fields, ensure_ascii=False)


def incident_data(now_ms: int, number: int = 1, **fields: Any) -> str:
    """Return what the desk of rescues writes."""
    found = {
        "change": "opened",
        "id": number,
        "number": f"R20261126-{number:04}",
        "asset": LIFT,
        "alarm": 1,
        "alert": "Entrapment",
        "severity": "emergency",
        "state": "detected",
        "level": 1,
        "source": "alarm",
        "drill": False,
        "evidence": "alarm_button",
        "people": 2,
        "unit": None,
        "operator": "",
        "detected_at": iso(now_ms),
        "changed_at": iso(now_ms),
        "deadlines": [{"kind": "accept", "level": 1, "due_at": iso(now_ms + 120_000)}],
        "version": 1,
    }
    return json.dumps(found | fields, ensure_ascii=False)


class FeedWriter:
    """Appends to a feed."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self.clock = database, clock
        self.feed = FeedStore(database, clock)

    async def alarm(self, number: int = 1, **fields: Any) -> int:
        """Append a change of an alarm; return its offset."""
        return await self.append("alarm", alarm_data(self.clock.wall_ms(), number, **fields))

    async def warning(self, number: int = 1, **fields: Any) -> int:
        """Append one that is not urgent."""
        fields = {"severity": "warning", "alert": "DoorNotClosing", **fields}
        return await self.alarm(number, **fields)

    async def incident(self, number: int = 1, **fields: Any) -> int:
        """Append a change of a rescue."""
        return await self.append("incident", incident_data(self.clock.wall_ms(), number, **fields))

    async def append(self, event: str, data: str) -> int:
        """Append one item."""
        offset = await self.database.write(lambda c: self.feed.append(c, event, data))
        self.feed.committed()
        await self.feed.load()
        return offset
