"""Inspections of cylinders: who may record them."""

from collections.abc import Sequence
from functools import partial

from cloud.cylinders.book import Cylinders
from cloud.cylinders.inspected import read_inspections, record, withdraw
from cloud.cylinders.rights import INSPECTION_BODY
from cloud.model.cylinder import CylinderRecord, date_faults
from cloud.model.cylinder_records import Inspection, InspectionReport
from cloud.model.database import Work
from cloud.model.principal import Granted, Scope
from protocols.errors import RefuseInput


class Inspections:
    """All inspections."""

    def __init__(self, cylinders: Cylinders) -> None:
        self._cylinders = cylinders

    async def of(self, asset_id: str, scope: Scope) -> list[Inspection]:
        """Return the inspections of a cylinder, the latest first; RefuseInput `not_found`."""
        self._cylinders.known(asset_id, scope)
        return await self._cylinders.database.read(lambda c: read_inspections(c, asset_id))

    async def record(
        self,
        granted: Granted,
        asset_id: str,
        report: InspectionReport,
        body: str,
        *,
        also: Sequence[Work] = (),
    ) -> CylinderRecord:
        """Record an inspection by a body that is approved for it.

        Raises:
            RefuseInput: `not_found`, `bad_request`, `forbidden` without an approval,
                `wrong_state` where the life was extended before, `already_there`.

        """
        self._cylinders.known(asset_id, granted.scope)
        self._cylinders.check_kind(body, INSPECTION_BODY, "body")
        self._cylinders.check_past("inspected_on", report.inspected_on)
        for fault in date_faults(report, "next_due_on"):
            raise RefuseInput("bad_request", str(fault))
        due = report.next_due_on
        if due is not None and due[:7] < report.inspected_on[:7]:
            expected = f"after the inspection on {report.inspected_on}"
            raise RefuseInput("bad_request", f"next_due_on: expected {expected}, found {due}")
        work = partial(record, asset_id=asset_id, report=report, body=body)
        return await self._cylinders.on_one(granted, asset_id, work, also)

    async def withdraw(
        self,
        granted: Granted,
        asset_id: str,
        inspection_id: int,
        reason: str,
        *,
        also: Sequence[Work] = (),
    ) -> CylinderRecord:
        """Take one back that was recorded by mistake; its own body does, or an office.

        Raises:
            RefuseInput: `not_found`, `forbidden`, `wrong_state`.

        """
        principal, everything = granted.principal, granted.scope.everything
        mine = None if everything else principal.organisation or ""
        work = partial(
            withdraw, asset_id=asset_id, inspection_id=inspection_id, reason=reason, mine=mine
        )
        return await self._cylinders.on_one(granted, asset_id, work, also)
