"""Commands, configurations and rollouts as rows of the state database."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select, update

from cloud.model import tables
from cloud.model.remote import OPEN_CONFIG, CommandEntry, ConfigPush, Member, Rollout

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


def waiting_commands(connection: Connection, limit: int) -> list[CommandEntry]:
    """Return commands that were not sent, oldest first."""
    table = tables.command
    query = select(table).where(table.c.state == "waiting").order_by(table.c.created_at)
    return [_command(row) for row in connection.execute(query.limit(limit))]


def set_command(connection: Connection, command_id: str, **fields: Any) -> None:
    """Change a command."""
    table = tables.command
    connection.execute(update(table).where(table.c.id == command_id).values(fields))


def mark_command(connection: Connection, command_id: str, state: str, now_ms: int) -> None:
    """Note that a command was sent, or is too old to be; a reply may have been quicker."""
    table = tables.command
    where = (table.c.id == command_id, table.c.state == "waiting")
    connection.execute(update(table).where(*where).values(state=state, sent_at=now_ms))


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
    connection: Connection, limit: int, *, again: bool
) -> list[tuple[ConfigPush, str]]:
    """Return (configuration, document) of those to publish; `again`: also those sent before."""
    table = tables.config_push
    states = OPEN_CONFIG if again else ("pending",)
    query = select(table).where(table.c.state.in_(states)).order_by(table.c.created_at)
    return [(_push(row), row.document) for row in connection.execute(query.limit(limit))]


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
