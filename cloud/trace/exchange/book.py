"""Partners as people register, change and end them, and what partners bring."""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Connection

from cloud.model.database import Database, Work
from cloud.trace.base import Captures, TraceStore
from cloud.trace.delivery import signature
from cloud.trace.exchange.base import (
    Partner,
    Pulling,
    Push,
    Pushing,
    Receipt,
    State,
    Subscribed,
    Wanted,
)
from cloud.trace.exchange.rows import (
    drop,
    find_partner,
    find_partners,
    find_receipts,
    insert_partner,
    insert_receipt,
    move,
    set_free,
)
from cloud.trace.subscriptions import Seal
from protocols.clock import Clock
from protocols.errors import RefuseInput, RetryLater


class PartnerBook:
    """`Partners` in the state database."""

    def __init__(
        self,
        database: Database,
        store: TraceStore,
        captures: Captures,
        *,
        seal: Seal,
        clock: Clock,
        check_address: Callable[[str], Awaitable[None]],
        tolerances: Collection[str],
        plain_http: bool,
    ) -> None:
        """Build it.

        Args:
            database: the state.
            store: the events.
            captures: takes what partners bring.
            seal: closes credentials.
            clock: for times.
            check_address: refuses an address that may not be called.
            tolerances: ids that a partner's documents can be held to.
            plain_http: whether a partner may be reached without TLS.

        """
        self._database, self._store, self._captures = database, store, captures
        self._seal, self._clock, self._check_address = seal, clock, check_address
        self._tolerances, self._plain_http = tolerances, plain_http

    async def make(
        self,
        organisation: str,
        wanted: Wanted,
        *,
        principal: str,
        account: int | None,
        also: Sequence[Work] = (),
    ) -> Partner:
        """See `Partners`."""
        await self._check(wanted)
        head_no, _ = await self._store.head()
        now_ms = self._clock.wall_ms()
        new = Partner(
            partner_id=secrets.token_hex(16),
            organisation=organisation,
            name=wanted.name,
            base=wanted.base.rstrip("/"),
            header=wanted.header,
            credential=self._sealed(wanted, ""),
            tolerances=wanted.tolerances,
            principal=principal,
            account=account,
            created_at_ms=now_ms,
            state="active",
            pull=wanted.pull,
            push=wanted.push,
            turn=0,
            pull_at_ms=now_ms,
            push_at_ms=now_ms,
            pulling=Pulling(),
            pushing=Pushing(passed_no=_begins(wanted.push, head_no)),
            subscribed=Subscribed(),
            heard_at_ms=None,
        )
        await self._database.write(lambda c: insert_partner(c, new), *also)
        return new

    async def change(
        self,
        organisation: str,
        partner_id: str,
        wanted: Wanted,
        *,
        principal: str,
        account: int | None,
        also: Sequence[Work] = (),
    ) -> Partner:
        """See `Partners`."""
        await self._check(wanted)
        head_no, _ = await self._store.head()
        now_ms = self._clock.wall_ms()

        def work(connection: Connection) -> Partner:
            seen = _own(connection, organisation, partner_id)
            base = wanted.base.rstrip("/")
            elsewhere = base != seen.base
            changed: dict[str, Any] = {
                "name": wanted.name,
                "base": base,
                "header": wanted.header,
                # another server is not shown what was meant for this one
                "credential": self._sealed(wanted, "" if elsewhere else seen.credential),
                "tolerances": wanted.tolerances,
                "principal": principal,
                "account": account,
                "pull": wanted.pull,
                "push": wanted.push,
                "pull_at_ms": now_ms,
                "push_at_ms": now_ms,
            }
            if elsewhere or wanted.pull != seen.pull:
                changed["pulling"] = Pulling()
            if elsewhere or wanted.push != seen.push:
                changed["pushing"] = Pushing(passed_no=_begins(wanted.push, head_no))
            if elsewhere:
                changed["subscribed"] = Subscribed()
            return move(connection, seen, **changed)

        return await self._database.write(work, *also)

    async def get(self, organisation: str, partner_id: str) -> Partner:
        """See `Partners`."""
        return await self._database.read(lambda c: _own(c, organisation, partner_id))

    async def find(self, organisation: str) -> list[Partner]:
        """See `Partners`."""
        return await self._database.read(lambda c: find_partners(c, organisation))

    async def set_state(
        self, organisation: str, partner_id: str, state: State, *, also: Sequence[Work] = ()
    ) -> Partner:
        """See `Partners`."""
        now_ms = self._clock.wall_ms()

        def work(connection: Connection) -> Partner:
            seen = _own(connection, organisation, partner_id)
            if state == "ending" and not seen.subscribed.url:
                drop(connection, seen)
                return msgspec.structs.replace(seen, state=state)
            return move(connection, seen, state=state, pull_at_ms=now_ms, push_at_ms=now_ms)

        return await self._database.write(work, *also)

    async def run_now(
        self, organisation: str, partner_id: str, *, also: Sequence[Work] = ()
    ) -> Partner:
        """See `Partners`."""
        now_ms = self._clock.wall_ms()

        def work(connection: Connection) -> Partner:
            seen = _own(connection, organisation, partner_id)
            set_free(connection, partner_id, pull_at_ms=now_ms, push_at_ms=now_ms)
            return seen

        return await self._database.write(work, *also)

    async def receipts(
        self, organisation: str, partner_id: str, *, before: int | None, limit: int
    ) -> list[Receipt]:
        """See `Partners`."""
        return await self._database.read(
            lambda c: find_receipts(c, organisation, partner_id, before, limit)
        )

    async def waiting(self, partner: Partner) -> int:
        """See `Partners`."""
        head_no, _ = await self._store.head()
        return max(head_no - partner.pushing.passed_no, 0) if partner.push is not None else 0

    async def expects(self, partner_id: str) -> None:
        """See `Partners`."""
        await self._subscribed(partner_id)

    async def hear(self, partner_id: str, body: bytes, *, media_type: str, signed: str) -> None:
        """See `Partners`."""
        partner = await self._subscribed(partner_id)
        secret = self._seal.open(partner.subscribed.sealed)
        given = signed.strip().lower().encode("utf-8", "replace")
        if not hmac.compare_digest(signature(secret, body).encode(), given):
            raise RefuseInput("forbidden", "GS1-Signature is not that of our subscription")
        if partner.state == "paused":
            raise RetryLater("the exchange is paused")
        capture_id, now_ms = secrets.token_hex(16), self._clock.wall_ms()

        def noted(connection: Connection) -> None:
            url = f"/epcis/capture/{capture_id}"
            insert_receipt(
                connection,
                partner,
                "notified",
                at_ms=now_ms,
                url=url,
                events=0,
                capture_id=capture_id,
            )
            set_free(connection, partner_id, heard_at_ms=now_ms)

        try:
            await self._captures.take(
                body,
                media_type=media_type,
                behaviour="proceed",
                by=partner.by,
                organisation=partner.organisation,
                capture_id=capture_id,
                also=[noted],
            )
        except RefuseInput as error:
            if error.reason == "too_many_jobs":
                raise RetryLater("too many captures wait, send it again later") from error
            raise

    async def _subscribed(self, partner_id: str) -> Partner:
        partner = await self._database.read(lambda c: find_partner(c, partner_id))
        if partner is None or not partner.subscribed.sealed or partner.state == "ending":
            raise RefuseInput("not_found", "nobody here has subscribed to that")
        return partner

    async def _check(self, wanted: Wanted) -> None:
        await self._check_address(wanted.base)
        parts = urlsplit(wanted.base)
        if parts.query or parts.fragment:
            raise RefuseInput("bad_partner", "base: expected an address without ? and #")
        if parts.scheme == "http" and not self._plain_http:
            raise RefuseInput("bad_partner", "base: expected https")
        if wanted.tolerances and wanted.tolerances not in self._tolerances:
            expected = ", ".join(sorted(self._tolerances))
            raise RefuseInput("bad_partner", f"tolerances: expected one of {expected}")
        if wanted.pull is None and wanted.push is None:
            raise RefuseInput("bad_partner", "expected pull, push or both")
        if wanted.pull and wanted.pull.subscribe and not wanted.pull.query_name:
            raise RefuseInput("bad_partner", "pull: one subscribes to a named query")

    def _sealed(self, wanted: Wanted, earlier: str) -> str:
        if not wanted.header:
            return ""
        if wanted.credential is None:
            if not earlier:
                raise RefuseInput("bad_partner", "credential: expected its value")
            return earlier
        return self._seal.close(wanted.credential)


def _begins(push: Push | None, head_no: int) -> int:
    return 0 if push is not None and push.whole else head_no


def _own(connection: Connection, organisation: str, partner_id: str) -> Partner:
    found = find_partner(connection, partner_id)
    if found is None or found.organisation != organisation or found.state == "ending":
        raise RefuseInput("not_found", "no such partner")
    return found
