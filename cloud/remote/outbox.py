"""Publishes what waits for gateways: commands once, configurations retained.

The order is durable before it is published, and is marked as sent after that: a kill in between
sends it twice, and a gateway carries it out once.
"""

import asyncio
from collections.abc import Callable

import msgspec
from sqlalchemy import Connection

from cloud.model.database import Database
from cloud.model.remote import CommandEntry, ConfigPush
from cloud.remote import rows
from protocols.clock import Clock
from protocols.messages import Command
from protocols.topics import of

AT_ONCE_MAX = 100

Publish = Callable[[str, bytes, bool], bool]
"""(topic, payload, retain) -> whether the broker's connection took it."""


class Outbox:
    """Of one process; it sends for the gateways whose shards this process owns."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        publish: Publish,
        owns: Callable[[str], bool],
        online: Callable[[str], bool],
    ) -> None:
        """Make an outbox.

        Args:
            database: the state database.
            clock: the cloud's clock.
            publish: sends to the broker.
            owns: tells whether this process sends for a gateway.
            online: tells whether a gateway hears now; a command waits for that, until it expires.

        """
        self._database, self._clock = database, clock
        self._publish, self._owns, self._online = publish, owns, online
        self._all_again = True
        self._one_at_a_time = asyncio.Lock()

    def broker_is_new(self) -> None:
        """Publish configurations again of which nothing is known: the broker may have lost them."""
        self._all_again = True

    async def send(self) -> None:
        """Publish what waits. RetryLater: the database is away."""
        async with self._one_at_a_time:
            again = self._all_again
            commands = await self._database.read(lambda c: rows.waiting_commands(c, AT_ONCE_MAX))
            pushes = await self._database.read(
                lambda c: rows.pending_pushes(c, AT_ONCE_MAX, again=again)
            )
            expired = [one for one in commands if one.expires_at < self._clock.wall_ms()]
            sent = [one for one in commands if one not in expired and self._send_command(one)]
            published = [push for push, document in pushes if self._send_config(push, document)]
            if published or not pushes:
                self._all_again = False
            if sent or published or expired:
                await self._database.write(lambda c: self._note(c, sent, published, expired))

    def _send_command(self, entry: CommandEntry) -> bool:
        if not (self._owns(entry.gateway_id) and self._online(entry.gateway_id)):
            return False
        command = Command(id=entry.id, op=entry.op, args=entry.args, expires_at=entry.expires_at)
        topic = of(entry.gateway_id, "down/command")
        return self._publish(topic, msgspec.json.encode(command), False)

    def _send_config(self, push: ConfigPush, document: str) -> bool:
        if not self._owns(push.gateway_id):
            return False
        return self._publish(of(push.gateway_id, "down/config"), document.encode(), True)

    def _note(
        self,
        connection: Connection,
        sent: list[CommandEntry],
        published: list[ConfigPush],
        expired: list[CommandEntry],
    ) -> None:
        now_ms = self._clock.wall_ms()
        for entry in sent:
            rows.mark_command(connection, entry.id, "sent", now_ms)
        for entry in expired:
            rows.mark_command(connection, entry.id, "expired", now_ms)
        for push in published:
            rows.mark_push_sent(connection, push, now_ms)
