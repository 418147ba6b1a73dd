"""Takes what handhelds send: once, whatever they say, with the service's word on each."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, select

from cloud.handheld.base import Judge, Noting
from cloud.handheld.batch import Settling
from cloud.model.database import Database, take_turn
from cloud.model.handheld import HandheldRecord
from cloud.model.handheld_tables import handheld_record as table
from cloud.model.people_tables import account
from cloud.model.principal import Granted, Scope
from cloud.model.visible import sees_organisation
from protocols.catalog.inspections import Calendar, Form
from protocols.clock import Clock
from protocols.cylinders.book import RuleBook, book_bytes
from protocols.errors import RefuseInput
from protocols.handheld import Answer, Batch, Contact, Settled

TURN = "handheld"
DEVICE = "device:"
_any = msgspec.json.Decoder()


class HandheldBook:
    """The records of all handhelds."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        offline_grace_s: int,
        judges: Mapping[str, Judge] | None = None,
        rules: RuleBook | None = None,
        fills: Callable[[str], bool] = lambda _: False,
        forms: tuple[Mapping[str, Form], Calendar] = ({}, Calendar(schema=1)),
    ) -> None:
        """Take records.

        Args:
            database: the state.
            clock: of the service.
            offline_grace_s: so long a handheld may go on without reaching the service.
            judges: by kind of record, what else is done with one that is taken.
            rules: by which a handheld judges cylinders; None: by those that it has.
            fills: whether an organisation is a filling unit.
            forms: of inspections, by id, and the calendar of working days.

        """
        self._database, self._clock = database, clock
        self._rules, self.fills, self._forms = rules, fills, forms
        self._grace_s, self._judges = offline_grace_s, dict(judges or {})

    async def contact(self, granted: Granted) -> Contact:
        """Tell a handheld who it is; who is none is told no person."""
        principal = granted.principal
        handheld = principal.kind == "device"
        query = select(account.c.name).where(account.c.id == principal.account)
        name = await self._database.read(lambda c: c.execute(query).scalar()) if handheld else ""
        return Contact(
            time=self._clock.wall_ms(),
            person=principal.id.removeprefix(DEVICE) if handheld else "",
            name=str(name or ""),
            organisation=principal.organisation or "",
            offline_grace_s=self._grace_s,
            fills=self.fills(principal.organisation or ""),
        )

    def rules(self) -> tuple[bytes, str]:
        """Return the bytes of the rule book, and its version; RefuseInput `not_found`."""
        if self._rules is None:
            raise RefuseInput("not_found", "this service has no rules of cylinders")
        return book_bytes(self._rules), self._rules.version

    def forms(self) -> dict[str, Any]:
        """Return the forms of inspections and the calendar, for devices that have none."""
        forms, calendar = self._forms
        return {"forms": list(forms.values()), "calendar": calendar}

    async def take(self, batch: Batch, granted: Granted, noting: Noting) -> Answer:
        """Settle each record by itself; what was taken before is answered as it was then."""
        now_ms = self._clock.wall_ms()
        settled: list[Settled] = []

        def work(connection: Connection) -> None:
            take_turn(connection, TURN)
            settling = Settling(connection, batch, granted, now_ms=now_ms, judges=self._judges)
            settled[:] = settling.settle()

        def note(connection: Connection) -> None:
            counts = Counter[str](one.outcome for one in settled if one.outcome != "known")
            if counts:
                noting(f"handheld:{batch.store}", counts)(connection)

        await self._database.write(work, note)
        return Answer(time=now_ms, settled=tuple(settled))

    async def find(
        self,
        scope: Scope,
        *,
        asset: str | None = None,
        outcome: str | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> Sequence[HandheldRecord]:
        """Return records of the organisations in scope, the latest received first."""
        query: Select[Any] = select(table).where(sees_organisation(scope, table.c.organisation))
        if asset is not None:
            query = query.where(table.c.asset == asset)
        if outcome is not None:
            query = query.where(table.c.outcome == outcome)
        if before_id is not None:
            query = query.where(table.c.id < before_id)
        query = query.order_by(table.c.id.desc()).limit(limit)
        rows = await self._database.read(lambda c: c.execute(query).mappings().all())
        return [_kept(row) for row in rows]


def _kept(row: Mapping[Any, Any]) -> HandheldRecord:
    try:
        what = _any.decode(row["body"])["what"]
    except (msgspec.DecodeError, RecursionError, TypeError, KeyError):
        what = bytes(row["body"]).decode(errors="replace")
    named = {name: row[name] for name in HandheldRecord.__struct_fields__ if name != "what"}
    return HandheldRecord(what=what, **named)
