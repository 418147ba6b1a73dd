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

EXPIRE_EACH_MS = 60_000

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
        self._all_again, self._expired_at = True, 0
        self._one_at_a_time = asyncio.Lock()

    def broker_is_new(self) -> None:
        """Publish configurations again of which nothing is known: the broker may have lost them."""
        self._all_again = True

    async def send(self) -> None:
        """Publish what waits. RetryLater: the database is away."""
        async with self._one_at_a_time:
            again, now_ms = self._all_again, self._clock.wall_ms()
            if now_ms - self._expired_at >= EXPIRE_EACH_MS:
                await self._database.write(lambda c: rows.expire_commands(c, now_ms))
                self._expired_at = now_ms
            commands, pushes = await self._database.read(lambda c: self._due(c, again=again))
            sent = [one for one in commands if self._send_command(one, now_ms)]
            published = [push for push, document in pushes if self._send_config(push, document)]
            if len(published) == len(pushes):
                self._all_again = False
            if sent or published:
                await self._database.write(lambda c: self._note(c, sent, published))

    def _due(
        self, connection: Connection, *, again: bool
    ) -> tuple[list[CommandEntry], list[tuple[ConfigPush, str]]]:
        def reachable(gateway_id: str) -> bool:
            return self._owns(gateway_id) and self._online(gateway_id)

        commands = rows.waiting_commands(connection, reachable)
        return commands, rows.pending_pushes(connection, self._owns, again=again)

    def _send_command(self, entry: CommandEntry, now_ms: int) -> bool:
        if entry.expires_at < now_ms:
            return False
        command = Command(id=entry.id, op=entry.op, args=entry.args, expires_at=entry.expires_at)
        topic = of(entry.gateway_id, "down/command")
        return self._publish(topic, msgspec.json.encode(command), False)

    def _send_config(self, push: ConfigPush, document: str) -> bool:
        return self._publish(of(push.gateway_id, "down/config"), document.encode(), True)

    def _note(
        self,
        connection: Connection,
        sent: list[CommandEntry],
        published: list[ConfigPush],
    ) -> None:
        now_ms = self._clock.wall_ms()
        for entry in sent:
            rows.mark_command_sent(connection, entry.id, now_ms)
        for push in published:
            rows.mark_push_sent(connection, push, now_ms)
