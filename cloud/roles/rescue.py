"""Rescues inside the service: the desk that alarms, people and the clock work with."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from cloud.alarms.desk import TURN, AlarmDesk
from cloud.incidents.book import Book
from cloud.incidents.desk import IncidentDesk
from cloud.incidents.draft import SYSTEM
from cloud.incidents.runner import DeadlineRunner
from cloud.model.alarm import Alarm
from cloud.model.database import savepoint, take_turn
from cloud.model.incident import Entry, Incident
from cloud.model.rescue_policy import load_rescue
from cloud.roles.common import Common
from cloud.roles.lifts import open_rescue_record
from protocols.errors import RetryLater

logger = logging.getLogger("suyuan.cloud")
SEEN = frozenset(("verify", "take", "dispatch", "false_alarm", "cancel", "merge"))
"""Entries of a rescue by which the desk has seen its alarm, too."""


def open_rescues(common: Common) -> IncidentDesk:
    """Return the desk of this process; its changes have the turn of alarms and feed.

    Raises:
        FixConfiguration: with all faults of the files in firmware_config/rescue.

    """
    book = Book(
        common.feed.append,
        partial(take_turn, what=TURN),
        ZoneInfo(common.settings.time_zone),
    )
    record = open_rescue_record(common)
    book.on_saved.append(lambda connection, incident, _entries: record(connection, incident))
    return IncidentDesk(
        common.state_db,
        common.clock,
        book,
        load_rescue(common.overlay()),
        find_code=common.registry.with_rescue_code,
        find=common.registry.add_finding,
        on_commit=common.feed.committed,
    )


def acknowledge_with(rescues: IncidentDesk, alarms: AlarmDesk) -> None:
    """Let who works on a rescue at the desk acknowledge its alarm by that, in one transaction."""

    def follow(connection: Connection, incident: Incident, entries: Sequence[Entry]) -> None:
        seen = [one for one in entries if one.what in SEEN and one.by != SYSTEM]
        if seen and incident.alarm is not None:
            alarms.acknowledge_in(connection, incident.alarm, seen[-1].by)

    rescues.on_saved.append(follow)


def guarded(rescues: IncidentDesk) -> Callable[[Connection, Alarm, str], None]:
    """Return what follows alarms for rescues, so that no fault of theirs keeps an alarm back.

    It works inside the alarm's transaction. What fails there is undone alone and logged; the alarm
    stands, is repeated until somebody acknowledges it, and each repetition tries again.
    """

    def follow(connection: Connection, alarm: Alarm, change: str) -> None:
        if alarm.alert not in rescues.rules.opening:
            return
        try:
            with savepoint(connection):
                rescues.follow(connection, alarm, change)
        except RetryLater:
            raise
        except Exception:
            logger.exception("alarm %s of %s: no rescue could follow it", alarm.id, alarm.asset)

    return follow


def open_rescue_clock(common: Common, rescues: IncidentDesk) -> DeadlineRunner:
    """Return what fires deadlines, for the one process that consumes."""
    return DeadlineRunner(rescues, common.clock)
