"""Vehicles that carry cylinders as their fuel tanks."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from cloud.cylinders.book import Cylinders
from cloud.cylinders.changes import Turn
from cloud.cylinders.register import differing
from cloud.model.asset import Asset
from cloud.model.cylinder import date_faults
from cloud.model.cylinder_records import VehicleFile, VehicleRecord
from cloud.model.cylinder_tables import cylinder
from cloud.model.cylinder_tables import vehicle as table
from cloud.model.database import Work
from cloud.model.principal import Granted, Scope
from cloud.model.rows import replace_rows
from protocols.errors import RefuseInput

TANKS_MAX = 100
"""Of one vehicle."""


class Vehicles:
    """All vehicles."""

    def __init__(self, cylinders: Cylinders) -> None:
        self._cylinders = cylinders

    async def get(self, vehicle_id: str, scope: Scope) -> VehicleRecord:
        """Return a vehicle; RefuseInput `not_found`."""
        found = await self._cylinders.database.read(lambda c: read_vehicle(c, vehicle_id))
        if found is None or not _sees(scope, found):
            raise RefuseInput("not_found", f"no vehicle {vehicle_id[:32]!r}")
        return found

    async def put(
        self, granted: Granted, vehicle_id: str, file: VehicleFile, *, also: Sequence[Work] = ()
    ) -> tuple[VehicleRecord, bool]:
        """Register or change a vehicle, and tell whether it is new; its tanks change with it.

        Raises:
            RefuseInput: `bad_request`, or `not_found` for one of somebody else.

        """
        for fault in date_faults(file, "installed_on", "certificate_valid_until", "scrapped_on"):
            raise RefuseInput("bad_request", str(fault))
        new = list[bool]()

        def work(taken: Turn) -> Sequence[Asset]:
            new.append(_write(taken, vehicle_id, file, granted.scope))
            return []

        await self._cylinders.write(granted, work, also)
        return await self.get(vehicle_id, granted.scope), new[0]


def read_vehicle(connection: Connection, vehicle_id: str) -> VehicleRecord | None:
    """Return a vehicle."""
    row = connection.execute(select(table).where(table.c.id == vehicle_id)).mappings().first()
    if row is None:
        return None
    return VehicleRecord(**{name: row[name] for name in VehicleRecord.__struct_fields__})


def _sees(scope: Scope, vehicle: VehicleRecord) -> bool:
    """Tell whether a scope admits a vehicle: it drives through all districts."""
    office = scope.everything or bool(scope.remits)
    return office or vehicle.organisation in scope.organisations


def _write(turn: Turn, vehicle_id: str, file: VehicleFile, scope: Scope) -> bool:
    earlier = read_vehicle(turn.connection, vehicle_id)
    if earlier is not None and not _sees(scope, earlier):
        raise RefuseInput("not_found", f"vehicle {vehicle_id} is registered by others")
    fields = msgspec.structs.asdict(file)
    row: dict[str, Any] = {
        "id": vehicle_id,
        **fields,
        "scrapped_at": turn.now_ms if file.scrapped_on else None,
        "by": turn.actor.by,
        "organisation": earlier.organisation if earlier else turn.actor.organisation,
        "updated_at": turn.now_ms,
    }
    replace_rows(turn.connection, table, [row])
    if earlier is not None:
        before = {name: getattr(earlier, name) for name in fields}
        told = differing(before, fields, [name for name in fields if name != "plate"])
        tanks = select(cylinder.c.asset_id).where(cylinder.c.vehicle == vehicle_id)
        for asset_id in turn.connection.execute(tanks.limit(TANKS_MAX)).scalars().all():
            turn.change(asset_id, "vehicle_changed", {}, told=told)
    return earlier is None
