"""Takes orders for gateways and keeps what became of them."""

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from cloud.model.database import Database, Work, take_turn
from cloud.model.remote import Asked, CommandEntry, ConfigPush, Member, Rollout
from cloud.remote import rows
from cloud.remote.releases import Releases
from cloud.remote.rollout import ROLLOUTS, assign
from cloud.remote.validate import check_configuration
from protocols.clock import Clock
from protocols.errors import RefuseInput
from protocols.signed import SIGNED_BYTES_MAX, Configuration, Sign, seal

ARGS_BYTES_MAX = 16 * 1024


class RemoteBook:
    """All in the state database; `on_change` is called when there may be something to send."""

    def __init__(self, database: Database, clock: Clock, *, sign: Sign, releases: Releases) -> None:
        self._database, self._clock, self._sign = database, clock, sign
        self.releases = releases
        self.on_change: Callable[[], None] = lambda: None

    async def command(
        self,
        gateway_id: str,
        *,
        op: str,
        args: Mapping[str, Any],
        expires_in_s: int,
        by: str,
        also: Sequence[Work] = (),
    ) -> CommandEntry:
        """Take a command.

        Raises:
            RefuseInput: `too_large`, `too_many_commands`.

        """
        if len(msgspec.json.encode(args)) > ARGS_BYTES_MAX:
            raise RefuseInput("too_large", f"args has at most {ARGS_BYTES_MAX} bytes")
        now_ms = self._clock.wall_ms()
        entry = CommandEntry(
            id=uuid.uuid4().hex,
            gateway_id=gateway_id,
            op=op,
            args=dict(args),
            by=by,
            created_at=now_ms,
            expires_at=now_ms + expires_in_s * 1000,
        )

        def add(connection: Connection) -> None:
            if rows.open_commands(connection, gateway_id, now_ms) >= rows.OPEN_COMMANDS_MAX:
                raise RefuseInput("too_many_commands", f"{rows.OPEN_COMMANDS_MAX} are open")
            rows.insert_command(connection, entry)

        await self._database.write(add, *also)
        self.on_change()
        return entry

    async def commands(self, gateway_id: str, limit: int) -> Sequence[CommandEntry]:
        """Return the newest commands of a gateway, newest first."""
        found = await self._database.read(lambda c: rows.read_commands(c, gateway_id, limit))
        return [self._aged(one) for one in found]

    async def find_command(self, gateway_id: str, command_id: str) -> CommandEntry | None:
        """Return one command with its answer."""
        found = await self._database.read(lambda c: rows.read_command(c, gateway_id, command_id))
        return None if found is None else self._aged(found)

    async def push(
        self,
        gateway_id: str,
        *,
        site: str,
        overlay: Mapping[str, str],
        not_after: int | None,
        by: str,
        also: Sequence[Work] = (),
    ) -> ConfigPush:
        """Check, sign and keep a configuration; it takes the place of one under way.

        Raises:
            RefuseInput: `bad_site`, `bad_path`, `too_large`.

        """
        check_configuration(gateway_id, site, overlay)
        now_ms = self._clock.wall_ms()

        def add(connection: Connection) -> ConfigPush:
            take_turn(connection, "config")
            version = rows.newest_version(connection, gateway_id) + 1
            document = Configuration(
                gateway_id=gateway_id,
                version=version,
                issued_at=now_ms,
                not_after=not_after,
                site=site,
                overlay=dict(overlay),
            )
            signed = seal("config", document, self._sign)
            if len(signed) > SIGNED_BYTES_MAX:
                raise RefuseInput("too_large", f"signed at most {SIGNED_BYTES_MAX} bytes")
            push = ConfigPush(
                gateway_id=gateway_id,
                version=version,
                site_sha256=hashlib.sha256(site.encode()).hexdigest(),
                by=by,
                created_at=now_ms,
                not_after=not_after,
                changed_at=now_ms,
            )
            rows.insert_push(connection, push, signed.decode())
            return push

        push = await self._database.write(add, *also)
        self.on_change()
        return push

    async def pushes(self, gateway_id: str, limit: int) -> Sequence[ConfigPush]:
        """Return the newest configurations of a gateway, newest first."""
        return await self._database.read(lambda c: rows.read_pushes(c, gateway_id, limit))

    async def overview(self, gateways: Sequence[str], commands: int) -> Mapping[str, Asked]:
        """Return the newest configuration and commands of some gateways, for a page."""

        def read(connection: Connection) -> dict[str, Asked]:
            return {
                one: Asked(
                    push=next(iter(rows.read_pushes(connection, one, 1)), None),
                    in_effect=rows.applied_version(connection, one),
                    commands=[
                        self._aged(entry) for entry in rows.read_commands(connection, one, commands)
                    ],
                )
                for one in gateways
            }

        return await self._database.read(read)

    async def roll_out(
        self, plan: Rollout, gateways: Sequence[str], also: Sequence[Work] = ()
    ) -> tuple[Rollout, Sequence[Member]]:
        """Begin a rollout.

        Raises:
            RefuseInput: `not_found`: no such release; `bad_request`: no gateways.

        """
        manifest = self.releases.manifest(plan.serial)
        members = assign(gateways, plan.stages, self._clock.wall_ms())
        if not members:
            raise RefuseInput("bad_request", "no gateway to roll out to")
        rollout_id = await self._database.write(
            lambda c: rows.insert_rollout(c, plan, manifest, members), *also
        )
        return await self.rollout(rollout_id)

    async def rollout(self, rollout_id: int) -> tuple[Rollout, Sequence[Member]]:
        """Return a rollout with its gateways. RefuseInput `not_found`."""
        found = await self._database.read(lambda c: rows.read_rollout(c, rollout_id))
        if found is None:
            raise RefuseInput("not_found", f"no rollout {rollout_id}")
        members = await self._database.read(lambda c: rows.read_members(c, rollout_id))
        return found[0], members

    async def rollouts(self, limit: int) -> Sequence[Rollout]:
        """Return rollouts, newest first."""
        return await self._database.read(lambda c: rows.read_rollouts(c, limit))

    async def under_way(self, limit: int) -> Sequence[tuple[Rollout, Mapping[str, int]]]:
        """Return rollouts that are not done, newest first, with their gateways by state."""

        def read(connection: Connection) -> list[tuple[Rollout, Mapping[str, int]]]:
            found = [one for one in rows.read_rollouts(connection, limit) if one.state != "done"]
            return [(one, rows.count_members(connection, one.id)) for one in found]

        return await self._database.read(read)

    async def set_rollout(
        self, rollout_id: int, *, running: bool, reason: str, also: Sequence[Work] = ()
    ) -> Rollout:
        """Stop a rollout, or let a stopped one go on. RefuseInput `not_found`, `finished`."""

        def change(connection: Connection) -> Rollout:
            take_turn(connection, ROLLOUTS)
            found = rows.read_rollout(connection, rollout_id)
            if found is None:
                raise RefuseInput("not_found", f"no rollout {rollout_id}")
            if found[0].state == "done":
                raise RefuseInput("finished", f"rollout {rollout_id} is done")
            after = msgspec.structs.replace(
                found[0], state="running" if running else "stopped", reason=reason[:200]
            )
            rows.save_rollout(connection, after)
            return after

        return await self._database.write(change, *also)

    def _aged(self, entry: CommandEntry) -> CommandEntry:
        """Say of a command that nobody answered in time that it is expired."""
        open_still = entry.state in ("waiting", "sent")
        if open_still and entry.expires_at < self._clock.wall_ms():
            return msgspec.structs.replace(entry, state="expired")
        return entry
