"""Messages to the regulator, within what a caller may see."""

from typing import Any

from sqlalchemy import Connection, Select, and_, or_, select

from cloud.model.cylinder_report import CylinderReport
from cloud.model.database import Database
from cloud.model.principal import Scope
from cloud.model.report_tables import cylinder_report
from cloud.model.visible import sees_asset, sees_organisation

_COLUMNS = [cylinder_report.c[name] for name in CylinderReport.__struct_fields__]


class ReportDesk:
    """All messages, for whoever asks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(
        self,
        scope: Scope,
        *,
        state: str | None = None,
        kind: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[CylinderReport]:
        """Return messages of cylinders or fillers within a scope, the latest made first."""
        return await self._database.read(
            lambda c: _find(c, scope, state=state, kind=kind, before=before, limit=limit)
        )


def _find(
    connection: Connection, scope: Scope, *, before: int | None, limit: int, **asked: str | None
) -> list[CylinderReport]:
    report = cylinder_report.c
    query: Select[Any] = select(*_COLUMNS).order_by(report.id.desc()).limit(limit)
    if not scope.everything:
        of_filler = and_(report.filler != "", sees_organisation(scope, report.filler))
        query = query.where(or_(sees_asset(scope, report.asset_id), of_filler))
    for name, value in asked.items():
        query = query if value is None else query.where(report[name] == value)
    if before is not None:
        query = query.where(report.id < before)
    return [CylinderReport(**row) for row in connection.execute(query).mappings()]
