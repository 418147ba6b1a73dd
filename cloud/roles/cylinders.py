"""The registry of cylinders inside the service: what the HTTP side asks, and imports behind it."""

from collections.abc import Coroutine
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from cloud.cylinders.base import CylinderDesks
from cloud.cylinders.book import Cylinders
from cloud.cylinders.facts import Changes, changed_since
from cloud.cylinders.imports import Imports
from cloud.cylinders.inspections import Inspections
from cloud.cylinders.on_the_spot import OnTheSpot, judges
from cloud.cylinders.permits import Permits
from cloud.cylinders.snapshots import SnapshotBook
from cloud.cylinders.vehicles import Vehicles
from cloud.roles.common import Common
from cloud.trust import signing
from protocols.catalog.files import data_root
from protocols.cylinders.load import load_rules

PAGE = 2_000
"""So many cylinders are read at a time for a snapshot."""


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
        self._common = common
        rules = load_rules(data_root() / "cylinders", common.overlay())
        self.snapshots = SnapshotBook(
            common.data / "snapshots",
            self._changed,
            common.clock,
            sign=partial(signing.sign, common.data),
            rules=lambda: rules,
        )
        spot = OnTheSpot(common.registry, common.access.principal, common.clock)
        self.judges = judges(spot)
        """Carry out what handhelds send, by its kind."""
        self.desks = CylinderDesks(
            cylinders,
            Inspections(cylinders),
            Vehicles(cylinders),
            Permits(common.state_db, common.clock),
            self._imports,
        )

    def _changed(self, filler: str, cursor: int) -> Changes:
        """Return what bears on the stations of a filler; each may fill the tank of any vehicle."""
        return self._common.state_db.read_now(
            lambda c: changed_since(c, cursor, filler, PAGE, vehicles=True)
        )

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs until the process stops."""
        return {"import cylinders": self._imports.run()}
