"""Row-level visibility as SQL: what a scope admits, said inside the queries."""

from sqlalchemy import ColumnElement, and_, exists, false, not_, or_, select, true

from cloud.model.people_tables import organisation_category, organisation_district
from cloud.model.principal import Remit, Scope
from cloud.model.tables import asset, asset_party


def sees_asset(scope: Scope, asset_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Hold where `asset_id` names an asset that the scope admits."""
    if scope.everything:
        return true()
    if not scope:
        return false()
    parts = [_of_remit(remit, asset_id) for remit in scope.remits]
    if scope.organisations:  # few among many: IN lets the database begin with them
        party = asset_party.alias().c
        mine = party.organisation.in_(sorted(scope.organisations))
        parts.append(asset_id.in_(select(party.asset_id).where(mine)))
    return parts[0] if len(parts) == 1 else or_(false(), *parts)


def _of_remit(remit: Remit, asset_id: ColumnElement[str]) -> ColumnElement[bool]:
    placed = asset.alias().c  # an alias, so that it is not taken for a table of the query around
    here = [placed.asset_id == asset_id]
    if remit.districts is not None:
        here.append(placed.district.in_(sorted(remit.districts)))
    if remit.categories is not None:
        here.append(placed.category.in_(sorted(remit.categories)))
    inside = exists(select(placed.asset_id).where(*here))
    if not remit.unplaced:
        return inside
    somewhere = select(placed.asset_id).where(placed.asset_id == asset_id, placed.district != "")
    return or_(inside, not_(exists(somewhere)))


def sees_organisation(scope: Scope, organisation_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Hold where `organisation_id` names an organisation that the scope admits."""
    if scope.everything:
        return true()
    parts = [is_of_remit(remit, organisation_id) for remit in scope.remits]
    if scope.organisations:
        parts.append(organisation_id.in_(sorted(scope.organisations)))
    return or_(false(), *parts)


def is_of_remit(remit: Remit, organisation_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Hold where `organisation_id` names one of a remit's districts and categories.

    One of the whole city, or of all categories, is of no narrower remit.
    """
    parts: list[ColumnElement[bool]] = [true()]
    if remit.districts is not None:
        here = organisation_district.alias().c
        named = here.district.in_(sorted(remit.districts))
        query = select(here.organisation).where(here.organisation == organisation_id, named)
        parts.append(exists(query))
    if remit.categories is not None:
        of = organisation_category.alias().c
        named = of.category.in_(sorted(remit.categories))
        query = select(of.organisation).where(of.organisation == organisation_id, named)
        parts.append(exists(query))
    return and_(*parts)
