"""The registry of cylinders put together."""

from zoneinfo import ZoneInfo

from cloud.cylinders.base import CylinderDesks, Organisations, Registry
from cloud.cylinders.book import Cylinders
from cloud.cylinders.inspections import Inspections
from cloud.cylinders.permits import Permits
from cloud.cylinders.vehicles import Vehicles
from cloud.model.database import Database
from protocols.clock import Clock


def open_desks(
    database: Database,
    clock: Clock,
    registry: Registry,
    organisations: Organisations,
    *,
    zone: ZoneInfo,
) -> CylinderDesks:
    """Open all desks; `zone`: by whose day a date has come."""
    cylinders = Cylinders(database, clock, registry, organisations, zone=zone)
    return CylinderDesks(
        cylinders,
        Inspections(cylinders),
        Vehicles(cylinders),
        Permits(database, clock),
    )
