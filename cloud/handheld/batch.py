"""One batch on its way into the database, inside one transaction.

Rows are written together; before a record is judged that may contradict another, those before it
are written.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from cloud.handheld.base import Judge
from cloud.handheld.judge import conflict_of
from cloud.handheld.photos import name_photos
from cloud.model.database import savepoint
from cloud.model.handheld_tables import handheld_record as table
from cloud.model.people_tables import device
from cloud.model.principal import Granted
from protocols.errors import RefuseInput
from protocols.handheld import (
    RECORD_BYTES_MAX,
    Batch,
    Inspection,
    Outcome,
    Record,
    Settled,
    Tag,
    number_of,
)

_record = msgspec.json.Decoder(Record)


class _Person(msgspec.Struct, frozen=True):
    id: str
    account: int | None
    organisation: str
    store: str


class _Came(msgspec.Struct, frozen=True):
    """A record as it came: read, or the word on why it cannot be."""

    number: int
    sha256: str
    raw: bytes
    record: Record | Settled


class Settling:
    """Settles one batch; used once."""

    def __init__(
        self,
        connection: Connection,
        batch: Batch,
        granted: Granted,
        *,
        now_ms: int,
        judges: Mapping[str, Judge],
    ) -> None:
        self._connection, self._store, self._granted = connection, batch.store, granted
        self._now_ms, self._judges = now_ms, judges
        self._came = [_read(bytes(raw)) for raw in batch.records]
        self._people = self._find_people()
        self._earlier = self._find_earlier()
        self._unwritten: list[dict[str, Any]] = []

    def settle(self) -> list[Settled]:
        """Return the word on each record, in their order; all are kept."""
        words = [self._settle(one) for one in self._came]
        self._write()
        return words

    def _settle(self, came: _Came) -> Settled:
        before = self._earlier.setdefault(came.number, {})
        if came.sha256 in before:
            return before[came.sha256]
        word, sender = self._judge(came, taken=bool(before))
        self._unwritten.append(self._row(came, word, sender))
        self._expect_photos(came.record, sender)
        before[came.sha256] = again(word)
        return word

    def _judge(self, came: _Came, *, taken: bool) -> tuple[Settled, _Person | None]:
        """Return the word on a record, and who did it."""
        record = came.record
        if isinstance(record, Settled):
            return record, None
        if taken:
            found = "another record of this number: the device was copied, or set to an older state"
            return _refused(record.number, "number_reused", "a new number", found), None
        sender = self._people.get(record.person)
        if sender is None:
            expected = f"a handheld of {self._granted.principal.organisation}"
            return _refused(record.number, "unknown_person", expected, record.person), None
        judge = self._judges.get(_kind(record))
        if judge is not None or isinstance(record.what, Inspection | Tag):
            self._write()
        word = conflict_of(self._connection, record, self._store, self._now_ms, self._people)
        if judge is not None and (word is None or _stops(record, word)):
            carried = self._carry_out(judge, record, sender)
            word = word or carried
        return word or Settled(number=record.number, outcome="taken"), sender

    def _expect_photos(self, record: Record | Settled, sender: _Person | None) -> None:
        """Let the photos of an inspection be sent; also of one that clashes: it is kept."""
        if sender is None or isinstance(record, Settled):
            return
        what = record.what
        if isinstance(what, Inspection) and what.photos:
            name_photos(
                self._connection,
                what.photos,
                organisation=sender.organisation,
                asset=what.asset,
                now_ms=self._now_ms,
            )

    def _carry_out(self, judge: Judge, record: Record, sender: _Person) -> Settled | None:
        """Do elsewhere what the record asks for; what is refused there leaves nothing behind."""
        try:
            with savepoint(self._connection):
                return judge(self._connection, record, sender)
        except RefuseInput as refused:
            return Settled(
                number=record.number,
                outcome="conflict",
                reason=refused.reason,
                found=refused.detail,
            )

    def _find_people(self) -> dict[str, _Person]:
        """Return the handhelds that are named, those of the sender's organisation alone."""
        named = set[str]()
        for came in self._came:
            if isinstance(came.record, Record):
                what = came.record.what
                signed = what.signatures if isinstance(what, Inspection) else ()
                named |= {came.record.person, *(one.person for one in signed)}
        query = select(device.c.id, device.c.account, device.c.organisation)
        query = query.where(device.c.id.in_(sorted(named)))
        if not self._granted.scope.everything:
            mine = self._granted.principal.organisation
            query = query.where(device.c.organisation == mine)
        rows = self._connection.execute(query)
        return {row.id: _Person(row.id, row.account, row.organisation, self._store) for row in rows}

    def _find_earlier(self) -> dict[int, dict[str, Settled]]:
        """Return what is here of these numbers, each content with the word to be told again."""
        numbers = sorted({one.number for one in self._came})
        names = ("number", "sha256", "outcome", "reason", "expected", "found")
        query = select(*(table.c[name] for name in names))
        query = query.where(table.c.store == self._store, table.c.number.in_(numbers))
        found: dict[int, dict[str, Settled]] = {}
        for number, sha256, outcome, *words in self._connection.execute(query):
            reason, expected, told = words
            word = Settled(
                number=number, outcome=outcome, reason=reason, expected=expected, found=told
            )
            found.setdefault(number, {})[sha256] = again(word)
        return found

    def _row(self, came: _Came, word: Settled, sender: _Person | None) -> dict[str, Any]:
        principal = self._granted.principal
        return {
            "store": self._store,
            "number": came.number,
            "sha256": came.sha256,
            **_facts(came.record),
            "account": None if sender is None else sender.account,
            "organisation": sender.organisation if sender else principal.organisation or "",
            "received_at": self._now_ms,
            "carried_by": principal.id,
            "outcome": word.outcome,
            "reason": word.reason,
            "expected": word.expected,
            "found": word.found,
            "body": came.raw,
        }

    def _write(self) -> None:
        if self._unwritten:
            self._connection.execute(insert(table), self._unwritten)
            self._unwritten = []


def _stops(record: Record, word: Settled) -> bool:
    """Tell whether it is carried out for safety: who stopped a cylinder, when two looked apart."""
    stopped = isinstance(record.what, Inspection) and record.what.outcome == "stopped"
    return stopped and word.reason == "inspected_elsewhere"


def again(word: Settled) -> Settled:
    """Say of a record that is here what was said then: the answer may have been lost."""
    outcome: Outcome = "known" if word.outcome == "taken" else word.outcome
    return msgspec.structs.replace(word, outcome=outcome)


def _read(raw: bytes) -> _Came:
    number = number_of(raw) or 0
    return _Came(number, hashlib.sha256(raw).hexdigest(), raw, _parse(raw, number))


def _parse(raw: bytes, number: int) -> Record | Settled:
    if len(raw) > RECORD_BYTES_MAX:
        expected = f"at most {RECORD_BYTES_MAX} bytes"
        return _refused(number, "too_large", expected, f"{len(raw)} bytes")
    try:
        return _record.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        expected, _, found = str(error).partition(", got ")
        return _refused(number, "bad_record", expected[:300], found[:300])


def _refused(number: int, reason: str, expected: str, found: str) -> Settled:
    return Settled(number=number, outcome="refused", reason=reason, expected=expected, found=found)


def _kind(record: Record) -> str:
    return str(record.what.__struct_config__.tag)


def _facts(record: Record | Settled) -> dict[str, Any]:
    """Return the columns that tell what a record is about; empty where it cannot be read."""
    if isinstance(record, Settled):
        blank: Sequence[str] = ("person", "kind", "asset", "tag_uid", "time_source")
        return dict.fromkeys(blank, "") | {"observed_at": None}
    return {
        "person": record.person,
        "kind": _kind(record),
        "asset": getattr(record.what, "asset", None) or "",
        "tag_uid": record.what.uid if isinstance(record.what, Tag) else "",
        "observed_at": record.observed_at,
        "time_source": record.time_source,
    }
