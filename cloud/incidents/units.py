"""Who can be sent: the contracted firm, stations by distance, and those that are always there."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from cloud.incidents.rows import to_unit
from cloud.model.incident import RescueUnit
from cloud.model.incident_tables import incident_unit, rescue_unit
from cloud.model.organisation import Contact
from cloud.model.people_tables import organisation
from cloud.model.rescue_policy import Levels
from cloud.model.tables import asset, asset_party

EARTH_M = 6_371_008.8
"""Mean radius."""
_objects = msgspec.json.Decoder(dict[str, Any])
_contact = msgspec.json.Decoder(Contact)


class Place(Struct, frozen=True, kw_only=True):
    """What a rescue needs to know of its lift, as the registry has it now."""

    asset: str
    district: str = ""
    attributes: Mapping[str, Any] = {}
    parties: Mapping[str, str] = {}

    def text(self, name: str) -> str:
        """Return an attribute as a text of at most 64 characters."""
        value = self.attributes.get(name, "")
        return value[:64] if isinstance(value, str) else ""

    @property
    def position(self) -> tuple[float, float] | None:
        """Return latitude and longitude in degrees, None when they are not known."""
        found = self.attributes.get("latitude"), self.attributes.get("longitude")
        numbers = [one for one in found if isinstance(one, int | float) and math.isfinite(one)]
        return (float(numbers[0]), float(numbers[1])) if len(numbers) == 2 else None


Asked = Mapping[str, Any]
"""Rows of `incident_unit` by unit."""


def place_of(connection: Connection, asset_id: str) -> Place:
    """Read what is registered of an asset; of an unknown one there is nothing."""
    row = connection.execute(
        select(asset.c.district, asset.c.attributes).where(asset.c.asset_id == asset_id)
    ).first()
    if row is None:
        return Place(asset=asset_id)
    query = select(asset_party.c.part, asset_party.c.organisation)
    parties = connection.execute(query.where(asset_party.c.asset_id == asset_id))
    return Place(
        asset=asset_id,
        district=row.district,
        attributes=_objects.decode(row.attributes),
        parties={one.part: one.organisation for one in parties},
    )


def distance_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the distance of two points (latitude, longitude in degrees) on a sphere."""
    (lat_1, lon_1), (lat_2, lon_2) = ([math.radians(x) for x in point] for point in (one, other))
    half = math.sin((lat_2 - lat_1) / 2) ** 2
    half += math.cos(lat_1) * math.cos(lat_2) * math.sin((lon_2 - lon_1) / 2) ** 2
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(half)))


def candidates(
    connection: Connection, place: Place, level: int, levels: Levels
) -> list[tuple[RescueUnit, float | None]]:
    """Return who could be sent at a level, the best first, with the distance in m if known.

    At a level of a party these are the units of its organisation, or the organisation itself; else
    all units of the level that are on duty, the nearest first.
    """
    party = levels.party_of(level)
    if party is None:
        found = _of_level(connection, level, levels)
    else:
        organisation_id = place.parties.get(party)
        found = [] if organisation_id is None else _of_firm(connection, organisation_id, level)
    told = [(one, _distance(one, place)) for one in found if one.on_duty]
    return sorted(told, key=lambda one: (one[1] is None, one[1] or 0.0, one[0].unit))


def find_unit(
    connection: Connection, unit_id: str, place: Place, levels: Levels
) -> RescueUnit | None:
    """Return a unit by its id: registered, always there, or an organisation that is a party."""
    query = select(rescue_unit).where(rescue_unit.c.unit == unit_id)
    row = connection.execute(query).mappings().first()
    if row is not None:
        return to_unit(row)
    standing = next((one for one in levels.unit if one.unit == unit_id), None)
    if standing is not None:
        return standing.as_unit()
    return _implicit(connection, unit_id, 1) if unit_id in place.parties.values() else None


def all_units(connection: Connection, levels: Levels) -> list[RescueUnit]:
    """Return every unit that is registered or always there, by name."""
    rows = connection.execute(select(rescue_unit)).mappings()
    found = _with_standing([to_unit(row) for row in rows], levels)
    return sorted(found, key=lambda one: (one.name, one.unit))


def asked(connection: Connection, incident_id: int) -> Asked:
    """Return who was asked for an incident."""
    query = select(incident_unit).where(incident_unit.c.incident == incident_id)
    return {row["unit"]: row for row in connection.execute(query).mappings()}


def _of_level(connection: Connection, level: int, levels: Levels) -> list[RescueUnit]:
    query = select(rescue_unit)
    rows = [to_unit(row) for row in connection.execute(query).mappings()]
    return [one for one in _with_standing(rows, levels) if one.level == level]


def _with_standing(units: Iterable[RescueUnit], levels: Levels) -> list[RescueUnit]:
    known = {one.unit: one for one in units}
    return list(({one.unit: one.as_unit() for one in levels.unit} | known).values())


def _of_firm(connection: Connection, organisation_id: str, level: int) -> list[RescueUnit]:
    table = rescue_unit.c
    query = select(rescue_unit).where(table.organisation == organisation_id, table.level == level)
    found = [to_unit(row) for row in connection.execute(query).mappings()]
    return found or [_implicit(connection, organisation_id, level)]


def _implicit(connection: Connection, organisation_id: str, level: int) -> RescueUnit:
    """Return an organisation as the unit that nobody registered for it."""
    query = select(organisation.c.name, organisation.c.contact)
    row = connection.execute(query.where(organisation.c.id == organisation_id)).first()
    return RescueUnit(
        unit=organisation_id,
        name=row.name if row is not None else organisation_id,
        level=level,
        phone=_contact.decode(row.contact).phone[:64] if row is not None else "",
        organisation=organisation_id,
    )


def _distance(unit: RescueUnit, place: Place) -> float | None:
    here = place.position
    if here is None or unit.latitude is None or unit.longitude is None:
        return None
    return round(distance_m(here, (unit.latitude, unit.longitude)), 1)
