"""What all parts of one process share."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path

from cloud.access.book import AccessBook
from cloud.access.desk import AccountDesk
from cloud.access.device_desk import DeviceDesk
from cloud.access.devices import Terms
from cloud.access.limiter import FailureLimiter
from cloud.feed.store import FeedStore
from cloud.ingest.subscriber import BrokerAddress
from cloud.log.store import LogStore, insert_dead_letters
from cloud.metrics import Metrics
from cloud.migrations import migrate
from cloud.model.database import Database
from cloud.model.dead_letter import DeadLetter
from cloud.model.load_data_rules import load_data_rules
from cloud.model.logged import LoggedBatch, LogGroup
from cloud.model.notices import FEED, LOG, listen
from cloud.model.shards import ShardMap
from cloud.organisations.book import OrganisationBook
from cloud.platforms.book import PlatformBook
from cloud.registry.assets import AssetRegistry
from cloud.registry.gateways import GatewayBook
from cloud.remote.book import RemoteBook
from cloud.remote.releases import Releases
from cloud.rules.load import load_rules
from cloud.rules.rule import RuleSet
from cloud.settings import Settings, days_of
from cloud.trust import signing
from protocols.catalog.divisions import load_divisions
from protocols.catalog.files import data_root
from protocols.catalog.schemes import load_schemes
from protocols.clock import Clock
from protocols.codes.registry import SchemeRegistry
from protocols.cylinders.book import RuleBook
from protocols.cylinders.load import load_rules as load_cylinder_rules
from protocols.epcis.standard import load_all_tolerances, load_standard
from protocols.epcis.tolerances import Tolerances
from protocols.errors import FixConfiguration, RetryLater
from protocols.lifts.dialect import load_dialects

logger = logging.getLogger("suyuan.cloud")

REFRESH_S = 1.0
"""Looks so often for what other processes wrote, though nobody told."""
DeadLetterBox = Callable[[LogGroup, LoggedBatch, int, str], None]


class Common:
    """Databases, and what is kept of them in memory."""

    def __init__(
        self,
        *,
        data: Path,
        settings: Settings,
        name: str,
        admin_token: str | None,
        clock: Clock,
    ) -> None:
        self.data, self.settings, self.name, self.clock = data, settings, name, clock
        self.rng = random.Random()  # noqa: S311 - jitter, no secret
        self.stopping = asyncio.Event()
        self.broker: BrokerAddress | None = None
        """Where gateways and panels are spoken to, as the service was told."""
        self.log_db = _open(settings.database.log_url, data / "log.db", "log")
        self.state_db = _open(settings.database.state_url, data / "state.db", "state")
        self.alone = not (self.log_db.shared or self.state_db.shared)
        """No other process can write into these databases."""
        self.shards = ShardMap(settings.ingest.shard_groups)
        self.log = LogStore(self.log_db)
        self.registry = AssetRegistry(self.state_db, clock)
        self.gateways = GatewayBook(self.state_db)
        self.standard = load_standard(data_root() / "epcis")
        self.tolerances = self._load_tolerances()
        self.organisations = OrganisationBook(self.state_db, clock, tolerances=self.tolerances)
        self.feed = FeedStore(self.state_db, clock)
        self.access = AccessBook(
            self.state_db,
            clock,
            admin_token=admin_token,
            data=data,
            organisations=self.organisations.peek,
            terms=Terms(settings.accounts.device_days, settings.accounts.offline_grace_s),
        )
        self.organisations.on_members.append(self.access.refresh)
        self.platforms = PlatformBook(
            self.state_db,
            clock,
            dialects=load_dialects(self.overlay()),
            organisation=self.organisations.peek,
            failures=FailureLimiter(),
        )
        self.access.machine = self.platforms.bearer
        self.accounts = AccountDesk(self.state_db, clock, self.access, self.organisations)
        self.devices = DeviceDesk(self.state_db, clock, self.access, self.organisations)
        self.metrics = Metrics()
        self.data_rules = load_data_rules(days_of(settings), self.overlay())
        self.remote = RemoteBook(
            self.state_db,
            clock,
            sign=partial(signing.sign, data),
            releases=Releases(data / "releases"),
        )
        self.on_log: list[Callable[[], None]] = []
        """Called when there is something new in the log."""
        self.on_inbox: list[Callable[[], None]] = []
        """Called when something of a platform waits for the log."""
        self.on_close: list[Callable[[], None]] = []
        """Called last of all."""

    def rules(self) -> RuleSet:
        """Read the rules that are shipped, and the site's own."""
        return load_rules(self.overlay())

    @cached_property
    def schemes(self) -> SchemeRegistry:
        """Read the schemes of codes that are shipped, and the site's own.

        Raises:
            FixConfiguration: with all faults of all files.

        """
        schemes, faults = load_schemes(self.overlay())
        if faults:
            raise FixConfiguration(faults)
        return SchemeRegistry(schemes, load_divisions(), base_url=self.settings.base_url)

    @cached_property
    def cylinder_rules(self) -> RuleBook:
        """Read the rules of cylinders that are shipped, and the site's own.

        Raises:
            FixConfiguration: with all faults of all files.

        """
        return load_cylinder_rules(data_root() / "cylinders", self.overlay())

    def _load_tolerances(self) -> dict[str, Tolerances]:
        overlay, folder = self.overlay(), Path("epcis", "tolerances")
        own = overlay / folder if overlay else None
        return load_all_tolerances(self.standard, data_root() / folder, own)

    def overlay(self) -> Path | None:
        """Return the folder of the site's own data files."""
        overlay = self.settings.rules_overlay
        return Path(overlay) if overlay else None

    async def load(self) -> None:
        """Read what was written earlier."""
        await self.registry.load()
        await self.gateways.load()
        await self.organisations.load()
        await self.feed.load()
        await self.access.load()
        await self.platforms.refresh()

    def log_grew(self) -> None:
        """Wake whoever reads the log here."""
        for wake in self.on_log:
            wake()

    async def follow(self) -> None:
        """Learn what other processes committed, until cancelled."""
        if self.alone:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_again())
            group.create_task(listen(self.log_db.url, {LOG: self._heard_of_log}))
            group.create_task(listen(self.state_db.url, {FEED: lambda _: self.feed.committed()}))

    async def keep_dead(self, letters: Sequence[DeadLetter]) -> None:
        """Keep what a part refused."""
        await self.log_db.write(lambda c: insert_dead_letters(c, letters))

    def dead_letter(self, consumer: str) -> DeadLetterBox:
        """Return what keeps a record that failed a consumer."""

        def keep(group: LogGroup, batch: LoggedBatch, index: int, reason: str) -> None:
            letter = DeadLetter(
                received_at=self.clock.wall_ms(),
                consumer=consumer,
                topic=f"{group.partition} {group.position}",
                reason="consumer_failed",
                detail=reason,
                body=batch.records_raw,
                gateway=batch.gateway,
                spool=batch.spool,
                stream=batch.stream,
                seq=batch.seq,
                record_index=index,
            )
            self.log_db.write_now(lambda c: insert_dead_letters(c, [letter]))

        return keep

    async def keep_house(self) -> None:
        """Write what changed in memory, read what others wrote; about once a second."""
        await self.registry.flush()
        await self.gateways.flush()
        await self.access.flush()
        await self.access.refresh()  # also alone: `suyuan-cloud account` writes beside it
        if not self.alone:
            await self.platforms.refresh()
            await self.registry.refresh()
            await self.organisations.refresh()

    async def close(self) -> None:
        """Write what is left and close the databases."""
        with contextlib.suppress(RetryLater):
            await self.registry.flush()
            await self.gateways.flush()
        for close in (self.log_db.close, self.state_db.close, *self.on_close):
            close()

    def _heard_of_log(self, text: str) -> None:
        self.log.heard_notice(text)
        self.log_grew()

    async def _look_again(self) -> None:
        partitions = self.shards.partitions()
        while True:
            try:
                await asyncio.to_thread(self.log.refresh, partitions)
            except RetryLater as error:
                logger.warning("%s", error)
            else:
                self.log_grew()
            await asyncio.sleep(REFRESH_S)


def _open(url: str, file: Path, name: str) -> Database:
    database = Database(url or f"sqlite:///{file}", name=name)
    migrate(database.engine, name)
    return database
