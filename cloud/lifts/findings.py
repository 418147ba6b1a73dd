"""Findings on lifts: codes of another form, and one rescue code on several lifts."""

from collections.abc import Callable

from sqlalchemy import select

from cloud.lifts.base import Registry
from cloud.model.database import Database
from cloud.model.lift_tables import lift
from protocols.clock import Clock
from protocols.lifts.base import SCHEME, LiftFile
from protocols.lifts.catalogue import Catalogue

TWICE, ODD = "rescue_code_twice", "lift_code_odd"
LIFTS_MAX = 50
"""With one code so many get the finding."""


class Findings:
    """Adds them, and resolves them when they are true no more."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        catalogue: Catalogue,
        clock: Clock,
        fits: Callable[[str, str], bool],
    ) -> None:
        self._database, self._registry, self._clock = database, registry, clock
        self._catalogue, self._fits = catalogue, fits

    async def tell(self, asset_id: str, file: LiftFile, before: str) -> None:
        """Look at a lift whose file was written; `before`: the rescue code that it had."""
        odd = self._odd(file)
        now_ms = self._clock.wall_ms()
        if odd:
            self._registry.add_finding(asset_id, ODD, ", ".join(odd), now_ms)
        else:
            self._registry.resolve_finding(asset_id, ODD, now_ms)
        if before != file.rescue_code:
            self._registry.resolve_finding(asset_id, TWICE, now_ms)
            await self.tell_code(before)
        await self.tell_code(file.rescue_code)

    async def tell_code(self, code: str) -> None:
        """Look at all live lifts with a rescue code."""
        if not code:
            return
        query = select(lift.c.asset_id, lift.c.state).where(lift.c.rescue_code == code)
        query = query.order_by(lift.c.asset_id).limit(LIFTS_MAX)
        rows = await self._database.read(lambda c: c.execute(query).all())
        live, now_ms = [row.asset_id for row in rows if row.state != "scrapped"], 0
        now_ms = self._clock.wall_ms()
        for row in rows:
            if len(live) > 1 and row.asset_id in live:
                others = ", ".join(one for one in live if one != row.asset_id)
                self._registry.add_finding(row.asset_id, TWICE, f"{code}: {others}", now_ms)
            else:
                self._registry.resolve_finding(row.asset_id, TWICE, now_ms)

    def _odd(self, file: LiftFile) -> list[str]:
        codes = (file.registration_code, file.equipment_code)
        found = [code for code in codes if code and not self._fits(SCHEME, code)]
        odd = self._catalogue.odd_rescue_code(file.rescue_code)
        return [*found, *([file.rescue_code] if odd else [])]
