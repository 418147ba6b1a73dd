"""Rescues inside the service: the desk that alarms, people and the clock work with."""

import logging
from collections.abc import Callable
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from cloud.alarms.desk import TURN
from cloud.incidents.book import Book
from cloud.incidents.desk import IncidentDesk
from cloud.incidents.runner import DeadlineRunner
from cloud.model.alarm import Alarm
from cloud.model.database import take_turn
from cloud.model.rescue_policy import load_rescue
from cloud.roles.common import Common
from protocols.errors import RetryLater

logger = logging.getLogger("suyuan.cloud")


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

    return IncidentDesk(
        common.state_db,
        common.clock,
        book,
        load_rescue(common.overlay()),
        find_code=common.registry.with_rescue_code,
        find=common.registry.add_finding,
        on_commit=common.feed.committed,
    )


def guarded(rescues: IncidentDesk) -> Callable[[Connection, Alarm, str], None]:
    """Return what follows alarms for rescues, so that no fault of theirs keeps an alarm back.

    It works inside the alarm's transaction. What fails there is undone alone and logged; the alarm
    stands, is repeated until somebody acknowledges it, and each repetition tries again.
    """

    def follow(connection: Connection, alarm: Alarm, change: str) -> None:
        if alarm.alert not in rescues.rules.opening:
            return
        try:
            with connection.begin_nested():
                rescues.follow(connection, alarm, change)
        except RetryLater:
            raise
        except Exception:
            logger.exception("alarm %s of %s: no rescue could follow it", alarm.id, alarm.asset)

    return follow


def open_rescue_clock(common: Common, rescues: IncidentDesk) -> DeadlineRunner:
    """Return what fires deadlines, for the one process that consumes."""
    return DeadlineRunner(rescues, common.clock)
