"""The registry of cylinders inside the service: what the HTTP side asks, and imports behind it."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from cloud.access.principals import allowed_roles
from cloud.alarms.desk import AlarmDesk
from cloud.cylinders import observed
from cloud.cylinders.base import CylinderDesks
from cloud.cylinders.book import Cylinders
from cloud.cylinders.facts import Changes, changed_since
from cloud.cylinders.fills import MARK, NAME, FillKeeper
from cloud.cylinders.find_fills import Fills
from cloud.cylinders.imports import Imports
from cloud.cylinders.inspections import Inspections
from cloud.cylinders.on_the_spot import OnTheSpot, judges
from cloud.cylinders.permits import Permits, permits_of, station_permits
from cloud.cylinders.reports.find import ReportDesk
from cloud.cylinders.reports.mapping import load_mappings
from cloud.cylinders.reports.send import Reports
from cloud.cylinders.rights import FILLING_STATION
from cloud.cylinders.sheets import Sheets
from cloud.cylinders.snapshots import SnapshotBook
from cloud.cylinders.vehicles import Vehicles
from cloud.handheld.photos import PhotoBook
from cloud.model.follower import LogFollower
from cloud.model.permissions import Reach, permissions
from cloud.model.principal import NOTHING, Scope
from cloud.roles.common import Common
from cloud.roles.sign_on import open_caller
from cloud.roles.watch import open_addresses, open_cases
from cloud.trust import signing
from protocols.cylinders.base import StationPermits
from protocols.errors import RetryLater

OFFICE_ROLES = frozenset({"regulator", "inspector"})
"""By which an office looks after cylinders; firms have theirs by being their filler."""
PAGE = 2_000
"""So many cylinders are read at a time for a snapshot."""


class CylindersPart:
    """The desks, and the imports that wait."""

    def __init__(self, common: Common, desk: AlarmDesk) -> None:
        self._rules = rules = common.cylinder_rules
        self.cylinders = cylinders = Cylinders(
            common.state_db,
            common.clock,
            common.registry,
            common.organisations,
            zone=ZoneInfo(common.settings.time_zone),
            rules=rules,
        )
        self._imports = Imports(cylinders, common.clock)
        self._common = common
        self.snapshots = SnapshotBook(
            common.data / "snapshots",
            self._changed,
            common.clock,
            sign=partial(signing.sign, common.data),
            rules=lambda: rules,
            permits=self._permits,
        )
        zone = ZoneInfo(common.settings.time_zone)
        spot = OnTheSpot(common.registry, common.access.principal, common.clock, zone=zone)
        self.judges = judges(spot)
        """Carry out what handhelds send, by its kind."""
        self.photos = PhotoBook(common.state_db, common.clock, common.data / "photos")
        self.desks = CylinderDesks(
            cylinders,
            Inspections(cylinders),
            Vehicles(cylinders),
            Permits(common.state_db, common.clock),
            self._imports,
            Fills(common.state_db),
            ReportDesk(common.state_db),
            open_cases(common, desk),
            open_addresses(common),
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

    def _permits(self, organisation: str) -> StationPermits | None:
        if not self.fills(organisation):
            return None
        permits = self._common.state_db.read_now(lambda c: permits_of(c, organisation, "filling"))
        return station_permits(permits, self._rules.gas, self.cylinders.today())

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


def observer_of_scans(common: Common) -> LogFollower:
    """Return what looks whether codes on one cylinder disagree, inside the consuming part."""
    loop = asyncio.get_running_loop()

    def find(*finding: Any) -> None:
        loop.call_soon_threadsafe(common.registry.add_finding, *finding)

    return LogFollower(
        name=observed.NAME,
        log=common.log,
        database=common.state_db,
        mark=observed.MARK,
        keep=observed.ScanObserver(common.clock, find=find).keep,
    )


def reports_of(common: Common) -> Reports | None:
    """Return what tells the regulator, None where the settings name none.

    Raises:
        FixConfiguration: with all faults of the message files.

    """
    settings = common.settings.regulator
    if not settings.url:
        return None

    def token() -> str:
        try:
            return Path(settings.token_file).read_text().strip() if settings.token_file else ""
        except OSError as error:
            raise RetryLater(f"the regulator's token: {error}") from error

    return Reports(
        common.state_db,
        load_mappings(common.overlay()),
        outbound=open_caller(common.settings.outbound),
        url=settings.url,
        token=token,
        clock=common.clock,
        count=common.metrics.count_report,
    )


def fills_follower(common: Common) -> LogFollower:
    """Return what keeps the fillings that gateways tell of, inside the consuming part."""
    zone, count = ZoneInfo(common.settings.time_zone), common.metrics.count_fill
    return LogFollower(
        name=NAME,
        log=common.log,
        database=common.state_db,
        mark=MARK,
        keep=FillKeeper(common.clock, zone=zone, count=count).keep,
    )
