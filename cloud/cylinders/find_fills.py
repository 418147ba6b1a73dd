"""Fillings found in the state database, within what a caller may see."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, exists, or_, select, true

from cloud.cylinders.base import WantedFills
from cloud.model.cylinder_fill import CylinderFill, OverruledBy
from cloud.model.cylinder_tables import cylinder
from cloud.model.fill_tables import cylinder_fill
from cloud.model.principal import Scope
from cloud.model.visible import sees_asset, sees_organisation
from protocols.records import Code, FillReason

_JSON: Mapping[str, Any] = {
    "reasons": tuple[FillReason, ...],
    "checks": dict[str, bool],
    "overruled": OverruledBy | None,
    "codes": tuple[Code, ...],
    "faults": tuple[str, ...],
}
_FILL = cylinder_fill.c
_FILED = exists(select(cylinder.c.asset_id).where(cylinder.c.asset_id == _FILL.asset_id))


def find_fills(connection: Connection, scope: Scope, wanted: WantedFills) -> list[CylinderFill]:
    """Return fillings, the latest begun first.

    A caller sees what was filled of the cylinders that they see, and what a filler filled that is
    theirs or of their office: also where nobody knows the cylinder.
    """
    query = _of(fills_query().where(_seen(scope)), wanted)
    query = query.order_by(_FILL.began_at.desc(), _FILL.id.desc()).limit(wanted.limit)
    return [fill_of(dict(row)) for row in connection.execute(query).mappings()]


def fills_changed(connection: Connection, after: int, limit: int) -> list[CylinderFill]:
    """Return fillings that changed after a number, in that order, each as it is now."""
    query = fills_query().where(_FILL.change > after).order_by(_FILL.change).limit(limit)
    return [fill_of(dict(row)) for row in connection.execute(query).mappings()]


def fills_query() -> Select[Any]:
    """Return what reads fillings, each with whether its cylinder has a file."""
    return select(cylinder_fill, _FILED.label("known"))


def fill_of(row: dict[str, Any]) -> CylinderFill:
    """Return the filling in a row of `fills_query`."""
    parsed = {name: msgspec.json.decode(row[name], type=type_) for name, type_ in _JSON.items()}
    return CylinderFill(**{**row, **parsed})


def _seen(scope: Scope) -> ColumnElement[bool]:
    if scope.everything:
        return true()
    of_cylinder = sees_asset(scope, _FILL.asset_id)
    return or_(of_cylinder, and_(_FILL.filler != "", sees_organisation(scope, _FILL.filler)))


def _of(query: Select[Any], wanted: WantedFills) -> Select[Any]:
    for name in ("asset_id", "filler", "state", "gateway"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(_FILL[name] == value)
    if wanted.known is not None:
        query = query.where(_FILED if wanted.known else ~_FILED)
    if wanted.fault is not None:
        query = query.where(_FILL.faults.contains(f'"{wanted.fault}"', autoescape=True))
    if wanted.since is not None:
        query = query.where(_FILL.began_at >= wanted.since)
    if wanted.before is not None:
        began_at, id_ = wanted.before
        earlier = and_(_FILL.began_at == began_at, _FILL.id < id_)
        query = query.where(_FILL.began_at <= began_at, or_(_FILL.began_at < began_at, earlier))
    return query
