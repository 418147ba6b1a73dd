"""Takes what platforms send: every item once, each with a word on what came of it.

What is taken is durable when the answer leaves, and goes to the log by an inbox (`inbox.py`): an
ingester alone may write the log's partitions, and need not run in the process that was asked.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from sqlalchemy import Connection

from cloud.model.asset import Asset
from cloud.model.database import Database
from cloud.model.dead_letter import DeadLetter
from cloud.model.platform import BatchOutcome, Platform
from cloud.model.principal import Granted
from cloud.platforms.read import Came, Refused, read_items
from cloud.platforms.settle import Settling
from protocols.clock import Clock
from protocols.errors import RefuseInput
from protocols.lifts.dialect import Dialects, nameless
from protocols.lifts.gbt24476 import Batch, Kind, time_of

BODY_BYTES_MAX = 16 * 1024
"""Of an item in the dead letters."""
KeepDead = Callable[[Sequence[DeadLetter]], Awaitable[None]]
Finding = Callable[[str, str, str, int], None]
"""(asset, reason, detail, at): put it on the asset's page."""


class PlatformIntake:
    """The door of all platforms; lives on the event loop."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        dialects: Dialects,
        platform: Callable[[str], Platform | None],
        asset: Callable[[str], Asset | None],
        finding: Finding,
        keep_dead: KeepDead,
        on_taken: Callable[[], None],
    ) -> None:
        """Open it.

        Args:
            database: the state.
            clock: of the service.
            dialects: all that there are.
            platform: an active platform by its id.
            asset: a registered asset by its id.
            finding: keeps a finding on an asset.
            keep_dead: keeps items that were refused.
            on_taken: called when something waits for the log.

        """
        self._database, self._clock = database, clock
        self._dialects, self._platform, self._asset = dialects, platform, asset
        self._finding, self._keep_dead, self._on_taken = finding, keep_dead, on_taken

    async def take(
        self, platform_id: str, kind: Kind, batch: Batch, granted: Granted
    ) -> BatchOutcome:
        """Take a request, item by item.

        Raises:
            RefuseInput: `not_found`: it is not the caller's own platform.

        """
        platform = self._platform(platform_id)
        if platform is None or granted.principal.id != f"platform:{platform_id}":
            raise RefuseInput("not_found", f"no platform {platform_id[:40]!r} of the caller's")
        now_ms = self._clock.wall_ms()
        name = platform.dialect, platform.dialect_version
        dialect = self._dialects.get(name) or nameless(*name)
        raws = [bytes(one) for one in batch.items]
        admit = partial(self._admit, platform, now_ms)
        items = read_items(raws, kind, dialect, admit, now_ms)
        sent_at = _sent_at(batch, dialect.time_zone)
        offsets = _offsets(items, sent_at, now_ms)
        refused: list[Refused] = []

        def work(connection: Connection) -> BatchOutcome:
            settling = Settling(
                connection, platform, kind, items, received_at=now_ms, offsets=offsets
            )
            outcome = settling.settle()
            refused[:] = settling.refused
            return outcome

        outcome = await self._database.write(work)
        if outcome.taken:
            self._on_taken()
        letters = [_dead_letter(platform, kind, one, now_ms) for one in refused if not one.again]
        if letters:
            await self._keep_dead(letters)
        return outcome

    def _admit(self, platform: Platform, now_ms: int, asset_id: str) -> tuple[str, str] | None:
        """Refuse another firm's lift, and one that is registered to be reported by others."""
        asset = self._asset(asset_id)
        if asset is None:
            return None
        detail = f"reported by {platform.gateway} of {platform.organisation}"
        if platform.organisation not in asset.parties.values():
            self._finding(asset_id, "foreign_platform", detail, now_ms)
            return "foreign_platform", "the platform's organisation is no party of this lift"
        if asset.gateways and platform.gateway not in asset.gateways:
            self._finding(asset_id, "foreign_gateway", detail, now_ms)
            return "foreign_gateway", f"the lift is registered to others than {platform.gateway}"
        return None


def _sent_at(batch: Batch, zone: str) -> int | None:
    """Read when a request was sent; a word that nobody can read costs no alarm."""
    if batch.sent_at is None:
        return None
    try:
        return time_of(batch.sent_at, zone)
    except RefuseInput:
        return None


def _offsets(items: Sequence[Came | Refused], sent_at: int | None, now_ms: int) -> list[int]:
    """Return how far the platform's clock is off by this request: by its newest item at most."""
    if sent_at is not None:
        return [now_ms - sent_at]
    known = [one.offset_ms for one in items if isinstance(one, Came) and one.offset_ms is not None]
    return [min(known)] if known else []


def _dead_letter(platform: Platform, kind: Kind, one: Refused, now_ms: int) -> DeadLetter:
    return DeadLetter(
        received_at=now_ms,
        consumer="platforms",
        topic=f"platforms/{platform.id}/{kind}",
        reason=one.reason,
        detail=one.detail,
        body=one.raw[:BODY_BYTES_MAX],
        gateway=platform.gateway,
        record_index=one.index,
    )
