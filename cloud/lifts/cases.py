"""What is overdue, as people ask for it: cases, and lifts of which something is due."""

from datetime import date

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, or_, select

from cloud.lifts.find import find_lifts
from cloud.model.database import Database
from cloud.model.lift import Lift, LiftCase, WantedLifts
from cloud.model.lift_tables import lift_case
from cloud.model.principal import Scope
from cloud.model.visible import sees_asset
from protocols.lifts.watch import LiftTerms

_case = lift_case.c
_facts = msgspec.json.Decoder(dict[str, str | int])


class CaseList:
    """`Cases` in the state database."""

    def __init__(self, database: Database, terms: LiftTerms) -> None:
        self._database, self.terms = database, terms

    async def find(
        self,
        scope: Scope,
        *,
        kind: str | None = None,
        asset_id: str | None = None,
        ended: bool = False,
        after: tuple[str, int] | None = None,
        limit: int = 100,
    ) -> list[LiftCase]:
        """Return cases by their day, the longest overdue first."""
        is_open: ColumnElement[bool] = _case.open.is_(None) if ended else _case.open == "y"
        query = select(lift_case).where(is_open, sees_asset(scope, _case.asset_id))
        if kind is not None:
            query = query.where(_case.kind == kind)
        if asset_id is not None:
            query = query.where(_case.asset_id == asset_id)
        if after is not None:
            day, number = after
            later = and_(_case.day == day, _case.id > number)
            query = query.where(_case.day >= day, or_(_case.day > day, later))
        query = query.order_by(_case.day, _case.id).limit(limit)

        def read(connection: Connection) -> list[LiftCase]:
            rows = connection.execute(query).mappings().all()
            return [
                LiftCase(
                    **{name: row[name] for name in LiftCase.__struct_fields__ if name != "facts"},
                    facts=_facts.decode(row["facts"]),
                )
                for row in rows
            ]

        return await self._database.read(read)

    async def due(self, scope: Scope, wanted: WantedLifts, until: date) -> list[Lift]:
        """Return lifts of which something is due until a day."""
        day = date.fromordinal(until.toordinal() + 1).isoformat()
        some = msgspec.structs.replace(wanted, due_before=day)
        return await self._database.read(lambda c: find_lifts(c, scope, some))
