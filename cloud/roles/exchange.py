"""Exchange with other repositories: partners as people keep them, and what fetches and sends."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from cloud.model.database import Database
from cloud.roles.common import Common
from cloud.roles.sign_on import open_caller
from cloud.roles.trace_delivery import WebhookSeal, key_file, rights_of
from cloud.trace.base import Captures, Formats, StoredEvent, TraceStore
from cloud.trace.capture import CaptureLimits, SqlCaptures
from cloud.trace.exchange.base import SENDER
from cloud.trace.exchange.book import PartnerBook
from cloud.trace.exchange.rows import Overtaken, find_partner
from cloud.trace.exchange.runner import Exchange
from cloud.trace.query.parse import read_query
from cloud.trace.readers import Readers, TolerancesOf
from cloud.trace.render import Renderer
from cloud.trace.store import SqlTraceStore
from protocols.epcis.standard import Standard
from protocols.epcis.tolerances import STANDARD, Tolerances
from protocols.errors import RetryLater

logger = logging.getLogger("suyuan.cloud")
PAGE_BYTES_MAX = 16 * 1024 * 1024
"""Of an answer."""
CALL_S = 30.0


def open_exchange(common: Common) -> Exchange:
    """Return what fetches and sends; the jobs it makes run where the service serves."""
    standard, settings = common.standard, common.settings
    database, limits = common.state_db, CaptureLimits()
    store = SqlTraceStore(database, standard=standard)
    readers = Readers(standard, bytes_max=limits.bytes_max, tolerances_of=lambda _sender: STANDARD)
    caller = msgspec.structs.replace(
        settings.outbound, answer_bytes_max=PAGE_BYTES_MAX, timeout_s=CALL_S
    )
    return Exchange(
        database,
        store,
        SqlCaptures(database, store, readers=readers.by_media(), clock=common.clock, limits=limits),
        outbound=open_caller(caller),
        seal=WebhookSeal(key_file(common)),
        clock=common.clock,
        rng=common.rng,
        rights=lambda principal, account: rights_of(common, principal, account),
        read_query=lambda query: read_query(query, standard),
        write=DocumentWriter(standard),
        base_url=settings.base_url,
        guarded=guarded,
    )


async def guarded(turn: Awaitable[None]) -> None:
    """Carry out a partner's turn; a defect in it must end neither alarms nor other partners."""
    try:
        await turn
    except (Overtaken, RetryLater):
        raise
    except Exception:
        logger.exception("exchange: a partner's turn failed")


def open_partners(common: Common, store: TraceStore, captures: Captures) -> PartnerBook:
    """Return the partners as people keep them."""
    return PartnerBook(
        common.state_db,
        store,
        captures,
        seal=WebhookSeal(key_file(common)),
        clock=common.clock,
        check_address=open_caller(common.settings.outbound).check,
        tolerances=common.tolerances,
        plain_http=common.settings.trace.partners_over_http,
    )


def tolerances_of(common: Common) -> TolerancesOf:
    """Return what tells of a sender of documents what they are held to."""

    def of_organisation(organisation: str) -> str:
        known = common.organisations.peek(organisation)
        return known.tolerances if known else STANDARD.id

    return held_to(common.state_db, common.tolerances, of_organisation)


def held_to(
    database: Database,
    tolerances: Mapping[str, Tolerances],
    of_organisation: Callable[[str], str],
) -> TolerancesOf:
    """Return what tells of a sender what its documents are held to.

    Args:
        database: the state; a partner may have its own, otherwise its organisation's count.
        tolerances: by id.
        of_organisation: the id of what an organisation is held to.

    """

    def of(sender: str) -> Tolerances:
        name, organisation = "", sender
        if sender.startswith(SENDER):
            one = sender.removeprefix(SENDER)
            found = database.read_now(lambda c: find_partner(c, one))
            name, organisation = (found.tolerances, found.organisation) if found else ("", "")
        return tolerances.get(name or of_organisation(organisation), STANDARD)

    return of


class DocumentWriter:
    """Writes what is sent."""

    def __init__(self, standard: Standard) -> None:
        self._standard = standard

    def __call__(self, events: Sequence[StoredEvent], created_us: int) -> bytes:
        """Return an EPCISDocument in JSON; identifiers and words as they were captured."""
        renderer = Renderer(self._standard, Formats("No_Preference"))
        return b"".join(renderer.document("json", events, created_us=created_us))
