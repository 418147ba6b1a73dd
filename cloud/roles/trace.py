"""The trace repository inside the service: what the HTTP side asks, and the jobs behind it."""

import secrets
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert, select

from cloud.api.epcis.base import QUERY_NAME, Trace
from cloud.api.epcis.negotiate import Media
from cloud.api.epcis.tokens import KEY_BYTES, PageTokens
from cloud.model.database import take_turn
from cloud.model.tables import secret
from cloud.roles.common import Common
from cloud.roles.exchange import open_partners, tolerances_of
from cloud.roles.lineage import LineagePart
from cloud.roles.sign_on import open_caller
from cloud.roles.trace_delivery import WebhookSeal, key_file, open_live
from cloud.trace.base import EpcFormat, Formats, Listing, StoredEvent
from cloud.trace.capture import CaptureLimits, SqlCaptures
from cloud.trace.query.parse import read_extensions, read_query, read_url
from cloud.trace.readers import Readers
from cloud.trace.render import Renderer, listed_value
from cloud.trace.spent import SpentTokens
from cloud.trace.store import SqlTraceStore
from cloud.trace.subscriptions import SqlSubscriptions
from protocols.epcis.standard import Standard

KEY_NAME = "trace_pages"


class TracePart:
    """The repository, its jobs, the tokens of its pages, and lineages."""

    def __init__(self, common: Common) -> None:
        self.standard = standard = common.standard
        database, clock, limits = common.state_db, common.clock, CaptureLimits()
        zone = ZoneInfo(common.settings.time_zone)
        readers = Readers(standard, bytes_max=limits.bytes_max, tolerances_of=tolerances_of(common))
        self.store = SqlTraceStore(database, standard=standard)
        self._captures = SqlCaptures(
            database, self.store, readers=readers.by_media(), clock=clock, limits=limits
        )
        self._lineage = LineagePart(common)
        self.trace = Trace(
            store=self.store,
            captures=self._captures,
            capture_events_max=limits.events_max,
            subscriptions=SqlSubscriptions(
                database,
                self.store,
                seal=WebhookSeal(key_file(common)),
                clock=clock,
                zone=zone,
            ),
            live=open_live(self.store, standard, clock, zone),
            check_address=open_caller(common.settings.outbound).check,
            pages=PageTokens(database.write_now(page_key), clock, SpentTokens(database)),
            render=Rendering(standard),
            read_event=readers.event,
            read_query=partial(read_query, standard=standard),
            read_url=partial(read_url, standard=standard),
            read_extensions=read_extensions,
            partners=open_partners(common, self.store, self._captures),
            lineages=self._lineage.desk,
        )

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs until the process stops."""
        return {"capture": self._captures.run(), **self._lineage.parts()}


class Rendering:
    """Writes events as the HTTP side asks for them."""

    def __init__(self, standard: Standard) -> None:
        self._standard = standard

    def document(
        self,
        events: Sequence[StoredEvent],
        *,
        media: Media,
        formats: Formats,
        created_us: int,
        query_name: str = QUERY_NAME,
        subscription_id: str | None = None,
    ) -> bytes:
        """Write an EPCISQueryDocument."""
        chunks = Renderer(self._standard, formats).query_document(
            "xml" if media == "application/xml" else "json",
            events,
            created_us=created_us,
            query_name=query_name,
            subscription_id=subscription_id,
        )
        return b"".join(chunks)

    def value(self, kind: Listing, value: str, epc_format: EpcFormat) -> str:
        """Write a value of a top-level resource as events have it."""
        return listed_value(kind, value, epc_format, self._standard)


def page_key(connection: Connection) -> bytes:
    """Return the key of the tokens, one for all processes; made at the first start."""
    take_turn(connection, KEY_NAME)
    row = connection.execute(select(secret.c.value).where(secret.c.name == KEY_NAME)).first()
    if row is not None:
        return bytes(row.value)
    key = secrets.token_bytes(KEY_BYTES)
    connection.execute(insert(secret).values(name=KEY_NAME, value=key))
    return key
