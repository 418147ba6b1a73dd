"""The registry of cylinders inside the service: what the HTTP side asks, and imports behind it."""

from collections.abc import Coroutine
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from cloud.access.principals import allowed_roles
from cloud.cylinders.base import CylinderDesks
from cloud.cylinders.book import Cylinders
from cloud.cylinders.facts import Changes, changed_since
from cloud.cylinders.imports import Imports
from cloud.cylinders.inspections import Inspections
from cloud.cylinders.on_the_spot import OnTheSpot, judges
from cloud.cylinders.permits import Permits
from cloud.cylinders.rights import FILLING_STATION
from cloud.cylinders.sheets import Sheets
from cloud.cylinders.snapshots import SnapshotBook
from cloud.cylinders.vehicles import Vehicles
from cloud.handheld.photos import PhotoBook
from cloud.model.permissions import Reach, permissions
from cloud.model.principal import NOTHING, Scope
from cloud.roles.common import Common
from cloud.trust import signing
from protocols.catalog.files import data_root
from protocols.cylinders.load import load_rules

OFFICE_ROLES = frozenset({"regulator", "inspector"})
"""By which an office looks after cylinders; firms have theirs by being their filler."""
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
        self.photos = PhotoBook(common.state_db, common.clock, common.data / "photos")
        self.desks = CylinderDesks(
            cylinders,
            Inspections(cylinders),
            Vehicles(cylinders),
            Permits(common.state_db, common.clock),
            self._imports,
            Sheets(cylinders, rules),
        )

    def fills(self, organisation: str) -> bool:
        """Tell whether an organisation is a filling unit."""
        known = self._common.organisations.peek(organisation)
        return known is not None and known.kind == FILLING_STATION

    def _changed(self, organisation: str, cursor: int) -> Changes:
        """Return what bears on the stations of a filler; each may fill the tank of any vehicle.

        An office has on its handhelds what it looks after.
        """
        remit, read = self._remit(organisation), self._common.state_db.read_now
        if not remit:
            return read(lambda c: changed_since(c, cursor, organisation, PAGE, vehicles=True))
        found = read(lambda c: changed_since(c, cursor, None, PAGE))
        mine = {one.code: self._looks_after(remit, one.code) for one in found.cylinders}
        return msgspec.structs.replace(
            found,
            cylinders=tuple(one for one in found.cylinders if mine[one.code]),
            gone=tuple(code for code, is_mine in mine.items() if not is_mine),
        )

    def _remit(self, organisation: str) -> Scope:
        """Return what an office looks after; nothing for firms."""
        known = self._common.organisations.peek(organisation)
        if known is None or not (held := OFFICE_ROLES & allowed_roles(known.kind)):
            return NOTHING
        districts, categories = frozenset(known.districts), frozenset(known.categories)
        reach = Reach(
            organisation=organisation, districts=districts or None, categories=categories or None
        )
        return permissions(held, reach).get("cylinders.read", NOTHING)

    def _looks_after(self, remit: Scope, asset_id: str) -> bool:
        asset = self._common.registry.peek(asset_id)
        return asset is not None and remit.admits(asset)

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs until the process stops."""
        return {"import cylinders": self._imports.run(), "sweep photos": self.photos.run()}
