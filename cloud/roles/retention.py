"""The retention job inside the service: its databases, and the stores that trim themselves."""

import contextlib
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from sqlalchemy.exc import DBAPIError

from cloud.model.database import Database
from cloud.model.retention import RetentionRun
from cloud.retention.job import Elsewhere, RetentionJob
from cloud.retention.pseudonyms import open_pseudonyms
from cloud.roles.audit import noting
from cloud.roles.common import Common
from cloud.trust.book import open_book
from cloud.trust.setup import ca_folder, has_authority
from protocols.errors import StopService


class RetentionPart:
    """Runs once a day in the process that consumes, and so in one at a time."""

    def __init__(self, common: Common, elsewhere: Mapping[str, Elsewhere]) -> None:
        self._common = common
        databases = {"log": common.log_db, "state": common.state_db}
        if (trust := _open_trust(common)) is not None:
            databases["trust"] = trust
        self._job = RetentionJob(
            rules=common.data_rules,
            databases=databases,
            pseudonyms=open_pseudonyms(common.data),
            clock=common.clock,
            holds=common.settings.retention.holds,
            elsewhere=elsewhere,
            after={"feed": common.feed.load},
            on_rows=common.metrics.count_retention,
            on_end=self._ended,
            noted=noting(common.data, common.settings),
        )

    async def run(self) -> None:
        """Run when it is due, until cancelled."""
        settings = self._common.settings
        await self._job.follow(ZoneInfo(settings.time_zone), settings.retention.at_hour)

    def _ended(self, run: RetentionRun) -> None:
        self._common.metrics.retention_ended.set(run.ended_at / 1000)


def _open_trust(common: Common) -> Database | None:
    """Open the authority's database; one that is damaged is left alone, as it is elsewhere."""
    if not has_authority(common.data):
        return None
    with contextlib.suppress(StopService, OSError, DBAPIError):
        database = open_book(ca_folder(common.data))
        common.on_close.append(database.close)
        return database
    return None
