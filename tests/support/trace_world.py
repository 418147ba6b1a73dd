"""The trace repository behind the HTTP side, with jobs that end at once."""

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from zoneinfo import ZoneInfo

from cloud.api.epcis.base import Trace
from cloud.api.epcis.tokens import PageTokens
from cloud.model.database import Database, Work
from cloud.outbound.policy import check_addresses, check_text, check_url, read_policy
from cloud.roles.exchange import held_to
from cloud.roles.trace import Rendering
from cloud.roles.trace_delivery import open_live
from cloud.trace.base import Behaviour, Job
from cloud.trace.capture import CaptureLimits, SqlCaptures
from cloud.trace.exchange.book import PartnerBook
from cloud.trace.lineage.desk import LineageDesk
from cloud.trace.lineage.keeper import Keeper
from cloud.trace.query.parse import read_extensions, read_query, read_url
from cloud.trace.readers import Readers
from cloud.trace.spent import SpentTokens
from cloud.trace.store import SqlTraceStore
from cloud.trace.subscriptions import SqlSubscriptions
from protocols.catalog.files import data_root
from protocols.clock import Clock
from protocols.epcis.standard import Standard, load_all_tolerances, load_standard
from protocols.epcis.tolerances import STANDARD
from tests.support.shipped import shipped_schemes

PAGE_KEY = bytes(32)
LIMITS = CaptureLimits()


@lru_cache(maxsize=1)
def standard() -> Standard:
    """Return the shipped lists and rules."""
    return load_standard(data_root() / "epcis")


class PromptCaptures(SqlCaptures):
    """Jobs that have ended when they are told of."""

    async def take(
        self,
        document: bytes,
        *,
        media_type: str,
        behaviour: Behaviour,
        by: str,
        organisation: str,
        capture_id: str | None = None,
        also: Sequence[Work] = (),
    ) -> Job:
        """Take a document and capture it."""
        job = await super().take(
            document,
            media_type=media_type,
            behaviour=behaviour,
            by=by,
            organisation=organisation,
            capture_id=capture_id,
            also=also,
        )
        await self.run_waiting()
        return job


class OpenSeal:
    """Seals nothing, but shows that it was asked to."""

    def close(self, secret: str) -> str:
        """Mark it."""
        return f"sealed {secret}"

    def open(self, sealed: str) -> str:
        """Take the mark away."""
        return sealed.removeprefix("sealed ")


async def check_address(url: str) -> None:
    """Refuse what the shipped policy refuses, without asking for a name."""
    policy = read_policy((80, 443), ())
    host = check_url(policy, check_text(url))
    if not host.endswith(".example.com"):
        check_addresses(policy, host, [host])


def open_trace(
    database: Database,
    clock: Clock,
    folder: Path,
    check_address: Callable[[str], Awaitable[None]] = check_address,
) -> Trace:
    """Build it over a state database."""
    tolerances = load_all_tolerances(standard(), data_root() / "epcis" / "tolerances")
    readers = Readers(
        standard(),
        bytes_max=LIMITS.bytes_max,
        tolerances_of=held_to(database, tolerances, lambda _organisation: STANDARD.id),
    )
    store = SqlTraceStore(database, standard=standard())
    zone = ZoneInfo("Asia/Shanghai")
    captures = PromptCaptures(
        database, store, readers=readers.by_media(), clock=clock, limits=LIMITS
    )
    return Trace(
        store=store,
        captures=captures,
        capture_events_max=LIMITS.events_max,
        subscriptions=SqlSubscriptions(database, store, seal=OpenSeal(), clock=clock, zone=zone),
        live=open_live(store, standard(), clock, zone),
        check_address=check_address,
        pages=PageTokens(PAGE_KEY, clock, SpentTokens(database)),
        render=Rendering(standard()),
        read_event=readers.event,
        read_query=partial(read_query, standard=standard()),
        read_url=partial(read_url, standard=standard()),
        read_extensions=read_extensions,
        partners=PartnerBook(
            database,
            store,
            captures,
            seal=OpenSeal(),
            clock=clock,
            check_address=check_address,
            tolerances=tolerances,
            plain_http=False,
        ),
        lineages=LineageDesk(database, Keeper(database, folder / "lineage"), shipped_schemes()),
    )
