"""Fillings found in the state database, within what a caller may see."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import (
    Connection,
    Select,
    and_,
    case,
    exists,
    func,
    literal,
    or_,
    select,
)

from cloud.cylinders.base import WantedDecisions, WantedFills
from cloud.cylinders.find_decisions import find_decisions, seen_at_gates
from cloud.model.cylinder_fill import CylinderFill, FillDecision, OverruledBy
from cloud.model.cylinder_tables import cylinder, permit
from cloud.model.database import Database
from cloud.model.fill_tables import cylinder_fill
from cloud.model.principal import Scope
from protocols.records import Code, FillReason

_JSON: Mapping[str, Any] = {
    "reasons": tuple[FillReason, ...],
    "checks": dict[str, bool],
    "overruled": OverruledBy | None,
    "codes": tuple[Code, ...],
    "faults": tuple[str, ...],
}
_FILL = cylinder_fill.c
_PERMITTED = exists(
    select(permit.c.number).where(
        permit.c.organisation == _FILL.filler,
        permit.c.kind == "filling",
        permit.c.state == "valid",
        permit.c.valid_from <= _FILL.filled_on,
        permit.c.valid_until >= _FILL.filled_on,
        # a JSON list of words holds the gas where taking it out changes the list
        func.replace(permit.c["items"], literal('"').concat(_FILL.gas).concat('"'), "")
        != permit.c["items"],
    )
)
_FILED = exists(select(cylinder.c.asset_id).where(cylinder.c.asset_id == _FILL.asset_id))


class Fills:
    """All fillings, for whoever asks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, scope: Scope, wanted: WantedFills) -> list[CylinderFill]:
        """Return fillings within a scope, the latest begun first."""
        return await self._database.read(lambda c: find_fills(c, scope, wanted))

    async def decisions(self, scope: Scope, wanted: WantedDecisions) -> list[FillDecision]:
        """Return what gates decided within a scope, the latest first."""
        return await self._database.read(lambda c: find_decisions(c, scope, wanted))


def find_fills(connection: Connection, scope: Scope, wanted: WantedFills) -> list[CylinderFill]:
    """Return fillings, the latest begun first.

    A caller sees what was filled of the cylinders that they see, and what a filler filled that is
    theirs or of their office: also where nobody knows the cylinder.
    """
    query = _of(fills_query().where(seen_at_gates(scope, cylinder_fill)), wanted)
    query = query.order_by(_FILL.began_at.desc(), _FILL.id.desc()).limit(wanted.limit)
    return [fill_of(dict(row)) for row in connection.execute(query).mappings()]


def fills_changed(connection: Connection, after: int, limit: int) -> list[CylinderFill]:
    """Return fillings that changed after a number, in that order, each as it is now."""
    query = fills_query().where(_FILL.change > after).order_by(_FILL.change).limit(limit)
    return [fill_of(dict(row)) for row in connection.execute(query).mappings()]


def fills_query() -> Select[Any]:
    """Return what reads fillings, each with whether its cylinder has a file."""
    permitted = case((_FILL.filled_on.is_not(None), _PERMITTED))
    return select(cylinder_fill, _FILED.label("known"), permitted.label("permitted"))


def fill_of(row: dict[str, Any]) -> CylinderFill:
    """Return the filling in a row of `fills_query`."""
    parsed = {name: msgspec.json.decode(row[name], type=type_) for name, type_ in _JSON.items()}
    return CylinderFill(**{**row, **parsed})


def _of(query: Select[Any], wanted: WantedFills) -> Select[Any]:
    for name in ("asset_id", "filler", "state", "gateway"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(_FILL[name] == value)
    if wanted.known is not None:
        query = query.where(_FILED if wanted.known else ~_FILED)
    if wanted.permitted is not None:
        held = _PERMITTED if wanted.permitted else ~_PERMITTED
        query = query.where(_FILL.filled_on.is_not(None), held)
    if wanted.fault is not None:
        query = query.where(_FILL.faults.contains(f'"{wanted.fault}"', autoescape=True))
    if wanted.since is not None:
        query = query.where(_FILL.began_at >= wanted.since)
    if wanted.before is not None:
        began_at, id_ = wanted.before
        earlier = and_(_FILL.began_at == began_at, _FILL.id < id_)
        query = query.where(_FILL.began_at <= began_at, or_(_FILL.began_at < began_at, earlier))
    return query
