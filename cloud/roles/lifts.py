"""The files of lifts inside the service: the desks, imports behind them, and the daily watch."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from cloud.alarms.desk import AlarmDesk
from cloud.lifts.append import Recorder
from cloud.lifts.base import LiftDesks
from cloud.lifts.book import LiftBook
from cloud.lifts.cases import CaseList
from cloud.lifts.imports import Imports
from cloud.lifts.rescues import rescue_recorder
from cloud.lifts.watch import LiftWatch
from cloud.model.incident import Incident
from cloud.roles.common import Common
from cloud.trust import signing
from protocols.codes.registry import SchemeRegistry
from protocols.errors import RefuseInput
from protocols.lifts.catalogue import load_catalogue
from protocols.lifts.chain import Kept
from protocols.lifts.load import load_calendar
from protocols.lifts.records import load_kinds
from protocols.lifts.watch import load_lift_terms


def open_rescue_record(common: Common) -> Callable[[Connection, Incident], Kept | None]:
    """Return what writes a closed rescue into the record of its lift, in its transaction.

    Raises:
        FixConfiguration: with all faults of a data file.

    """
    overlay, zone = common.overlay(), ZoneInfo(common.settings.time_zone)
    recorder = Recorder(
        kinds=load_kinds(overlay),
        rules=load_calendar(overlay),
        sign=partial(signing.sign, common.data),
        today=lambda: datetime.fromtimestamp(common.clock.wall_ms() / 1_000, zone).date(),
        now_ms=common.clock.wall_ms,
    )
    return rescue_recorder(recorder, zone)


class LiftsPart:
    """The desks, and the imports that wait.

    Raises:
        FixConfiguration: with all faults of a data file.

    """

    def __init__(self, common: Common) -> None:
        overlay, zone = common.overlay(), ZoneInfo(common.settings.time_zone)
        self._book = LiftBook(
            common.state_db,
            common.clock,
            common.registry,
            common.organisations,
            zone=zone,
            kinds=load_kinds(overlay),
            rules=load_calendar(overlay),
            catalogue=load_catalogue(overlay),
            sign=partial(signing.sign, common.data),
            keys=partial(signing.known_keys, common.data),
            verify=signing.verify,
            fits=partial(fits, common.schemes),
        )
        self._imports = Imports(self._book, common.clock)
        cases = CaseList(common.state_db, load_lift_terms(overlay))
        self.desks = LiftDesks(self._book, self._imports, cases)

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs until the process stops."""
        return {"import lifts": self._imports.run()}


def fits(schemes: SchemeRegistry, scheme: str, code: str) -> bool:
    """Tell whether a code is as the codes of a scheme are."""
    try:
        schemes.named(scheme, code)
    except RefuseInput:
        return False
    return True


def open_lift_watch(common: Common, desk: AlarmDesk) -> LiftWatch:
    """Return what watches, in the one process that consumes."""
    overlay = common.overlay()
    return LiftWatch(
        common.state_db,
        common.clock,
        zone=ZoneInfo(common.settings.time_zone),
        rules=load_calendar(overlay),
        terms=load_lift_terms(overlay),
        apply=desk.apply,
        on_commit=common.feed.committed,
    )
