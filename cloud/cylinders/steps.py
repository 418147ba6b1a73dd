"""Steps in the life of a cylinder that change its state or its filler."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select, tuple_

from cloud.cylinders.blocks import add_block
from cloud.cylinders.changes import Turn, existing
from cloud.cylinders.register import end_codes
from cloud.cylinders.rows import find_row
from cloud.model.cylinder import Destroyed, FurtherCode, Step
from cloud.model.cylinder_tables import cylinder_code
from protocols.errors import RefuseInput


class _Way(NamedTuple):
    """From which states a step leads, and where to."""

    before: tuple[str, ...]
    after: str
    what: str


WAYS: Mapping[Step, _Way] = {
    "take-out": _Way(("in_use",), "out_of_use", "taken_out"),
    "put-back": _Way(("out_of_use",), "in_use", "put_back"),
    "lose": _Way(("in_use", "out_of_use"), "lost", "lost"),
    "find": _Way(("lost",), "in_use", "found"),
}


def take_step(turn: Turn, asset_id: str, step: Step, reason: str) -> None:
    """Take a step; RefuseInput `not_found`, `wrong_state`."""
    row = existing(turn, asset_id)
    if step == "purge":
        if row["purged"]:
            raise RefuseInput("wrong_state", f"{asset_id} is purged")
        turn.change(asset_id, "purged", {"purged": True}, reason=reason)
        return
    way = WAYS[step]
    if row["state"] not in way.before:
        expected = " or ".join(way.before)
        raise RefuseInput("wrong_state", f"state: expected {expected}, found {row['state']}")
    turn.change(asset_id, way.what, {"state": way.after}, reason=reason)


def transfer(turn: Turn, asset_id: str, to: str, reason: str) -> str:
    """Make it another filler's; return whose it was. RefuseInput `wrong_state`."""
    row = existing(turn, asset_id)
    before = str(row["filler"])
    if before == to:
        raise RefuseInput("wrong_state", f"filler: it is {to or 'nobody'}'s already")
    change = turn.change(asset_id, "transferred", {"filler": to}, reason=reason)
    turn.moved(asset_id, before, to, change)
    return before


def scrap(turn: Turn, asset_id: str, how: Destroyed, on: str, by: str, reason: str) -> None:
    """End it for ever: its codes are void and never tell of another cylinder."""
    row = existing(turn, asset_id)
    told = {"state": "scrapped", "scrapped_how": how, "scrapped_on": on}
    columns = {**told, "scrapped_by": by, "scrapped_at": turn.now_ms}
    before = {"state": row["state"]}  # who did it is a person: the file says so, and forgets it
    turn.change(asset_id, "scrapped", columns, told=(before, told), reason=reason)
    end_codes(turn, asset_id)


def told_by(connection: Connection, codes: Sequence[FurtherCode]) -> dict[str, list[FurtherCode]]:
    """Return of which cylinders codes tell, or once told; codes nobody knows are left out."""
    code = cylinder_code.c
    named = tuple_(code.scheme, code.value).in_([(one.scheme, one.value) for one in codes])
    query = select(code.scheme, code.value, code.asset_id).where(named).order_by(code.asset_id)
    found: dict[str, list[FurtherCode]] = {}
    for scheme, value, asset_id in connection.execute(query):
        found.setdefault(asset_id, []).append(FurtherCode(scheme, value))
    return found


def block_disagreeing(
    turn: Turn, told: Mapping[str, Sequence[FurtherCode]], mine: Sequence[str]
) -> list[str]:
    """Block those of `mine` whose codes were read together with another cylinder's."""
    detail = disagreement(told)
    blocked = []
    for asset_id in mine:
        row = find_row(turn.connection, asset_id)
        if row is not None and row["state"] != "scrapped":
            add_block(turn, asset_id, "codes_disagree", detail)
            blocked.append(asset_id)
    return blocked


def disagreement(told: Mapping[str, Sequence[FurtherCode]]) -> str:
    """Say which code tells of which cylinder."""
    parts = [f"{code} → {one}" for one, codes in told.items() for code in codes]
    return ", ".join(parts)[:500]
