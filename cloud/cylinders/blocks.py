"""Blocks of cylinders: why one must not be filled until somebody lifts it, with a reason."""

from typing import Any

from sqlalchemy import func, insert, select, update

from cloud.cylinders.changes import Turn, existing
from cloud.model.cylinder import Cause
from cloud.model.cylinder_tables import cylinder_block
from protocols.errors import RefuseInput

BY_A_PERSON: tuple[Cause, ...] = ("codes_disagree", "clone_suspected")
"""Lifted by whoever looked at the cylinder; the others by whoever may block."""


def add_block(turn: Turn, asset_id: str, cause: Cause, detail: str) -> bool:
    """Block a cylinder; tell whether it was not blocked for this cause yet.

    Raises:
        RefuseInput: `not_found`, or `wrong_state` for a scrapped one.

    """
    existing(turn, asset_id)
    table = cylinder_block
    same = (table.c.asset_id == asset_id, table.c.cause == cause, table.c.lifted_at.is_(None))
    new = turn.connection.execute(select(table.c.id).where(*same)).first() is None
    if new:
        made = {
            "asset_id": asset_id,
            "cause": cause,
            "detail": detail,
            "by": turn.actor.by,
            "organisation": turn.actor.organisation,
            "blocked_at": turn.now_ms,
            "lifted_by": "",
            "lifted_reason": "",
        }
        turn.connection.execute(insert(table).values(**made))
        _count(turn, asset_id, "blocked", {}, {"cause": cause}, detail)
    return new


def lift_block(turn: Turn, asset_id: str, block_id: int, reason: str, *, any_cause: bool) -> None:
    """Lift a block.

    Raises:
        RefuseInput: `not_found`, `forbidden`, or `wrong_state` for one that is lifted.

    """
    table = cylinder_block
    here = (table.c.asset_id == asset_id, table.c.id == block_id)
    row = turn.connection.execute(select(table).where(*here)).first()
    if row is None:
        raise RefuseInput("not_found", f"no block {block_id} of {asset_id}")
    if row.lifted_at is not None:
        raise RefuseInput("wrong_state", f"block {block_id} is lifted")
    if not any_cause and row.cause not in BY_A_PERSON:
        raise RefuseInput("forbidden", f"{row.cause}: lifted by whoever may block")
    _lift(turn, asset_id, block_id, row.cause, reason)


def lift_cause(turn: Turn, asset_id: str, cause: Cause, reason: str) -> None:
    """Lift the blocks of one cause, if there are any."""
    table = cylinder_block
    here = (table.c.asset_id == asset_id, table.c.cause == cause, table.c.lifted_at.is_(None))
    for block_id in turn.connection.execute(select(table.c.id).where(*here)).scalars().all():
        _lift(turn, asset_id, block_id, cause, reason)


def _lift(turn: Turn, asset_id: str, block_id: int, cause: str, reason: str) -> None:
    table = cylinder_block
    lifted = {
        "lifted_at": turn.now_ms,
        "lifted_by": turn.actor.by,
        "lifted_reason": reason,
    }
    turn.connection.execute(update(table).where(table.c.id == block_id).values(**lifted))
    _count(turn, asset_id, "unblocked", {"cause": cause}, {}, reason)


def _count(
    turn: Turn,
    asset_id: str,
    what: str,
    before: dict[str, Any],
    after: dict[str, Any],
    reason: str,
) -> None:
    table = cylinder_block
    here = (table.c.asset_id == asset_id, table.c.lifted_at.is_(None))
    count = turn.connection.scalar(select(func.count()).select_from(table).where(*here))
    turn.change(asset_id, what, {"blocks": count}, told=(before, after), reason=reason)
