"""CAP messages issued for the feed, in its order, and their documents.

What is written of a message is what later messages refer to, and where its asset was; the rest of
the document is made of the item each time, the same to the byte.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from lxml import etree
from sqlalchemy import Connection, func, insert, select

from cloud.feed.cap.base import CapEntry
from cloud.feed.cap.chain import Issued, next_kind
from cloud.feed.cap.sign import CapSigner, new_key
from cloud.feed.cap.words import Words
from cloud.feed.cap.write import Message, Reference, identifier_of, write
from cloud.feed.items import About, Item, Place, places_of, read_item
from cloud.feed.words import FeedWords
from cloud.model import tables
from cloud.model.alarm import FeedItem
from cloud.model.database import Database, take_turn
from cloud.model.principal import EVERYTHING, Scope
from cloud.model.receiver_tables import cap_message
from cloud.model.visible import sees_asset
from protocols.clock import Clock, iso
from protocols.errors import RetryLater

logger = logging.getLogger("suyuan.cloud")
TURN = "cap"
SECRET = "cap.signing"  # noqa: S105  # its name
PAGE = 200
LOOK_S = 1.0
REFERENCES_MAX = 20
"""The Alert and the newest after it: who missed some knows the others."""
_cap, _feed = cap_message.c, tables.feed.c
_place = msgspec.json.Decoder(Place).decode


class Seals(Protocol):
    """Seals and opens the key."""

    def close(self, secret: str) -> str:
        """Return a secret sealed."""
        ...

    def open(self, sealed: str) -> str:
        """Return a secret; RetryLater: the key is not here."""
        ...


class Feed(Protocol):
    """What the issuer needs of the feed."""

    head: int

    async def wait(self, after: int, timeout_s: float) -> bool:
        """Wait for an item with offset > `after`."""
        ...


class CapDesk:
    """`CapFeed` in the state database."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        words: Words,
        said: FeedWords,
        zone: ZoneInfo,
        base_url: str,
        seal: Seals,
        division_of: Callable[[str], str] = lambda _asset: "",
        make_key: Callable[[str, int], bytes] = new_key,
    ) -> None:
        """Build it.

        Args:
            database: the state.
            clock: of the service.
            words: what documents say.
            said: words of states and changes.
            zone: in which times are written.
            base_url: names the sender, and for links; empty: no links.
            seal: keeps the key that signs.
            division_of: tells of an asset its division of GB/T 2260, empty: not known.
            make_key: makes the key and its certificate, PEM, for a name and a time.

        """
        self._make_key = make_key
        self._database, self._clock, self._words, self._zone = database, clock, words, zone
        self._said = said
        self._base_url, self._seal, self._division_of = base_url, seal, division_of
        self.sender = f"suyuan@{urlsplit(base_url).hostname or 'localhost'}"
        self._signer: CapSigner | None = None

    async def run(self, feed: Feed) -> None:
        """Issue what the feed brings, until cancelled."""
        seen = 0
        while True:
            try:
                while await self.issue() >= PAGE:
                    pass
                seen = max(seen, feed.head)
                await feed.wait(seen, LOOK_S)
            except RetryLater as error:
                logger.warning("CAP messages wait: %s", error)
                await asyncio.sleep(LOOK_S)

    async def issue(self) -> int:
        """Issue the next messages of the feed; return of how many items."""
        if not await self._database.read(_next_items):
            return 0
        return await self._database.write(self._issue)

    def _issue(self, connection: Connection) -> int:
        take_turn(connection, TURN)
        rows = _next_items(connection)
        items = {row.offset: read_item(_item(row)) for row in rows}
        assets = sorted({one.about.asset for one in items.values() if one is not None})
        places = places_of(connection, assets, EVERYTHING, self._division_of)
        for row in rows:
            item = items[row.offset]
            values: dict[str, Any] = {"offset": row.offset, "sent_at": row.recorded_at}
            if item is None:
                values |= {"about": "", "asset": "", "kind": "", "chain": 0, "place": "{}"}
            else:
                kind, chain = next_kind(_last(connection, item.thing), item)
                values |= {"about": item.thing, "asset": item.about.asset}
                values |= {"kind": kind or "", "chain": chain}
                values["place"] = msgspec.json.encode(
                    places.get(item.about.asset, Place())
                ).decode()
            connection.execute(insert(cap_message).values(values))
        return len(rows)

    async def document(self, offset: int, scope: Scope | None = None) -> bytes | None:
        """Return a signed document; see `CapDocuments`."""
        found = await self._database.read(lambda c: _find(c, offset, scope or EVERYTHING))
        if found is None and scope is None:
            await self.issue()
            found = await self._database.read(lambda c: _find(c, offset, EVERYTHING))
            if found is None:
                raise RetryLater(f"the CAP message of item {offset} was not issued yet")
        if found is None or not found[0].kind:
            return None
        row, references = found
        item = read_item(_item(row))
        assert item is not None  # noqa: S101  # it has a kind
        return await self._signed(row, item, references)

    async def _signed(self, row: Any, item: Item, references: Sequence[Reference]) -> bytes:
        message = Message(
            identifier=identifier_of(item),
            sender=self.sender,
            sender_name="溯源 Suyuan",
            sent_at=row.sent_at,
            status="Exercise" if item.about.drill else "Actual",
            kind=row.kind,
            item=msgspec.structs.replace(item, place=_place(row.place)),
            references=references,
            web=f"{self._base_url}{item.page}" if self._base_url else "",
        )
        return await self._sign(message)

    async def test(self, now_ms: int) -> bytes:
        """Return a document of status Test."""
        about = About(
            id=0,
            change="test",
            asset="service:cloud",
            state="normal",
            severity="info",
            changed_at=iso(now_ms),
            summary="Test",
            summary_zh="测试",
        )
        return await self._sign(
            Message(
                identifier=f"suyuan-test-{now_ms}",
                sender=self.sender,
                sender_name="溯源 Suyuan",
                sent_at=now_ms,
                status="Test",
                kind="Alert",
                item=Item(offset=0, event="alarm", data="{}", about=about),
            )
        )

    async def entries(self, scope: Scope, before: int | None, limit: int) -> list[CapEntry]:
        """Return messages that the scope admits, newest first."""
        return await self._database.read(lambda c: _entries(c, scope, before, limit))

    async def certificate(self) -> bytes:
        """Return the certificate of the key that signs, PEM."""
        return (await self._signing()).certificate

    async def _sign(self, message: Message) -> bytes:
        signer = await self._signing()
        return await asyncio.to_thread(lambda: signer.sign(self._written(message)))

    def _written(self, message: Message) -> etree._Element:
        return write(message, self._words, self._said, self._zone)

    async def _signing(self) -> CapSigner:
        if self._signer is None:
            sealed = await self._database.read(_sealed_key)
            if sealed is None:
                made = await asyncio.to_thread(self._make_key, self.sender, self._clock.wall_ms())
                own = self._seal.close(made.decode())
                sealed = await self._database.write(lambda c: _keep_key(c, own))
            self._signer = CapSigner(self._seal.open(sealed).encode())
        return self._signer


def _sealed_key(connection: Connection) -> str | None:
    column = tables.secret.c
    found = connection.execute(select(column.value).where(column.name == SECRET)).scalar()
    return None if found is None else bytes(found).decode()


def _keep_key(connection: Connection, sealed: str) -> str:
    """Keep a key, unless another process was faster; return the one that is kept."""
    take_turn(connection, TURN)
    kept = _sealed_key(connection)
    if kept is None:
        row = {"name": SECRET, "value": sealed.encode()}
        connection.execute(insert(tables.secret).values(row))
    return kept or sealed


def _next_items(connection: Connection) -> Sequence[Any]:
    """Read what no message was issued for yet."""
    last = connection.execute(select(func.max(_cap.offset))).scalar() or 0
    query = select(tables.feed).where(_feed.offset > last).order_by(_feed.offset)
    return connection.execute(query.limit(PAGE)).all()


def _last(connection: Connection, thing: str) -> Issued | None:
    """Return the last message about a thing that tells how it goes."""
    query = select(_cap.offset, _cap.kind, _cap.chain)
    query = query.where(_cap.about == thing, _cap.kind.in_(("Alert", "Update", "Cancel")))
    row = connection.execute(query.order_by(_cap.offset.desc()).limit(1)).first()
    return None if row is None else Issued(*row)


def _find(
    connection: Connection, offset: int, scope: Scope
) -> tuple[Any, Sequence[Reference]] | None:
    joined = cap_message.join(tables.feed, _feed.offset == _cap.offset)
    query = select(cap_message, _feed.event, _feed.data).select_from(joined)
    query = query.where(_cap.offset == offset, sees_asset(scope, _cap.asset))
    row = connection.execute(query).first()
    return None if row is None else (row, _references(connection, row))


def _references(connection: Connection, row: Any) -> list[Reference]:
    if row.kind == "Alert":
        return []
    query = select(_cap.offset, _cap.sent_at).where(
        _cap.about == row.about, _cap.chain == row.chain, _cap.kind != "", _cap.offset < row.offset
    )
    newest = connection.execute(query.order_by(_cap.offset.desc()).limit(REFERENCES_MAX)).all()
    first = connection.execute(query.order_by(_cap.offset).limit(1)).all()
    found = {one.offset: one.sent_at for one in (*first, *reversed(newest))}
    about = row.about.replace(":", "-")
    return [Reference(f"suyuan-{about}-{offset}", sent) for offset, sent in found.items()]


def _entries(
    connection: Connection, scope: Scope, before: int | None, limit: int
) -> list[CapEntry]:
    joined = cap_message.join(tables.feed, _feed.offset == _cap.offset)
    query = select(cap_message, _feed.event, _feed.data).select_from(joined)
    query = query.where(_cap.kind != "", sees_asset(scope, _cap.asset))
    if before is not None:
        query = query.where(_cap.offset < before)
    found = []
    for row in connection.execute(query.order_by(_cap.offset.desc()).limit(limit)).all():
        item = read_item(_item(row))
        assert item is not None  # noqa: S101  # it has a kind
        found.append(
            CapEntry(
                offset=row.offset,
                identifier=identifier_of(item),
                kind=row.kind,
                sent_at=row.sent_at,
                title=item.title("en"),
                title_zh=item.title("zh"),
                asset=row.asset,
                references=tuple(one.identifier for one in _references(connection, row)),
            )
        )
    return found


def _item(row: Any) -> FeedItem:
    return FeedItem(offset=row.offset, event=row.event, data=row.data)
