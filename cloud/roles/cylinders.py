"""The registry of cylinders inside the service: what the HTTP side asks, and imports behind it."""

from collections.abc import Coroutine
from typing import Any
from zoneinfo import ZoneInfo

from cloud.cylinders.base import CylinderDesks
from cloud.cylinders.book import Cylinders
from cloud.cylinders.imports import Imports
from cloud.cylinders.inspections import Inspections
from cloud.cylinders.permits import Permits
from cloud.cylinders.vehicles import Vehicles
from cloud.roles.common import Common


class CylindersPart:
    """The desks, and the imports that wait."""

    def __init__(self, common: Common) -> None:
        self.cylinders = cylinders = Cylinders(
            common.state_db,
            common.clock,
            common.registry,
            common.organisations,
            zone=ZoneInfo(common.settings.time_zone),
        )
        self._imports = Imports(cylinders, common.clock)
        self.desks = CylinderDesks(
            cylinders,
            Inspections(cylinders),
            Vehicles(cylinders),
            Permits(common.state_db, common.clock),
            self._imports,
        )

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs until the process stops."""
        return {"import cylinders": self._imports.run()}
