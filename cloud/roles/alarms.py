"""The alarms inside the service: the desk, its deadlines and its figures."""

from collections.abc import Callable

from sqlalchemy import Connection

from cloud.alarms import call_watch
from cloud.alarms.desk import AlarmDesk
from cloud.alarms.figures import FigureBook
from cloud.alarms.runner import AlarmDeadlines
from cloud.model.alarm import Alarm
from cloud.model.alarm_terms import load_terms
from cloud.model.follower import LogFollower
from cloud.roles.common import Common


def open_desk(
    common: Common, follow: Callable[[Connection, Alarm, str], None] | None = None
) -> AlarmDesk:
    """Return the desk of one process."""
    return AlarmDesk(
        database=common.state_db,
        clock=common.clock,
        append_feed=common.feed.append,
        on_commit=common.feed.committed,
        follow=follow,
        terms=load_terms(common.overlay()),
    )


def open_deadlines(common: Common, desk: AlarmDesk) -> AlarmDeadlines:
    """Return what keeps deadlines, in the one process that consumes."""
    watch = call_watch.CallWatch(
        common.state_db,
        common.clock,
        desk.terms,
        apply=desk.apply,
        on_commit=common.feed.committed,
    )
    return AlarmDeadlines(desk, common.clock, watch)


def calls_follower(common: Common, desk: AlarmDesk) -> LogFollower:
    """Return what notes the test calls of lifts."""
    return LogFollower(
        name=call_watch.NAME,
        log=common.log,
        database=common.state_db,
        mark=call_watch.mark(desk.terms),
        keep=call_watch.keep(desk.terms),
    )


def open_figures(common: Common, desk: AlarmDesk) -> FigureBook:
    """Return what counts alarms when somebody asks."""
    return FigureBook(common.state_db, common.clock, desk.terms)
