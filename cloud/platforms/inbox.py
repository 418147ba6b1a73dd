"""The way from the inbox of platforms to the log: as a gateway's batches, through the same door.

To the ingester a platform is a gateway whose spool is the inbox. Envelopes of platforms whose shard
this process owns are handed to it until it says that they are settled, then they are deleted. One
that is handed over twice is a duplicate by its number, so that a crash at any moment costs nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, and_, case, delete, or_, select

from cloud.model.database import Database
from cloud.model.platform import GATEWAY_PREFIX
from cloud.model.platform_tables import (
    lift_platform_account,
    lift_platform_inbox,
    lift_platform_item,
)
from protocols.clock import Clock
from protocols.envelope import wrap
from protocols.messages import Ack
from protocols.topics import Stream, of

IN_FLIGHT_MAX = 64
"""Envelopes that the ingester has not settled yet, over all platforms."""
AGAIN_MS = 2_000
"""One that was not settled by then is handed over again."""
FORGET_EACH_MS = 60_000
BOOT_ID = "platform"
Accept = Callable[[str, bytes], None]
Key = tuple[str, Stream, int]


class PlatformInbox:
    """Drains what this process owns; lives on the event loop."""

    def __init__(
        self, database: Database, clock: Clock, *, owns: Callable[[str], bool], accept: Accept
    ) -> None:
        """Make one.

        Args:
            database: the state.
            clock: of the service.
            owns: whether a gateway's batches are settled here.
            accept: takes a message (topic, payload) as from a broker.

        """
        self._database, self._clock = database, clock
        self._owns, self._accept = owns, accept
        self._in_flight: dict[Key, int] = {}
        self._settled: dict[tuple[str, Stream], Ack] = {}
        self._forgotten_at = 0

    def settled(self, gateway: str, ack: Ack) -> bool:
        """Take in what the ingester settled; False: the gateway is no platform."""
        if not gateway.startswith(GATEWAY_PREFIX):
            return False
        self._settled[gateway.removeprefix(GATEWAY_PREFIX), ack.stream] = ack
        return True

    async def drain(self) -> int:
        """Delete what is settled and hand over what waits; returns how many were handed over.

        Raises:
            RetryLater: the database is away.

        """
        acks = dict(self._settled)
        if acks:
            await self._database.write(lambda c: _delete(c, acks))
            for key, ack in acks.items():
                if self._settled.get(key) is ack:
                    del self._settled[key]
            self._in_flight = {
                key: at for key, at in self._in_flight.items() if not _covered(key, acks)
            }
        now_ms = self._clock.boot_ms()
        await self._forget(now_ms)
        self._in_flight = {k: at for k, at in self._in_flight.items() if now_ms - at < AGAIN_MS}
        room = IN_FLIGHT_MAX - len(self._in_flight)
        if room <= 0:
            return 0
        rows = await self._database.read(lambda c: self._waiting(c, room))
        for row in rows:
            self._in_flight[row.platform, row.stream, row.seq] = now_ms
            self._hand_over(row)
        return len(rows)

    def _waiting(self, connection: Connection, room: int) -> Sequence[Any]:
        inbox, account = lift_platform_inbox, lift_platform_account
        names = connection.execute(select(inbox.c.platform).distinct()).scalars()
        mine = [name for name in names if self._owns(GATEWAY_PREFIX + name)]
        if not mine:
            return []
        urgent_first = case((inbox.c.stream == "alarm", 0), else_=1)
        query = select(inbox, account.c.spool).join(account, account.c.platform == inbox.c.platform)
        query = query.where(inbox.c.platform.in_(mine)).order_by(urgent_first, inbox.c.id)
        rows = connection.execute(query.limit(room + len(self._in_flight))).all()
        fresh = [one for one in rows if (one.platform, one.stream, one.seq) not in self._in_flight]
        return fresh[:room]

    def _hand_over(self, row: Any) -> None:
        payload = wrap(
            spool=row.spool,
            seq=row.seq,
            boot_id=BOOT_ID,
            clock="synced",
            sent_at=row.received_at,
            records_raw=bytes(row.records),
        )
        self._accept(of(GATEWAY_PREFIX + row.platform, f"up/{row.stream}"), payload)

    async def _forget(self, now_ms: int) -> None:
        """Forget the items that need no longer be known, now and then."""
        if now_ms - self._forgotten_at < FORGET_EACH_MS and self._forgotten_at:
            return
        self._forgotten_at = now_ms
        old = lift_platform_item.c.forget_at < self._clock.wall_ms()
        await self._database.write(lambda c: c.execute(delete(lift_platform_item).where(old)))


def _covered(key: Key, acks: dict[tuple[str, Stream], Ack]) -> bool:
    platform, stream, seq = key
    ack = acks.get((platform, stream))
    if ack is None:
        return False
    return seq <= ack.through or any(low <= seq <= high for low, high in ack.received)


def _delete(connection: Connection, acks: dict[tuple[str, Stream], Ack]) -> None:
    table = lift_platform_inbox
    for (platform, stream), ack in acks.items():
        ranges = [table.c.seq.between(low, high) for low, high in ack.received]
        settled = or_(table.c.seq <= ack.through, *ranges)
        mine = and_(table.c.platform == platform, table.c.stream == stream)
        connection.execute(delete(table).where(mine, settled))
