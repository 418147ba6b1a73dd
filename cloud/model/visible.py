"""Row-level visibility as SQL: what a scope admits, said inside the queries."""

from sqlalchemy import ColumnElement, exists, false, not_, or_, select, true

from cloud.model.principal import Remit, Scope
from cloud.model.tables import asset, asset_gateway, asset_party


def sees_asset(scope: Scope, asset_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Hold where `asset_id` names an asset that the scope admits."""
    if scope.everything:
        return true()
    if not scope:
        return false()
    parts = [_of_remit(remit, asset_id) for remit in scope.remits]
    if scope.organisations:
        party = select(asset_party.c.asset_id).where(
            asset_party.c.asset_id == asset_id,
            asset_party.c.organisation.in_(sorted(scope.organisations)),
        )
        parts.append(exists(party))
    return or_(false(), *parts)


def sees_gateway(scope: Scope, gateway_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Hold where an asset that the scope admits names this gateway."""
    if scope.everything:
        return true()
    named = select(asset_gateway.c.asset_id).where(
        asset_gateway.c.gateway_id == gateway_id,
        sees_asset(scope, asset_gateway.c.asset_id),
    )
    return exists(named)


def _of_remit(remit: Remit, asset_id: ColumnElement[str]) -> ColumnElement[bool]:
    here = [asset.c.asset_id == asset_id]
    if remit.districts is not None:
        here.append(asset.c.district.in_(sorted(remit.districts)))
    if remit.categories is not None:
        here.append(asset.c.category.in_(sorted(remit.categories)))
    inside = exists(select(asset.c.asset_id).where(*here))
    if not remit.unplaced:
        return inside
    placed = select(asset.c.asset_id).where(asset.c.asset_id == asset_id, asset.c.district != "")
    return or_(inside, not_(exists(placed)))
