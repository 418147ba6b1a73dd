"""The registry of cylinders inside the service: what the HTTP side asks, and imports behind it."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cloud.alarms.desk import AlarmDesk
from cloud.cylinders import observed
from cloud.cylinders.base import CylinderDesks
from cloud.cylinders.book import Cylinders
from cloud.cylinders.facts import Changes, changed_since
from cloud.cylinders.fills import MARK, NAME, FillKeeper
from cloud.cylinders.find_fills import Fills
from cloud.cylinders.imports import Imports
from cloud.cylinders.inspections import Inspections
from cloud.cylinders.permits import Permits
from cloud.cylinders.reports.find import ReportDesk
from cloud.cylinders.reports.mapping import load_mappings
from cloud.cylinders.reports.send import Reports
from cloud.cylinders.snapshots import SnapshotBook
from cloud.cylinders.vehicles import Vehicles
from cloud.model.follower import LogFollower
from cloud.roles.common import Common
from cloud.roles.sign_on import open_caller
from cloud.roles.watch import open_addresses, open_cases
from cloud.trust import signing
from protocols.catalog.files import data_root
from protocols.cylinders.load import load_rules
from protocols.errors import RetryLater

PAGE = 2_000
"""So many cylinders are read at a time for a snapshot."""


class CylindersPart:
    """The desks, and the imports that wait."""

    def __init__(self, common: Common, desk: AlarmDesk) -> None:
        rules = load_rules(data_root() / "cylinders", common.overlay())
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
        )
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
        )

    def _changed(self, filler: str, cursor: int) -> Changes:
        """Return what bears on the stations of a filler; each may fill the tank of any vehicle."""
        return self._common.state_db.read_now(
            lambda c: changed_since(c, cursor, filler, PAGE, vehicles=True)
        )

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs until the process stops."""
        return {"import cylinders": self._imports.run()}


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
