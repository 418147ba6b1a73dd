"""The watch over cylinders inside the service, and its lists as people ask for them."""

import os
from zoneinfo import ZoneInfo

from cloud.alarms.desk import AlarmDesk
from cloud.cylinders.watch.addresses import AddressBook
from cloud.cylinders.watch.alarms import CaseAlarms
from cloud.cylinders.watch.desk import CaseDesk
from cloud.cylinders.watch.notices import Notices
from cloud.cylinders.watch.runner import CylinderWatch
from cloud.outbound.mail import Mailer, MailSettings
from cloud.roles.common import Common
from cloud.roles.sign_on import open_caller
from cloud.roles.trace_delivery import WebhookSeal, key_file, rights_of
from protocols.cylinders.watch import load_watch

READS = "cylinders.read"


def open_watch(common: Common, desk: AlarmDesk) -> CylinderWatch:
    """Return what watches, in the one process that consumes."""
    watch = load_watch(common.overlay())
    return CylinderWatch(
        common.state_db,
        common.clock,
        zone=ZoneInfo(common.settings.time_zone),
        watch=watch,
        book=common.cylinder_rules,
        alarms=CaseAlarms(watch, desk.apply),
        on_commit=common.feed.committed,
    )


def open_notices(common: Common) -> Notices:
    """Return what tells of the lists, in the one process that consumes."""
    settings = common.settings
    return Notices(
        common.state_db,
        common.clock,
        zone=ZoneInfo(settings.time_zone),
        watch=load_watch(common.overlay()),
        rights=lambda principal, account: rights_of(common, principal, account, READS),
        outbound=open_caller(settings.outbound),
        mail=open_mailer(settings.mail),
        seal=WebhookSeal(key_file(common)),
        base_url=settings.base_url,
    )


def open_addresses(common: Common) -> AddressBook:
    """Return who is told."""
    settings = common.settings
    return AddressBook(
        common.state_db,
        common.clock,
        check=open_caller(settings.outbound).check,
        seal=WebhookSeal(key_file(common)),
        mail=bool(settings.mail.host),
        zone=ZoneInfo(settings.time_zone),
        base_url=settings.base_url,
    )


def open_mailer(settings: MailSettings) -> Mailer | None:
    """Return what sends mail; None: nothing does."""
    return Mailer(settings, os.environ.get("SUYUAN_SMTP_PASSWORD")) if settings.host else None


def open_cases(common: Common, desk: AlarmDesk) -> CaseDesk:
    """Return the lists."""
    watch = load_watch(common.overlay())
    return CaseDesk(
        common.state_db,
        common.clock,
        zone=ZoneInfo(common.settings.time_zone),
        watch=watch,
        alarms=CaseAlarms(watch, desk.apply),
        on_commit=common.feed.committed,
    )
