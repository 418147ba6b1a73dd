"""What fillings say of a cylinder: when it was last filled, and that it was purged."""

from sqlalchemy import and_, bindparam, func, select, true

from cloud.cylinders.changes import Turn
from cloud.cylinders.rows import Row, find_row
from cloud.model.cylinder import read_marked
from cloud.model.fill_tables import cylinder_fill, cylinder_fill_step

_LATEST = select(func.max(cylinder_fill.c.filled_on)).where(
    cylinder_fill.c.asset_id == bindparam("asset_id")
)
# made once: each registration asks it


def settle_fillings(turn: Turn, asset_id: str) -> None:
    """Write into a cylinder's file what all that gates told of it say together, if that is news.

    It depends on nothing else, so it comes to the same in whatever order they are told. The day of
    a filling only ever moves on. Purged is what its own filler's worker answered on a day after the
    last inspection (of a vehicle's tank: any filler's); a filling alone proves nothing of it.
    """
    row = find_row(turn.connection, asset_id)
    if row is None or row["state"] == "scrapped":
        return
    filled_on = turn.connection.execute(_LATEST, {"asset_id": asset_id}).scalar()
    if filled_on is not None and filled_on > (row["last_filled_on"] or ""):
        turn.change(asset_id, "filled", {"last_filled_on": filled_on})
    if not row["purged"] and _was_purged(turn, row):
        turn.change(asset_id, "purged", {"purged": True})


def _was_purged(turn: Turn, row: Row) -> bool:
    step, inspected_on = cylinder_fill_step.c, row["inspected_on"]
    own = true() if row["in_vehicle"] else and_(step.filler == row["filler"], step.filler != "")
    query = select(step.number).where(step.asset_id == row["asset_id"], step.purged, own)
    since = read_marked(inspected_on).last.isoformat() if inspected_on else ""
    return turn.connection.execute(query.where(step.day > since).limit(1)).first() is not None
