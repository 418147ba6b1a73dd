"""Takes what handhelds send: once, whatever they say, with the service's word on each."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, insert, select

from cloud.handheld.base import Judge, Noting
from cloud.handheld.judge import conflict_of
from cloud.model.database import Database, take_turn
from cloud.model.handheld import HandheldRecord
from cloud.model.handheld_tables import handheld_record as table
from cloud.model.people_tables import account, device
from cloud.model.principal import Granted, Scope
from cloud.model.visible import sees_organisation
from protocols.clock import Clock
from protocols.errors import RefuseInput
from protocols.handheld import (
    RECORD_BYTES_MAX,
    Answer,
    Batch,
    Contact,
    Inspection,
    Outcome,
    Record,
    Settled,
    Tag,
    number_of,
)

TURN = "handheld"
DEVICE = "device:"
_record = msgspec.json.Decoder(Record)
_any = msgspec.json.Decoder()


class _Person(msgspec.Struct, frozen=True):
    id: str
    account: int | None
    organisation: str


class HandheldBook:
    """The records of all handhelds."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        offline_grace_s: int,
        judges: Mapping[str, Judge] | None = None,
    ) -> None:
        """Take records.

        Args:
            database: the state.
            clock: of the service.
            offline_grace_s: so long a handheld may go on without reaching the service.
            judges: by kind of record, what else is done with one that is taken.

        """
        self._database, self._clock = database, clock
        self._grace_s, self._judges = offline_grace_s, dict(judges or {})

    async def contact(self, granted: Granted) -> Contact:
        """Tell a handheld who it is; RefuseInput `forbidden` for who is none."""
        principal = granted.principal
        if not principal.id.startswith(DEVICE):
            raise RefuseInput("forbidden", "this call is for a handheld with its own token")
        query = select(account.c.name).where(account.c.id == principal.account)
        name = await self._database.read(lambda c: c.execute(query).scalar())
        return Contact(
            time=self._clock.wall_ms(),
            person=principal.id.removeprefix(DEVICE),
            name=str(name or ""),
            organisation=principal.organisation or "",
            offline_grace_s=self._grace_s,
        )

    async def take(self, batch: Batch, granted: Granted, noting: Noting) -> Answer:
        """Settle each record by itself; what was taken before is answered as it was then."""
        now_ms = self._clock.wall_ms()
        settled: list[Settled] = []

        def work(connection: Connection) -> None:
            take_turn(connection, TURN)
            settle = partial(self._settle, connection, batch.store, granted)
            settled[:] = [settle(bytes(raw)) for raw in batch.records]

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

    def _settle(self, connection: Connection, store: str, granted: Granted, raw: bytes) -> Settled:
        number, sha256 = number_of(raw) or 0, hashlib.sha256(raw).hexdigest()
        here = (table.c.store == store) & (table.c.number == number)
        earlier = connection.execute(select(table).where(here).order_by(table.c.id)).mappings()
        for row in (rows := earlier.all()):
            if row["sha256"] == sha256:
                return _again(row)
        sender: _Person | None = None
        record = _read(raw)
        if isinstance(record, Record):
            sender, word = self._judge(connection, store, record, granted, taken=bool(rows))
        else:
            word = msgspec.structs.replace(record, number=number)
        new = _row(store, number, sha256, raw, word)
        new |= _facts(record, sender) if isinstance(record, Record) else {}
        new |= {"received_at": self._clock.wall_ms(), "carried_by": granted.principal.id}
        new.setdefault("organisation", granted.principal.organisation or "")
        connection.execute(insert(table).values(**new))
        return word

    def _judge(
        self, connection: Connection, store: str, record: Record, granted: Granted, *, taken: bool
    ) -> tuple[_Person | None, Settled]:
        """Return who did it, and the word on it."""
        if taken:
            found = "another record of this number: the device was copied, or set to an older state"
            return None, _refused(record.number, "number_reused", "a new number", found)
        people = _people(connection, record, granted)
        sender = people.get(record.person)
        if sender is None:
            expected = f"a handheld of {granted.principal.organisation}"
            return None, _refused(record.number, "unknown_person", expected, record.person)
        word = conflict_of(connection, record, store, self._clock.wall_ms(), people)
        judge = self._judges.get(_kind(record))
        if word is None and judge is not None:
            word = _carry_out(judge, connection, record, sender)
        return sender, word or Settled(number=record.number, outcome="taken")


def _carry_out(
    judge: Judge, connection: Connection, record: Record, sender: _Person
) -> Settled | None:
    """Do elsewhere what the record asks for; what is refused there leaves nothing behind."""
    try:
        with connection.begin_nested():
            return judge(connection, record, sender)
    except RefuseInput as refused:
        return Settled(
            number=record.number, outcome="conflict", reason=refused.reason, found=refused.detail
        )


def _read(raw: bytes) -> Record | Settled:
    if len(raw) > RECORD_BYTES_MAX:
        expected = f"at most {RECORD_BYTES_MAX} bytes"
        return _refused(0, "too_large", expected, f"{len(raw)} bytes")
    try:
        return _record.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        expected, _, found = str(error).partition(", got ")
        return _refused(0, "bad_record", expected[:300], found[:300])


def _refused(number: int, reason: str, expected: str, found: str) -> Settled:
    return Settled(number=number, outcome="refused", reason=reason, expected=expected, found=found)


def _again(row: Mapping[Any, Any]) -> Settled:
    """Say of a record that is here already what was said then: the answer may have been lost."""
    outcome: Outcome = "known" if row["outcome"] == "taken" else row["outcome"]
    words = {name: row[name] for name in ("number", "reason", "expected", "found")}
    return Settled(outcome=outcome, **words)


def _people(connection: Connection, record: Record, granted: Granted) -> dict[str, _Person]:
    """Return the handhelds that a record names, those of the sender's organisation alone."""
    named = {record.person}
    if isinstance(record.what, Inspection):
        named |= {one.person for one in record.what.signatures}
    query = select(device.c.id, device.c.account, device.c.organisation)
    query = query.where(device.c.id.in_(sorted(named)))
    if not granted.scope.everything:
        query = query.where(device.c.organisation == granted.principal.organisation)
    return {
        row.id: _Person(row.id, row.account, row.organisation) for row in connection.execute(query)
    }


def _kind(record: Record) -> str:
    return str(record.what.__struct_config__.tag)


def _row(store: str, number: int, sha256: str, raw: bytes, word: Settled) -> dict[str, Any]:
    return {
        "store": store,
        "number": number,
        "sha256": sha256,
        "person": "",
        "kind": "",
        "asset": "",
        "tag_uid": "",
        "time_source": "",
        "outcome": word.outcome,
        "reason": word.reason,
        "expected": word.expected,
        "found": word.found,
        "body": raw,
    }


def _facts(record: Record, sender: _Person | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "person": record.person,
        "kind": _kind(record),
        "asset": getattr(record.what, "asset", None) or "",
        "tag_uid": record.what.uid if isinstance(record.what, Tag) else "",
        "observed_at": record.observed_at,
        "time_source": record.time_source,
    }
    if sender is not None:
        facts |= {"account": sender.account, "organisation": sender.organisation}
    return facts


def _kept(row: Mapping[Any, Any]) -> HandheldRecord:
    try:
        what = _any.decode(row["body"])["what"]
    except (msgspec.DecodeError, RecursionError, TypeError, KeyError):
        what = bytes(row["body"]).decode(errors="replace")
    named = {name: row[name] for name in HandheldRecord.__struct_fields__ if name != "what"}
    return HandheldRecord(what=what, **named)
