"""Subscriptions to named queries, as they are made, shown and ended."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Protocol

from cloud.model.database import Database, Work
from cloud.trace.base import EpcFormat, Subscription, TraceStore
from cloud.trace.schedule import Schedule, read_schedule
from cloud.trace.subscription_rows import (
    Standing,
    delete_of_query,
    delete_subscription,
    find_subscription,
    find_subscriptions,
    insert_subscription,
)
from protocols.clock import Clock
from protocols.errors import RefuseInput

BATCH = 100
"""Events sent at a time, at first."""


class Seal(Protocol):
    """Keeps secrets so that the database alone does not tell them."""

    def close(self, secret: str) -> str:
        """Return it sealed."""
        ...

    def open(self, sealed: str) -> str:
        """Return it; RetryLater: not sealed by the key that is here."""
        ...


class SqlSubscriptions:
    """`Subscriptions` in the state database."""

    def __init__(
        self, database: Database, store: TraceStore, *, seal: Seal, clock: Clock, zone: tzinfo
    ) -> None:
        self._database, self._store, self._seal = database, store, seal
        self._clock, self._zone = clock, zone

    async def subscribe(
        self,
        organisation: str,
        query_name: str,
        *,
        principal: str,
        account: int | None,
        dest: str,
        secret: str,
        schedule: Mapping[str, str],
        report_if_empty: bool,
        initial_us: int | None,
        epc_format: EpcFormat,
        also: Sequence[Work] = (),
    ) -> Subscription:
        """See `Subscriptions`."""
        head_no, _ = await self._store.head()
        one = new_subscription(
            organisation,
            query_name,
            now_ms=self._clock.wall_ms(),
            principal=principal,
            account=account,
            dest=dest,
            schedule=schedule,
            report_if_empty=report_if_empty,
            initial_us=initial_us,
            epc_format=epc_format,
        )
        sealed = self._seal.close(secret) if secret else ""
        new = new_standing(one, sealed=sealed, head_no=head_no, zone=self._zone)
        await self._database.write(lambda c: insert_subscription(c, new), *also)
        return one

    async def get(self, organisation: str, query_name: str, subscription_id: str) -> Subscription:
        """See `Subscriptions`."""
        return await self._database.read(
            lambda c: find_subscription(c, organisation, query_name, subscription_id)
        )

    async def find(
        self, organisation: str, query_name: str, *, after: str = "", limit: int
    ) -> list[Subscription]:
        """See `Subscriptions`."""
        return await self._database.read(
            lambda c: find_subscriptions(c, organisation, query_name, after, limit)
        )

    async def unsubscribe(
        self,
        organisation: str,
        query_name: str,
        subscription_id: str,
        *,
        also: Sequence[Work] = (),
    ) -> None:
        """See `Subscriptions`."""
        await self._database.write(
            lambda c: delete_subscription(c, organisation, query_name, subscription_id), *also
        )

    def ending(self, organisation: str, query_name: str) -> Work:
        """See `Subscriptions`."""
        return lambda c: delete_of_query(c, organisation, query_name)


def new_subscription(
    organisation: str,
    query_name: str,
    *,
    now_ms: int,
    principal: str,
    account: int | None,
    dest: str,
    schedule: Mapping[str, str],
    report_if_empty: bool,
    initial_us: int | None,
    epc_format: EpcFormat,
) -> Subscription:
    """Return a subscription that begins now, under an id of its own."""
    return Subscription(
        subscription_id=secrets.token_hex(16),
        organisation=organisation,
        query_name=query_name,
        principal=principal,
        account=account,
        dest=dest,
        schedule=schedule,
        report_if_empty=report_if_empty,
        epc_format=epc_format,
        created_at_ms=now_ms,
        initial_us=initial_us,
        min_record_us=now_ms * 1000 if initial_us is None else initial_us,
        notified_at_ms=None,
        state="active",
        error="",
    )


def new_standing(one: Subscription, *, sealed: str, head_no: int, zone: tzinfo) -> Standing:
    """Return where a new subscription stands; RefuseInput `bad_subscription` for its schedule."""
    now_ms, schedule = one.created_at_ms, one.schedule
    return Standing(
        subscription=one,
        sealed=sealed,
        passed_no=head_no if one.initial_us is None else 0,
        due_no=None,
        next_at_ms=first_run(read_schedule(schedule), now_ms, zone) if schedule else None,
        retry_at_ms=None,
        failures=0,
        batch=BATCH,
    )


def first_run(schedule: Schedule, now_ms: int, zone: tzinfo) -> int:
    """Return when a schedule comes next, ms since 1970; RefuseInput when it never does."""
    found = schedule.next_after(datetime.fromtimestamp(now_ms / 1000, UTC), zone)
    if found is None:
        raise RefuseInput("bad_subscription", "schedule: expected a time that comes; found none")
    return int(found.timestamp() * 1000)
