"""Receivers as rows of the state database."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, insert, select, update

from cloud.feed.items import read_item
from cloud.feed.receivers.base import LANES, Destination, LaneName, OpenThing
from cloud.feed.receivers.keys import Kept
from cloud.model.alarm import FeedItem
from cloud.model.receiver import FeedFilter, Health, Receiver, ReceiverOptions
from cloud.model.receiver_tables import receiver, receiver_lane, receiver_open

_r, _lane, _open = receiver.c, receiver_lane.c, receiver_open.c
_filter = msgspec.json.Decoder(FeedFilter).decode
_options = msgspec.json.Decoder(ReceiverOptions).decode
_secrets = msgspec.json.Decoder(tuple[Kept, ...]).decode
SHOWN: tuple[str, ...] = ("id", "key", "organisation", "name", "kind", "address", "state", "why")
SHOWN += ("created_at", "changed_at", "created_by")


class Opens(Protocol):
    """Opens what was sealed."""

    def open(self, sealed: str) -> str:
        """Return a secret; RetryLater: not sealed by the key that is here."""
        ...


class LaneRow(Struct, frozen=True, kw_only=True):
    """How far one lane was served."""

    offset: int
    attempts: int = 0
    failing_since: int | None = None
    retry_at: int | None = None
    waiting: int = 0
    waiting_more: bool = False
    oldest_at: int | None = None


class Totals(Struct, frozen=True, kw_only=True):
    """What is counted of a receiver as a whole."""

    last_success_at: int | None = None
    last_error_at: int | None = None
    last_error: str = ""
    delivered: int = 0
    latency_ms: int | None = None
    gap_items: int = 0
    gap_at: int | None = None
    rate_at: int = 0
    rate_count: int = 0


class Standing(Struct, frozen=True, kw_only=True):
    """A receiver with all that a courier must know to go on."""

    receiver: Receiver
    version: int
    principal: str
    account: int | None
    secrets: tuple[Kept, ...]
    password: str
    lanes: dict[LaneName, LaneRow]
    totals: Totals
    open: tuple[OpenThing, ...] = ()

    def destination(self, seal: Opens, now_ms: int) -> Destination:
        """Return it with its secrets opened; RetryLater: the key is not here."""
        valid = [one for one in self.secrets if one.until is None or one.until > now_ms]
        return Destination(
            receiver=self.receiver,
            secrets=tuple(seal.open(one.sealed) for one in valid),
            password=seal.open(self.password) if self.password else "",
        )


def versions(connection: Connection) -> dict[int, int]:
    """Return the version of each receiver that is active."""
    query = select(_r.id, _r.version).where(_r.state == "active")
    return {row.id: row.version for row in connection.execute(query)}


def load(connection: Connection, receiver_id: int) -> Standing | None:
    """Return one that is active."""
    query = select(receiver).where(_r.id == receiver_id, _r.state == "active")
    row = connection.execute(query).first()
    return None if row is None else _standing(connection, row)


def load_any(connection: Connection, receiver_id: int) -> Standing:
    """Return one that is there, active or not."""
    return _standing(
        connection, connection.execute(select(receiver).where(_r.id == receiver_id)).one()
    )


def _standing(connection: Connection, row: Any) -> Standing:
    receiver_id = row.id
    lanes = _lanes(connection, [receiver_id])[receiver_id]
    opened = select(receiver_open).where(_open.receiver_id == receiver_id)
    things = [_thing(one) for one in connection.execute(opened.order_by(_open.offset))]
    return Standing(
        receiver=to_receiver(row, lanes),
        version=row.version,
        principal=row.principal,
        account=row.account,
        secrets=_secrets(row.secrets),
        password=row.password,
        lanes=lanes,
        totals=Totals(**{name: getattr(row, name) for name in Totals.__struct_fields__}),
        open=tuple(one for one in things if one is not None),
    )


def read_all(connection: Connection, rows: Sequence[Any], now_ms: int) -> list[Receiver]:
    """Return rows as receivers with their health."""
    lanes = _lanes(connection, [row.id for row in rows])
    return [to_receiver(row, lanes[row.id], now_ms) for row in rows]


def _lanes(connection: Connection, ids: Sequence[int]) -> dict[int, dict[LaneName, LaneRow]]:
    found: dict[int, dict[LaneName, LaneRow]] = {one: {} for one in ids}
    names = LaneRow.__struct_fields__
    for row in connection.execute(select(receiver_lane).where(_lane.receiver_id.in_(list(ids)))):
        found[row.receiver_id][row.lane] = LaneRow(**{name: getattr(row, name) for name in names})
    return found


def to_receiver(row: Any, lanes: dict[LaneName, LaneRow], now_ms: int = 0) -> Receiver:
    """Build a receiver from its row and its lanes."""
    kept = _secrets(row.secrets)
    valid = [one for one in kept if one.until is None or one.until > now_ms]
    return Receiver(
        **{name: getattr(row, name) for name in SHOWN},
        filter=_filter(row.filter),
        options=_options(row.options),
        public_keys=tuple(one.public for one in valid if one.public),
        secrets=len(valid),
        health=_health(row, [lanes[name] for name in LANES if name in lanes]),
    )


def _health(row: Any, lanes: Sequence[LaneRow]) -> Health:
    waits = [one.oldest_at for one in lanes if one.oldest_at is not None]
    retries = [one.retry_at for one in lanes if one.retry_at is not None and one.attempts]
    totals = ("last_success_at", "last_error_at", "last_error", "delivered", "latency_ms")
    return Health(
        **{name: getattr(row, name) for name in (*totals, "gap_items", "gap_at")},
        attempts=max((one.attempts for one in lanes), default=0),
        retry_at=min(retries, default=None),
        waiting=sum(one.waiting for one in lanes),
        waiting_more=any(one.waiting_more for one in lanes),
        oldest_at=min(waits, default=None),
    )


def _thing(row: Any) -> OpenThing | None:
    event = row.about.partition(":")[0]
    item = read_item(FeedItem(offset=row.offset, event=event, data=row.data))
    return None if item is None else OpenThing(about=row.about, item=item)


class Progress(Struct, frozen=True, kw_only=True):
    """What became of a receiver since it was written last."""

    receiver_id: int
    version: int
    lanes: dict[LaneName, LaneRow]
    totals: Totals
    opened: tuple[OpenThing, ...] = ()
    ended: tuple[str, ...] = ()


def write_progress(connection: Connection, found: Iterable[Progress]) -> None:
    """Write how far receivers were served; of one that a person changed meanwhile, nothing."""
    for one in found:
        here = (_r.id == one.receiver_id, _r.version == one.version)
        changed = update(receiver).where(*here).values(msgspec.structs.asdict(one.totals))
        if not connection.execute(changed).rowcount:
            continue
        for name, lane in one.lanes.items():
            where = (_lane.receiver_id == one.receiver_id, _lane.lane == name)
            values = msgspec.structs.asdict(lane)
            connection.execute(update(receiver_lane).where(*where).values(values))
        _write_open(connection, one)


def _write_open(connection: Connection, one: Progress) -> None:
    gone = [*one.ended, *(thing.about for thing in one.opened)]
    if gone:
        where = (_open.receiver_id == one.receiver_id, _open.about.in_(gone))
        connection.execute(delete(receiver_open).where(*where))
    for thing in one.opened:
        row = {"receiver_id": one.receiver_id, "about": thing.about}
        row |= {"offset": thing.item.offset, "data": thing.item.data}
        connection.execute(insert(receiver_open).values(row))


def start_lanes(connection: Connection, receiver_id: int, offset: int) -> None:
    """Let a receiver begin after an offset, in both lanes; what it had open stays."""
    connection.execute(delete(receiver_lane).where(_lane.receiver_id == receiver_id))
    for name in LANES:
        row = {"receiver_id": receiver_id, "lane": name, "offset": offset, "attempts": 0}
        row |= {"waiting": 0, "waiting_more": False}
        connection.execute(insert(receiver_lane).values(row))
