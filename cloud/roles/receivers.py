"""Receivers of the feed and CAP messages inside the service."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any
from zoneinfo import ZoneInfo

from cloud.alarms.desk import AlarmDesk
from cloud.feed.cap.desk import CapDesk
from cloud.feed.cap.words import load_words
from cloud.feed.receivers.base import Destination, MakeSender, Opens, Sender
from cloud.feed.receivers.book import ReceiverBook
from cloud.feed.receivers.calls import AlertmanagerSender, CapSender, WebhookSender
from cloud.feed.receivers.mailing import MailSender
from cloud.feed.receivers.panels import Broker, PanelSender
from cloud.feed.receivers.runner import Couriers
from cloud.feed.receivers.terms import load_terms
from cloud.feed.words import load_feed_words
from cloud.ingest.subscriber import BrokerAddress
from cloud.roles.common import Common
from cloud.roles.sign_on import open_caller
from cloud.roles.trace_delivery import WebhookSeal, key_file, rights_of
from cloud.roles.watch import open_mailer
from protocols.codes.registry import SchemeRegistry
from protocols.errors import RefuseInput, RetryLater

logger = logging.getLogger("suyuan.cloud")
READS = "feed.read"


def open_couriers(common: Common, desk: AlarmDesk, cap: CapDesk) -> Couriers:
    """Return what sends, in the one process that consumes."""
    return Couriers(
        common.state_db,
        common.clock,
        common.feed,
        rights=lambda principal, account: rights_of(common, principal, account, READS),
        make_sender=senders(common, cap),
        seal=WebhookSeal(key_file(common)),
        terms=load_terms(common.overlay()),
        apply=desk.apply,
        on_commit=common.feed.committed,
        guarded=guarded,
        rng=common.rng,
        division_of=divisions_of(common.schemes),
    )


def receivers_of(common: Common, desk: AlarmDesk) -> dict[str, Any]:
    """Return what the HTTP side shows of receivers and of CAP messages."""
    cap = open_cap(common)
    return {"receivers": open_receivers(common, desk, cap), "cap": cap}


def open_receivers(common: Common, desk: AlarmDesk, cap: CapDesk) -> ReceiverBook:
    """Return the receivers as people keep them."""
    caller = open_caller(common.settings.outbound)
    return ReceiverBook(
        common.state_db,
        common.clock,
        check_url=caller.check,
        check_host=caller.locate,
        seal=WebhookSeal(key_file(common)),
        mail=bool(common.settings.mail.host),
        make_sender=senders(common, cap),
        apply=desk.apply,
        on_commit=common.feed.committed,
    )


def open_cap(common: Common) -> CapDesk:
    """Return what issues CAP messages, and shows them."""
    return CapDesk(
        common.state_db,
        common.clock,
        words=load_words(common.overlay()),
        said=load_feed_words(common.overlay()),
        zone=ZoneInfo(common.settings.time_zone),
        base_url=common.settings.base_url,
        seal=WebhookSeal(key_file(common)),
        division_of=divisions_of(common.schemes),
    )


def senders(common: Common, cap: CapDesk) -> MakeSender:
    """Return what builds the carrier of each kind.

    Each has a caller of its own: in one that they shared, those that hang would take all
    connections from the others.
    """
    settings, clock, said = common.settings, common.clock, load_feed_words(common.overlay())
    mailer, own, base_url = open_mailer(settings.mail), own_broker(common.broker), settings.base_url

    def make(to: Destination, opens: Opens) -> Sender:
        caller = open_caller(settings.outbound)
        match to.receiver.kind:
            case "webhook":
                return WebhookSender(to, caller, clock)
            case "cap":
                return CapSender(to, caller, clock, cap)
            case "alertmanager":
                return AlertmanagerSender(to, caller, clock, opens=opens, base_url=base_url)
            case "mqtt":
                return PanelSender(to, clock, opens=opens, own=own, locate=caller.locate)
            case "mail":
                return MailSender(to, mailer, clock, said, base_url=base_url)

    return make


def own_broker(address: BrokerAddress | None) -> Broker:
    """Return the service's own broker as panels are told by it."""
    if address is None:  # of a process that was not told: it says so at each try
        return Broker(host="localhost", port=1883, own=True)
    return Broker(
        host=address.host,
        port=address.port,
        tls=address.tls,
        ca_file=address.ca_file,
        cert_file=address.cert_file,
        key_file=address.key_file,
        username=address.username or "",
        password=address.password or "",
        own=True,
    )


def divisions_of(schemes: SchemeRegistry) -> Callable[[str], str]:
    """Return what tells of an asset the division of GB/T 2260 that its code holds."""

    def division(asset_id: str) -> str:
        scheme, _, code = asset_id.partition(":")
        known = schemes.schemes.get(scheme)
        names = [field.name for field in known.fields if field.division] if known else []
        if not names:
            return ""
        try:
            fields = schemes.named(scheme, code).fields
        except RefuseInput:
            return ""
        found = next((fields[name] for name in names if fields.get(name)), "")
        return found if len(found) == 6 and schemes.divisions.doubt(found) is None else ""

    return division


async def guarded(turn: Awaitable[None]) -> None:
    """Carry out a receiver's turn; a defect in it must end neither alarms nor other receivers."""
    try:
        await turn
    except RetryLater as error:
        logger.warning("a receiver waits: %s", error)
    except Exception:
        logger.exception("a receiver's turn failed")
