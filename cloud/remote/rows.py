"""Commands, configurations and rollouts as rows of the state database."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select, update

from cloud.model import tables
from cloud.model.remote import OPEN_CONFIG, CommandEntry, ConfigPush, Member, Rollout

AT_ONCE_MAX, GATEWAYS_AT_ONCE = 500, 500
"""Commands, and gateways, that are dealt with in one go."""
Reachable = Callable[[str], bool]
OPEN_COMMANDS_MAX = 100
"""Per gateway; further ones are refused until some are answered or expire."""


def insert_command(connection: Connection, entry: CommandEntry) -> None:
    """Add a command."""
    connection.execute(tables.command.insert().values(_command_row(entry)))


def open_commands(connection: Connection, gateway_id: str, now_ms: int) -> int:
    """Count the commands of a gateway that may still be answered."""
    table = tables.command
    query = select(func.count()).where(
        table.c.gateway_id == gateway_id,
        table.c.state.in_(("waiting", "sent")),
        table.c.expires_at > now_ms,
    )
    return int(connection.execute(query).scalar() or 0)


def read_commands(connection: Connection, gateway_id: str, limit: int) -> list[CommandEntry]:
    """Return the newest commands of a gateway, newest first."""
    table = tables.command
    query = select(table).where(table.c.gateway_id == gateway_id)
    query = query.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit)
    return [_command(row) for row in connection.execute(query)]


def read_command(connection: Connection, gateway_id: str, command_id: str) -> CommandEntry | None:
    """Return one command."""
    table = tables.command
    query = select(table).where(table.c.id == command_id, table.c.gateway_id == gateway_id)
    row = connection.execute(query).first()
    return None if row is None else _command(row)


def waiting_commands(connection: Connection, reachable: Reachable) -> list[CommandEntry]:
    """Return commands to send, oldest first: some of those that wait for reachable gateways."""
    table = tables.command
    waiting = table.c.state == "waiting"
    named = connection.execute(select(table.c.gateway_id).where(waiting).distinct()).scalars()
    gateways = [one for one in named if reachable(one)][:GATEWAYS_AT_ONCE]
    query = select(table).where(waiting, table.c.gateway_id.in_(gateways))
    query = query.order_by(table.c.created_at).limit(AT_ONCE_MAX)
    return [_command(row) for row in connection.execute(query)]


def expire_commands(connection: Connection, now_ms: int) -> None:
    """Note of commands that were never sent that they are too old by now."""
    table = tables.command
    late = (table.c.state == "waiting", table.c.expires_at < now_ms)
    connection.execute(update(table).where(*late).values(state="expired"))


def set_command(connection: Connection, command_id: str, **fields: Any) -> None:
    """Change a command."""
    table = tables.command
    connection.execute(update(table).where(table.c.id == command_id).values(fields))


def mark_command_sent(connection: Connection, command_id: str, now_ms: int) -> None:
    """Note that a command was sent; a reply may have been quicker."""
    table = tables.command
    where = (table.c.id == command_id, table.c.state == "waiting")
    connection.execute(update(table).where(*where).values(state="sent", sent_at=now_ms))


def mark_push_sent(connection: Connection, push: ConfigPush, now_ms: int) -> None:
    """Note that a configuration was published; a reply may have been quicker."""
    table = tables.config_push
    where = (
        table.c.gateway_id == push.gateway_id,
        table.c.version == push.version,
        table.c.state == "pending",
    )
    connection.execute(update(table).where(*where).values(state="sent", sent_at=now_ms))


def insert_push(connection: Connection, push: ConfigPush, document: str) -> None:
    """Add a configuration; an older one of which nothing is known yet counts no longer."""
    table = tables.config_push
    connection.execute(
        update(table)
        .where(table.c.gateway_id == push.gateway_id, table.c.state.in_(OPEN_CONFIG))
        .values(state="replaced", changed_at=push.changed_at)
    )
    row = msgspec.structs.asdict(push) | {"document": document}
    connection.execute(table.insert().values(row))


def newest_version(connection: Connection, gateway_id: str) -> int:
    """Return the version of the newest configuration of a gateway, 0 when there is none."""
    table = tables.config_push
    query = select(func.max(table.c.version)).where(table.c.gateway_id == gateway_id)
    return int(connection.execute(query).scalar() or 0)


def read_pushes(connection: Connection, gateway_id: str, limit: int) -> list[ConfigPush]:
    """Return the newest configurations of a gateway, newest first."""
    table = tables.config_push
    query = select(table).where(table.c.gateway_id == gateway_id)
    query = query.order_by(table.c.version.desc()).limit(limit)
    return [_push(row) for row in connection.execute(query)]


def applied_version(connection: Connection, gateway_id: str) -> int | None:
    """Return the version in effect at a gateway as far as it told; None: its local file."""
    table = tables.config_push
    query = select(table.c.version, table.c.state).where(
        table.c.gateway_id == gateway_id, table.c.state.in_(("applied", "superseded"))
    )
    row = connection.execute(query.order_by(table.c.version.desc()).limit(1)).first()
    return int(row.version) if row is not None and row.state == "applied" else None


def pending_pushes(
    connection: Connection, reachable: Reachable, *, again: bool
) -> list[tuple[ConfigPush, str]]:
    """Return (configuration, document) of some to publish; `again`: also those sent before."""
    table = tables.config_push
    open_ = table.c.state.in_(OPEN_CONFIG if again else ("pending",))
    named = connection.execute(select(table.c.gateway_id).where(open_).distinct()).scalars()
    gateways = [one for one in named if reachable(one)][: None if again else GATEWAYS_AT_ONCE]
    query = select(table).where(open_, table.c.gateway_id.in_(gateways))
    return [(_push(row), row.document) for row in connection.execute(query)]


def set_push(connection: Connection, gateway_id: str, version: int, **fields: Any) -> None:
    """Change a configuration's state."""
    table = tables.config_push
    where = (table.c.gateway_id == gateway_id, table.c.version == version)
    connection.execute(update(table).where(*where).values(fields))


def insert_rollout(
    connection: Connection, rollout: Rollout, manifest: str, members: Sequence[Member]
) -> int:
    """Add a rollout with its gateways; return its id."""
    row = _rollout_row(rollout) | {"manifest": manifest}
    del row["id"]
    key = connection.execute(tables.rollout.insert().values(row)).inserted_primary_key
    rollout_id = int(key[0]) if key else 0
    rows = [msgspec.structs.asdict(one) | {"rollout_id": rollout_id} for one in members]
    connection.execute(tables.rollout_member.insert(), rows)
    return rollout_id


def read_rollouts(connection: Connection, limit: int, *, running: bool = False) -> list[Rollout]:
    """Return rollouts, newest first."""
    table = tables.rollout
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    if running:
        query = query.where(table.c.state == "running")
    return [_rollout(row) for row in connection.execute(query)]


def read_rollout(connection: Connection, rollout_id: int) -> tuple[Rollout, str] | None:
    """Return a rollout and its signed manifest."""
    table = tables.rollout
    row = connection.execute(select(table).where(table.c.id == rollout_id)).first()
    return None if row is None else (_rollout(row), row.manifest)


def count_members(connection: Connection, rollout_id: int) -> dict[str, int]:
    """Count the gateways of a rollout by state."""
    table = tables.rollout_member
    query = select(table.c.state, func.count()).where(table.c.rollout_id == rollout_id)
    return {row[0]: int(row[1]) for row in connection.execute(query.group_by(table.c.state))}


def read_members(connection: Connection, rollout_id: int) -> list[Member]:
    """Return the gateways of a rollout by stage and id."""
    table = tables.rollout_member
    query = select(table).where(table.c.rollout_id == rollout_id)
    query = query.order_by(table.c.stage, table.c.gateway_id)
    return [Member(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001


def members_of(connection: Connection, gateway_id: str, serial: int) -> list[Member]:
    """Return a gateway's part in the rollouts of a release."""
    member, rollout = tables.rollout_member, tables.rollout
    query = select(member).join(rollout, rollout.c.id == member.c.rollout_id)
    query = query.where(member.c.gateway_id == gateway_id, rollout.c.serial == serial)
    return [Member(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001


def member_of_command(connection: Connection, command_id: str) -> Member | None:
    """Return the gateway of a rollout that got this command."""
    table = tables.rollout_member
    row = connection.execute(select(table).where(table.c.command_id == command_id)).first()
    return None if row is None else Member(**row._mapping)  # noqa: SLF001


def save_rollout(connection: Connection, rollout: Rollout) -> None:
    """Write a rollout's progress."""
    table, row = tables.rollout, _rollout_row(rollout)
    connection.execute(update(table).where(table.c.id == rollout.id).values(row))


def save_member(connection: Connection, member: Member) -> None:
    """Write what is known of a gateway in a rollout."""
    table = tables.rollout_member
    where = (
        table.c.rollout_id == member.rollout_id,
        table.c.gateway_id == member.gateway_id,
    )
    connection.execute(update(table).where(*where).values(msgspec.structs.asdict(member)))


def _command_row(entry: CommandEntry) -> dict[str, Any]:
    row = msgspec.structs.asdict(entry)
    row["args"] = msgspec.json.encode(entry.args).decode()
    row["result"] = msgspec.json.encode(entry.result).decode()
    return row


def _command(row: Row[Any]) -> CommandEntry:
    fields = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public way to a row's names
    fields["args"] = msgspec.json.decode(row.args)
    fields["result"] = msgspec.json.decode(row.result)
    return CommandEntry(**fields)


def _push(row: Row[Any]) -> ConfigPush:
    fields = dict(row._mapping)  # noqa: SLF001
    del fields["document"]
    return ConfigPush(**fields)


def _rollout_row(rollout: Rollout) -> dict[str, Any]:
    row = msgspec.structs.asdict(rollout)
    row["stages"] = msgspec.json.encode(rollout.stages).decode()
    return row


def _rollout(row: Row[Any]) -> Rollout:
    fields = dict(row._mapping)  # noqa: SLF001
    del fields["manifest"]
    fields["stages"] = tuple(msgspec.json.decode(row.stages, type=list[int]))
    return Rollout(**fields)
