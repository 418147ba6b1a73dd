"""The authority inside the service: enrolment, and what the broker refused."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from cloud.access.limiter import FailureLimiter
from cloud.model.refusal import Refusal
from cloud.roles.common import Common
from cloud.trust.book import open_book
from cloud.trust.broker_files import LOG_FILE, RUN
from cloud.trust.desk import TrustDesk
from cloud.trust.setup import ca_folder, has_authority, open_desk
from cloud.trust.watch import LogWatch
from protocols.errors import FixConfiguration, StopService

logger = logging.getLogger("suyuan.cloud")


class TrustPart:
    """A desk and a watch where the data folder has an authority; else nothing.

    One that is damaged is left alone: alarms come first, and who is enrolled needs it not.
    """

    def __init__(self, common: Common) -> None:
        self._common = common
        self.desk: TrustDesk | None = None
        self._watch: LogWatch | None = None
        if has_authority(common.data):
            try:
                self._open()
            except (StopService, FixConfiguration, OSError, DBAPIError) as error:
                logger.error("no gateway can enrol or renew: %s", error)  # noqa: TRY400

    async def run(self) -> None:
        """Follow the broker's log until cancelled."""
        await (self._watch.run() if self._watch else asyncio.Event().wait())

    def _open(self) -> None:
        common, settings = self._common, self._common.settings
        ca = ca_folder(common.data)
        database = open_book(ca)
        common.on_close.append(database.close)
        desk = open_desk(
            common.data,
            database,
            clock=common.clock,
            limiter=FailureLimiter(),
            certificate_days=settings.trust.certificate_days,
            grace_days=settings.trust.renewal_grace_days,
        )
        desk.publish_revoked()  # a stop between database and file left it undone
        log = settings.broker.log_file
        file = Path(log) if log else ca / "broker" / RUN / LOG_FILE
        self._watch = LogWatch(file, database, common.clock, on_found=self._count)
        self.desk = desk

    def _count(self, found: Sequence[Refusal]) -> None:
        for one in found:
            self._common.metrics.refusals.labels(one.kind).inc(one.count)
