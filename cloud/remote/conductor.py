"""Moves the rollouts that run on: one look a second."""

import uuid
from collections.abc import Callable, Collection, Sequence

import msgspec
from sqlalchemy import Connection

from cloud.model.database import Database, take_turn
from cloud.model.remote import CommandEntry, Member, Rollout
from cloud.remote import rows
from cloud.remote.rollout import ROLLOUTS, advance
from protocols.clock import Clock

RUNNING_MAX = 20
COMMAND_EXPIRES_S = 600


class Conductor:
    """Tells gateways to update, stage by stage; only one process of a service has it."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        online: Callable[[], Collection[str]],
        on_change: Callable[[], None],
    ) -> None:
        self._database, self._clock = database, clock
        self._online, self._on_change = online, on_change

    async def look(self) -> None:
        """Do what is due. RetryLater: the database is away."""
        running = await self._database.read(
            lambda c: rows.read_rollouts(c, RUNNING_MAX, running=True)
        )
        if running:
            await self._database.write(lambda c: self._move_all(c, running))
            self._on_change()

    def _move_all(self, connection: Connection, running: Sequence[Rollout]) -> None:
        take_turn(connection, ROLLOUTS)
        for one in running:
            self._move(connection, one.id)

    def _move(self, connection: Connection, rollout_id: int) -> None:
        found = rows.read_rollout(connection, rollout_id)
        if found is None or found[0].state != "running":
            return
        rollout, manifest = found
        members = rows.read_members(connection, rollout_id)
        now_ms = self._clock.wall_ms()
        step = advance(rollout, members, self._online(), now_ms)
        for member in step.changed:
            rows.save_member(connection, member)
        for member in step.send:
            self._send(connection, rollout, manifest, member, now_ms)
        if step.rollout != rollout:
            rows.save_rollout(connection, step.rollout)

    def _send(
        self, connection: Connection, rollout: Rollout, manifest: str, member: Member, now_ms: int
    ) -> None:
        entry = CommandEntry(
            id=uuid.uuid4().hex,
            gateway_id=member.gateway_id,
            op="update",
            args={"manifest": manifest, "url": rollout.url},
            by=rollout.by,
            created_at=now_ms,
            expires_at=now_ms + COMMAND_EXPIRES_S * 1000,
        )
        rows.insert_command(connection, entry)
        sent = msgspec.structs.replace(member, state="sent", command_id=entry.id, changed_at=now_ms)
        rows.save_member(connection, sent)
