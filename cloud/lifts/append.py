"""Writing entries into the record of a lift: what must hold, and what follows from them."""

from collections.abc import Callable
from datetime import date
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, RowMapping, insert, select, update

from cloud.lifts.rows import (
    columns_of_plan,
    entries_of,
    events_in,
    file_columns,
    file_of,
    find_row,
    json_text,
    new_columns,
    read_kept,
    record_columns,
)
from cloud.model.database import take_turn
from cloud.model.lift_tables import lift, lift_record
from protocols.errors import RefuseInput
from protocols.lifts.base import LiftFile
from protocols.lifts.chain import (
    WITHDRAWAL,
    Entry,
    Kept,
    events_of,
    read_entry,
    seal_entry,
    standing,
)
from protocols.lifts.due import Plan, compact, plan
from protocols.lifts.records import Draft, Kinds, RecordKind
from protocols.lifts.rules import CalendarRules, Event
from protocols.signed import Sign

TURN = "lift records"
FIRST_DAY = date(1900, 1, 1)


class Author(Struct, frozen=True):
    """Who writes an entry."""

    by: str
    organisation: str


class Recorder(Struct, frozen=True, kw_only=True):
    """Writes entries inside a caller's transaction."""

    kinds: Kinds
    rules: CalendarRules
    sign: Sign
    today: Callable[[], date]
    now_ms: Callable[[], int]

    def check(self, draft: Draft) -> RecordKind:
        """Refuse an entry that is wrong by itself; RefuseInput `bad_request`."""
        kind = self.kinds.get(draft.kind)
        if kind is None:
            known = ", ".join(sorted(self.kinds))
            raise RefuseInput("bad_request", f"kind: expected one of {known}, found {draft.kind}")
        for field, expected, found in kind.faults(draft):
            raise RefuseInput("bad_request", f"{field}: expected {expected}, found {found}")
        if not FIRST_DAY <= draft.on <= self.today():
            expected = f"a day from 1900 to today, {self.today()}"
            raise RefuseInput("bad_request", f"on: expected {expected}, found {draft.on}")
        return kind

    def append(
        self,
        connection: Connection,
        asset_id: str,
        draft: Draft,
        author: Author,
        *,
        any_state: bool = False,
    ) -> Kept:
        """Write an entry that `check` passed; `any_state`: though the lift is scrapped.

        Raises:
            RefuseInput: `wrong_state`: the lift is scrapped, or what the entry is about is not as
                it says.

        """
        row = self._row(connection, asset_id)
        kind = self.kinds[draft.kind]
        if draft.about:
            self._check_about(connection, asset_id, draft, kind)
        elif not any_state:
            _check_state(row["state"], kind, asset_id)
        entry = Entry(
            lift=asset_id,
            seq=row["seq"] + 1,
            prev=row["hash"],
            recorded_at=self.now_ms(),
            by=author.by,
            organisation=author.organisation,
            kind=draft.kind,
            on=draft.on,
            about=draft.about,
            fields=draft.fields,
            signers=draft.signers,
            note=draft.note,
        )
        kept = seal_entry(entry, self.sign)
        connection.execute(insert(lift_record).values(**record_columns(asset_id, kept)))
        events = self._events(connection, asset_id, entry, events_in(row))
        columns = {"seq": kept.seq, "hash": kept.hash}
        self._settle(connection, asset_id, file_of(row), events, columns, row["scrapped_at"])
        return kept

    def write_file(self, connection: Connection, asset_id: str, file: LiftFile) -> bool:
        """Write static data; tell whether the lift is new."""
        row = find_row(connection, asset_id, lock=True)
        new = row is None
        if row is None:
            row = self._row(connection, asset_id)
        self._settle(
            connection, asset_id, file, events_in(row), file_columns(file), row["scrapped_at"]
        )
        return new

    def plan(self, file: LiftFile, events: tuple[Event, ...]) -> Plan:
        """Return a calendar as of today."""
        return plan(file, events, self.rules, self.today())

    def _row(self, connection: Connection, asset_id: str) -> RowMapping:
        """Return the row of a lift, and make it where there is none; nobody else changes it."""
        row = find_row(connection, asset_id, lock=True)
        if row is None:
            take_turn(connection, TURN)
            row = find_row(connection, asset_id, lock=True)
        if row is not None:
            return row
        made = new_columns(LiftFile(), self.now_ms())
        made |= columns_of_plan(self.plan(LiftFile(), ()))
        values = {"asset_id": asset_id, **made}
        written = connection.execute(insert(lift).values(values).returning(lift))
        return written.mappings().one()

    def _events(
        self, connection: Connection, asset_id: str, entry: Entry, before: tuple[Event, ...]
    ) -> tuple[Event, ...]:
        if entry.about:
            return compact(events_of(entries_of(read_kept(connection, asset_id)), self.kinds))
        return compact([*before, *events_of([entry], self.kinds)])

    def _settle(
        self,
        connection: Connection,
        asset_id: str,
        file: LiftFile,
        events: tuple[Event, ...],
        columns: dict[str, Any],
        scrapped_at: int | None,
    ) -> None:
        made, now_ms = self.plan(file, events), self.now_ms()
        told = columns_of_plan(made)
        values = {
            **columns,
            **told,
            "events": json_text(events),
            "judged_on": "",  # the watch looks at it again
            "scrapped_at": (scrapped_at or now_ms) if told["state"] == "scrapped" else None,
            "updated_at": now_ms,
        }
        connection.execute(update(lift).where(lift.c.asset_id == asset_id).values(**values))

    def _check_about(
        self, connection: Connection, asset_id: str, draft: Draft, kind: RecordKind
    ) -> None:
        column = lift_record.c
        here = (column.asset_id == asset_id, column.seq == draft.about)
        body = connection.execute(select(column.body).where(*here)).scalar()
        target = read_entry(body) if body is not None else None
        if target is None:
            raise RefuseInput("wrong_state", f"about: expected an entry, found none {draft.about}")
        later = (column.asset_id == asset_id, column.about == draft.about)
        bodies = connection.execute(select(column.body).where(*later)).scalars()
        told = [one for text in bodies if (one := read_entry(text)) is not None]
        if draft.about not in standing([target, *told]):
            raise RefuseInput("wrong_state", f"entry {draft.about} was corrected or withdrawn")
        _check_target(target, kind, self.kinds, [one.kind for one in told])


def _check_state(state: str, kind: RecordKind, asset_id: str) -> None:
    if state == "scrapped":
        raise RefuseInput("wrong_state", f"{asset_id} is scrapped")
    wrong = {"stop": "stopped", "resume": "in_use"}.get(kind.effect)
    if wrong == state:
        raise RefuseInput("wrong_state", f"{asset_id} is {state}")


def _check_target(target: Entry, kind: RecordKind, kinds: Kinds, told: list[str]) -> None:
    of = kinds.get(target.kind)
    match kind.about:
        case "confirms":
            if of is None or not of.confirmed_by:
                raise RefuseInput("wrong_state", f"a {target.kind} is not confirmed")
            if kind.id in told:
                raise RefuseInput("wrong_state", f"entry {target.seq} is confirmed already")
        case "withdraws":
            if target.kind == WITHDRAWAL:
                raise RefuseInput("wrong_state", "a withdrawal is not withdrawn")
        case None:
            if target.kind != kind.id:
                expected = f"a {target.kind}, which corrects entry {target.seq}"
                raise RefuseInput("wrong_state", f"kind: expected {expected}, found {kind.id}")
