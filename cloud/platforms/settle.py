"""One transaction for one request: what is new of it, its records, and their way to the log."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.model.database import take_turn
from cloud.model.platform import OFFSETS_MAX, BatchOutcome, ItemOutcome, Platform
from cloud.model.platform_tables import (
    dialect_unknown,
    lift_platform_account,
    lift_platform_inbox,
    lift_platform_item,
    lift_platform_lift,
)
from cloud.model.rows import insert_rows, replace_rows
from cloud.platforms import codes
from cloud.platforms.read import Came, Refused
from protocols.lifts.dialect import emergencies
from protocols.lifts.gbt24476 import BasicItem, Kind, MessageItem, StatusItem
from protocols.readings import Quality, Value
from protocols.records import Readings, encode_records
from protocols.topics import STREAMS, Stream

REMEMBERED_MS: Mapping[Kind, int] = {
    "status": 2 * 3600 * 1000,
    "messages": 7 * 24 * 3600 * 1000,
    "statistics": 24 * 3600 * 1000,
    "basic": 7 * 24 * 3600 * 1000,
}
"""So long an item that comes again is told from a new one. A state that comes again later is the
same reading of the same moment, which changes nothing."""
ENVELOPES_MAX: Mapping[Stream, int] = {"data": 5_000, "alarm": 20_000}
"""Of a platform that wait for the log; beyond it items are refused as `busy`, to be sent again."""
RECORDS_MAX, RECORDS_BYTES_MAX = 500, 200 * 1024
"""Of one envelope."""
UNKNOWN_MAX = 2_000
"""Raw codes and fields counted of a version of a dialect; further ones count as one."""
OTHERS = "…"
SAMPLE_CHARS_MAX = 2_000
FAULT_CODE_CHARS_MAX = 64


class Settling:
    """Lives for one transaction."""

    def __init__(
        self,
        connection: Connection,
        platform: Platform,
        kind: Kind,
        items: Sequence[Came | Refused],
        *,
        received_at: int,
        offsets: Sequence[int],
    ) -> None:
        self._connection, self._platform, self._kind = connection, platform, kind
        self._items, self._now_ms, self._new_offsets = items, received_at, offsets
        self._records: dict[Stream, list[Readings]] = {"alarm": [], "data": []}
        self._unknown: dict[tuple[str, str], dict[str, Any]] = {}
        self.refused: list[Refused] = []

    def settle(self) -> BatchOutcome:
        """Decide about every item and write all that follows."""
        take_turn(self._connection, f"lift platform {self._platform.id}")
        came = [one for one in self._items if isinstance(one, Came)]
        self._known, self._lifts = self._read_known(came), self._read_lifts(came)
        self._full = self._read_full()
        fresh: list[dict[str, Any]] = []
        outcomes = [self._decide(one, fresh) for one in self._items]
        self._write(fresh)
        counts = {
            word: sum(one.outcome == word for one in outcomes)
            for word in ("taken", "duplicate", "refused")
        }
        self._write_account(counts, sum(one.placed for one in outcomes))
        return BatchOutcome(received_at=self._now_ms, items=tuple(outcomes), **counts)

    def _decide(self, one: Came | Refused, fresh: list[dict[str, Any]]) -> ItemOutcome:
        if isinstance(one, Refused):
            return self._refuse(one)
        known = self._known.get(one.key)
        if known == one.content:
            return ItemOutcome(index=one.index, outcome="duplicate")
        if known is not None and not one.emergency:
            detail = f"item_id {one.item.item_id[:40]!r} was another item's"
            reason = "item_id_reused"
            return self._refuse(Refused(index=one.index, raw=one.raw, reason=reason, detail=detail))
        if self._stream(one) in self._full:
            detail = "too much waits for the log: send it again"
            busy = Refused(index=one.index, raw=b"", reason="busy", detail=detail, again=True)
            return self._refuse(busy)
        if known is None:
            self._known[one.key] = one.content
            fresh.append(
                {
                    "platform": self._platform.id,
                    "key": one.key,
                    "content": one.content,
                    "forget_at": self._now_ms + REMEMBERED_MS[self._kind],
                }
            )
        self._take(one)
        return ItemOutcome(
            index=one.index,
            outcome="taken",
            placed=one.placed,
            unknown_codes=one.decoded.unknown_codes,
            unknown_fields=one.decoded.unknown_fields,
        )

    def _refuse(self, one: Refused) -> ItemOutcome:
        self.refused.append(one)
        return ItemOutcome(index=one.index, outcome="refused", reason=one.reason, detail=one.detail)

    def _stream(self, one: Came) -> Stream:
        urgent = bool(one.decoded.codes) or isinstance(one.item, MessageItem)
        return "alarm" if urgent else "data"

    def _take(self, one: Came) -> None:
        lift = self._lifts.setdefault(one.asset, self._new_lift(one.asset))
        lift["received_at"] = self._now_ms
        lift["observed_at"] = max(lift["observed_at"], one.at)
        for what, raws in (
            ("code", one.decoded.unknown_codes),
            ("field", one.decoded.unknown_fields),
        ):
            for raw in raws:
                self._count_unknown(what, raw, one)
        if isinstance(one.item, BasicItem):
            _declare(lift, one.item, one.at)
            return
        values, quality = dict(one.decoded.values), dict(one.decoded.quality)
        stream = self._stream(one)
        told = self._told(lift, one)
        if told:
            raw_codes = ", ".join(one.decoded.raw_codes)[:FAULT_CODE_CHARS_MAX]
            listed: dict[str, Value] = {
                "message_code": list(told[0].codes),
                "fault_code": raw_codes if _begins(one) else "",
            }
            doubt: dict[str, Quality] = {"fault_code": "time_unknown"} if one.placed else {}
            if told[0].at == one.at:
                values, quality = {**values, **listed}, {**quality, **doubt}
            else:
                self._add(stream, one.asset, told[0].at, listed, doubt)
        if values:
            self._add(stream, one.asset, one.at, values, quality)
        for later in told[1:]:
            self._add(stream, one.asset, later.at, {"message_code": list(later.codes)}, {})

    def _told(self, lift: dict[str, Any], one: Came) -> tuple[codes.Told, ...]:
        if one.decoded.codes is None:
            return ()
        known = msgspec.json.decode(lift["codes"], type=codes.Standing)
        if isinstance(one.item, StatusItem):
            known, whole = codes.whole(known, one.at, one.decoded.codes)
            told: tuple[codes.Told, ...] = (whole,)
        else:
            known, told = codes.message(
                known,
                one.at,
                one.decoded.codes,
                begins=_begins(one),
                emergencies=emergencies(),
                received_at=self._now_ms,
            )
        lift["codes"] = msgspec.json.encode(known).decode()
        return told

    def _add(
        self,
        stream: Stream,
        asset: str,
        at: int,
        values: Mapping[str, Value],
        quality: Mapping[str, Quality],
    ) -> None:
        record = Readings(
            asset=asset,
            at=[at],
            values={name: [value] for name, value in values.items()},
            quality={name: [word] for name, word in quality.items()},
        )
        self._records[stream].append(record)

    def _count_unknown(self, what: str, raw: str, one: Came) -> None:
        raw = raw[:FAULT_CODE_CHARS_MAX]
        row = self._unknown.setdefault(
            (what, raw),
            {
                "dialect": self._platform.dialect,
                "version": self._platform.dialect_version,
                "what": what,
                "raw": raw,
                "count": 0,
                "first_at": self._now_ms,
                "last_at": self._now_ms,
                "platform": self._platform.id,
                "asset": one.asset,
                "sample": one.raw.decode(errors="replace")[:SAMPLE_CHARS_MAX],
            },
        )
        row["count"] += 1

    def _read_known(self, came: Sequence[Came]) -> dict[str, str]:
        table = lift_platform_item
        mine = table.c.platform == self._platform.id
        keys = table.c.key.in_([one.key for one in came])
        rows = self._connection.execute(select(table.c.key, table.c.content).where(mine, keys))
        return {row[0]: row[1] for row in rows}

    def _read_lifts(self, came: Sequence[Came]) -> dict[str, dict[str, Any]]:
        table = lift_platform_lift
        mine = table.c.platform == self._platform.id
        assets = table.c.asset.in_({one.asset for one in came})
        rows = self._connection.execute(select(table).where(mine, assets)).mappings()
        return {row["asset"]: dict(row) for row in rows}

    def _read_full(self) -> set[Stream]:
        table = lift_platform_inbox
        query = select(table.c.stream, func.count()).group_by(table.c.stream)
        rows = self._connection.execute(query.where(table.c.platform == self._platform.id))
        waiting: dict[str, int] = {row[0]: row[1] for row in rows}
        return {one for one in STREAMS if waiting.get(one, 0) >= ENVELOPES_MAX[one]}

    def _new_lift(self, asset: str) -> dict[str, Any]:
        return {
            "platform": self._platform.id,
            "asset": asset,
            "received_at": self._now_ms,
            "observed_at": 0,
            "codes": "{}",
            "basic": "{}",
            "basic_operation": "",
            "basic_at": None,
        }

    def _write(self, fresh: Sequence[dict[str, Any]]) -> None:
        insert_rows(self._connection, lift_platform_item, fresh)
        touched = [lift for lift in self._lifts.values() if lift["received_at"] == self._now_ms]
        replace_rows(self._connection, lift_platform_lift, touched)
        if self._unknown:
            write_unknown(self._connection, list(self._unknown.values()))

    def _write_account(self, counts: Mapping[str, int], placed: int) -> None:
        table = lift_platform_account
        here = table.c.platform == self._platform.id
        row = self._connection.execute(select(table).where(here)).mappings().one()
        kept = msgspec.json.decode(row["offsets"], type=list[int])
        offsets = [*kept, *self._new_offsets][-OFFSETS_MAX:]
        changes: dict[str, Any] = {
            "heard_at": self._now_ms,
            "offsets": msgspec.json.encode(offsets).decode(),
            "placed": row["placed"] + placed,
            **{word: row[word] + count for word, count in counts.items()},
        }
        if self.refused:
            last = self.refused[-1]
            changes["last_refusal"] = f"{last.reason}: {last.detail}"[:300]
        for stream, records in self._records.items():
            column = f"{stream}_seq"
            changes[column] = self._put(stream, records, after=row[column])
        self._connection.execute(update(table).where(here).values(**changes))

    def _put(self, stream: Stream, records: Sequence[Readings], *, after: int) -> int:
        """Put records into the inbox; returns the last number given."""
        for raw in _packed(records):
            after += 1
            row = {
                "platform": self._platform.id,
                "stream": stream,
                "seq": after,
                "records": raw,
                "received_at": self._now_ms,
            }
            self._connection.execute(insert(lift_platform_inbox), row)
        return after


def write_unknown(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Add to the counters of what a version of a dialect does not have."""
    table = dialect_unknown
    dialect, version = rows[0]["dialect"], rows[0]["version"]
    here = table.c.dialect == dialect, table.c.version == version
    query = select(table.c.what, table.c.raw).where(*here)
    known = {(row.what, row.raw) for row in connection.execute(query)}
    made = postgresql if connection.dialect.name == "postgresql" else sqlite
    for row in rows:
        key = row["what"], row["raw"]
        if key not in known and len(known) >= UNKNOWN_MAX:
            row = {**row, "raw": OTHERS}  # noqa: PLW2901  # the same with another name
        known.add((row["what"], row["raw"]))
        add = made.insert(table).values(**row)
        changed = {
            "count": table.c.count + add.excluded.count,
            **{name: add.excluded[name] for name in ("last_at", "platform", "asset", "sample")},
        }
        keys = [column.name for column in table.primary_key]
        connection.execute(add.on_conflict_do_update(index_elements=keys, set_=changed))


def _begins(one: Came) -> bool:
    return not isinstance(one.item, MessageItem) or one.item.state == "begin"


def _declare(lift: dict[str, Any], item: BasicItem, at: int) -> None:
    """Keep what a platform declares of a lift; what is older than what is known changes nothing."""
    if lift["basic_at"] is not None and at < lift["basic_at"]:
        return
    told = msgspec.to_builtins(item.basic)
    if item.operation == "UPLOAD":
        lift["basic"] = msgspec.json.encode(told).decode()
    elif item.operation == "UPDATE":
        before = msgspec.json.decode(lift["basic"], type=dict[str, Any])
        lift["basic"] = msgspec.json.encode({**before, **told}).decode()
    lift["basic_operation"], lift["basic_at"] = item.operation, at


def _packed(records: Sequence[Readings]) -> list[bytes]:
    """Cut records into envelopes of a bounded size."""
    if not records:
        return []
    raw = encode_records(list(records))
    if len(records) == 1 or (len(records) <= RECORDS_MAX and len(raw) <= RECORDS_BYTES_MAX):
        return [raw]
    half = len(records) // 2
    return [*_packed(records[:half]), *_packed(records[half:])]
